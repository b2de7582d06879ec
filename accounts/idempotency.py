"""The same POST twice is done once: its answer lies beside what it changed, and is given again.

Kept for a day in the transaction of the change itself, so that neither a second replica nor a
connection that was cut after the commit makes a second one.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import connection, transaction
from django.http import QueryDict
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from accounts.errors import BadFields, KeyReused
from accounts.models import Answer, ApiToken, User

KEPT = timedelta(hours=24)
RETRIED_WITHIN = timedelta(minutes=2)  # an SDK's own retries, which bear no key
MAX_KEY = 255  # characters
REPLAYED = "Idempotency-Replayed"
PURGED_AT_ONCE = 1000

_NOW = timedelta(0)


def once(
    request: Request,
    act: Callable[[], Response],
    *,
    secret: tuple[str, ...] = (),
    keyless: bool = False,
) -> Response:
    """act's answer; of a request that came before with this Idempotency-Key, the answer of then.

    act runs in a transaction; what it raises undoes all, and the key is as new. secret names fields
    of the answer that are not kept: null when it is given again. keyless: a request without a key
    that says by X-Stainless-Retry-Count that it is one of the SDK's retries gets the answer to the
    same body by the same token of the last two minutes. Raises KeyReused and BadFields.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None:
        if not (1 <= len(key) <= MAX_KEY and key.isprintable()):
            raise BadFields({"Idempotency-Key": f"Use 1 to {MAX_KEY} printable characters."})
        return _answered(request, act, _place(request) + f"key {key}", KEPT, secret)
    count = request.headers.get("X-Stainless-Retry-Count") if keyless else None
    if count is not None:
        renew = RETRIED_WITHIN if count.isdecimal() and int(count[:3]) > 0 else _NOW
        token = request.auth.pk if isinstance(request.auth, ApiToken) else ""
        return _answered(request, act, f"body {digest_of(request)} {token}", renew, secret)
    with transaction.atomic():
        return act()


def _place(request: Request) -> str:
    """Two tokens of a person, each good in another workspace, know nothing of each other's keys."""
    assert isinstance(request.user, User)
    only_in = request.user.only_in
    return "" if only_in is None else f"in {only_in} "


def _answered(
    request: Request,
    act: Callable[[], Response],
    key: str,
    kept: timedelta,
    secret: tuple[str, ...],
) -> Response:
    made: list[Response] = []

    def make() -> tuple[int, Mapping[str, str], Any]:
        fresh = act()
        made.append(fresh)
        body = fresh.data
        if secret:
            body = {name: None if name in secret else body[name] for name in body}
        return fresh.status_code, dict(fresh.headers), body

    assert isinstance(request.user, User)
    answer = once_for(request.user, key, digest_of(request), make, kept=kept)
    if made:
        return made[0]
    headers = answer.headers | {REPLAYED: "true"}
    return Response(answer.body, status=answer.status, headers=headers)


def once_for(
    owner: User,
    key: str,
    asked: str,
    make: Callable[[], tuple[int, Mapping[str, str], Any]],
    *,
    kept: timedelta = KEPT,
) -> Answer:
    """The answer under the owner's key: what make said now (status, headers, body), or earlier.

    asked is the digest of the request. One that is being made is waited for. Raises KeyReused.
    """
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    with transaction.atomic():
        if _is_ours(owner, name, asked, kept):
            status, headers, body = make()
            answer = Answer(status=status, headers=dict(headers), body=body)
            Answer.objects.filter(owner=owner, key=name).update(
                status=status, headers=answer.headers, body=body
            )
            return answer
    answer = Answer.objects.get(owner=owner, key=name)
    if answer.request != asked:
        raise KeyReused
    return answer


def _is_ours(owner: User, name: str, asked: str, kept: timedelta) -> bool:
    """Whether this transaction is to make the answer: there is none, or it is too old.

    Waits for another transaction that is making it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_answer (owner_id, key, request, status, headers, at)"
            " VALUES (%s, %s, %s, 0, '{}', now())"
            " ON CONFLICT (owner_id, key) DO UPDATE"
            " SET request = excluded.request, status = 0, headers = '{}', body = NULL, at = now()"
            # Always where nothing is kept: now() is when a transaction began, and one that began
            # later may have come first.
            " WHERE %s OR accounts_answer.at <= now() - make_interval(secs => %s)"
            " RETURNING id",
            [owner.pk, name, asked, not kept, kept.total_seconds()],
        )
        return cursor.fetchone() is not None


def digest_of(request: Request) -> str:
    """SHA-256 of what was asked, hexadecimal: method, address, fields, and the files' bytes.

    Not of the body as it came: a repeated multipart body has other boundaries.
    """
    path = request.get_full_path()
    return digest({"method": request.method, "path": path, "data": _plain(request.data)})


def digest(asked: Any) -> str:
    """SHA-256 of its canonical JSON, hexadecimal."""
    text = json.dumps(asked, sort_keys=True, cls=JSONEncoder)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(data: Any) -> Any:
    if not isinstance(data, QueryDict):
        return data
    return {name: [_file_or_text(each) for each in values] for name, values in data.lists()}


def _file_or_text(value: Any) -> Any:
    if not isinstance(value, UploadedFile):
        return value
    digest = hashlib.sha256()
    for chunk in value.chunks():
        digest.update(chunk)
    value.seek(0)
    return {"sha256": digest.hexdigest()}


def forget_old_answers() -> int:
    """How many there were; at most PURGED_AT_ONCE in a round."""
    old = Answer.objects.filter(at__lt=timezone.now() - KEPT).order_by("at")
    keys = list(old.values_list("pk", flat=True)[:PURGED_AT_ONCE])
    return Answer.objects.filter(pk__in=keys).delete()[0]
