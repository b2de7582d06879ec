"""One cell of the matrix: a request by one person, answered by the whole site, and undone."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.messages import WARNING
from django.db import connection, transaction
from django.test import RequestFactory
from django.test.client import ClientHandler

from tests.access.routes import SAFE

# What the middleware of a real browser's page would do: Django compares the two, no more.
CSRF = 32 * "c"
SIGN_IN = ("/accounts/login/", "/admin/login/")
AGAIN = ("/accounts/reauthenticate/", "/accounts/2fa/reauthenticate/")
# Refused for what was asked, not for who asked: past the door.
PAST_THE_DOOR = frozenset({400, 409, 410, 412, 413, 415, 422})
_handler = ClientHandler(enforce_csrf_checks=True)
_factory = RequestFactory()


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """An answer, and what it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    queries: int
    warned: bool  # the next page says that something was not done

    @property
    def kind(self) -> str:
        """ok, away (a redirect), no (a redirect, and the next page says why nothing was done), bad
        (past the door, and refused there), login, again (to sign in once more), or the status."""
        if self.status in {301, 302, 303, 307, 308}:
            where = self.headers["Location"]
            if where.startswith(AGAIN):
                return "again"
            if where.startswith(SIGN_IN):
                return "login"
            return "no" if self.warned else "away"
        if 200 <= self.status < 300 or self.status == 304:
            return "ok"
        return "bad" if self.status in PAST_THE_DOOR else str(self.status)


def browser_headers(session: str = "", *, forged: bool = False) -> dict[str, str]:
    """What a browser sends; forged: as a page of somebody else's makes it send."""
    cookies = {settings.SESSION_COOKIE_NAME: session} if session else {}
    if forged:
        return {"Cookie": _cookies(cookies)}
    cookies[settings.CSRF_COOKIE_NAME] = CSRF
    return {"Cookie": _cookies(cookies), "X-CSRFToken": CSRF}


def _cookies(values: Mapping[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in values.items())


def ask(
    method: str, address: str, headers: Mapping[str, str], body: str, kind: str, *, keeps: bool
) -> Got:
    """The site's answer; whatever it changed is undone.

    What is safe by its method finds a database that it can only read, unless it keeps something in
    the session: a write is an error there, and the answer a 500.
    """
    request = _factory.generic(method, address, body, content_type=kind, headers=dict(headers))
    with _counted() as count, _undone(readonly=method in SAFE and not keeps):
        answer: Any = _handler(request.environ)
        if answer.streaming:
            answer.close()
        content = b"" if answer.streaming else answer.content
    said = getattr(answer.wsgi_request, "_messages", None)
    return Got(
        status=answer.status_code,
        headers=dict(answer.headers),
        body=content,
        queries=count.queries,
        warned=any(each.level >= WARNING for each in getattr(said, "_queued_messages", ())),
    )


@contextmanager
def _undone(*, readonly: bool) -> Iterator[None]:
    """Inside the test's own transaction; hooks of a commit never run."""
    before = transaction.savepoint()
    if readonly:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL transaction_read_only = on")
    try:
        yield
    finally:
        connection.needs_rollback = False
        transaction.savepoint_rollback(before)


class _Count:
    def __init__(self) -> None:
        self.queries = 0

    def __call__(self, execute: Any, *rest: Any) -> Any:
        self.queries += 1
        return execute(*rest)


@contextmanager
def _counted() -> Iterator[_Count]:
    count = _Count()
    with connection.execute_wrapper(count):
        yield count


_CHANCE = re.compile(
    rb'(csrfmiddlewaretoken" value="|nonce="|content=")[\w-]{20,}"'  # masked anew in every answer
)
_OF_THIS_ANSWER = frozenset({"date", "x-request-id", "content-security-policy", "ratelimit"})


def comparable(got: Got) -> tuple[object, ...]:
    """All that a person can see of it, without chance; and the number of queries."""
    body = _CHANCE.sub(rb'\1"', got.body)
    headers = {
        name: value for name, value in got.headers.items() if name.lower() not in _OF_THIS_ANSWER
    }
    return got.status, headers, body, got.queries
