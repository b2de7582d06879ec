"""The same POST twice is done once, whatever was cut, and whichever replica answers."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test import Client, RequestFactory
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import force_authenticate

from accounts import actions, idempotency
from accounts.errors import BadFields, KeyReused
from accounts.models import Answer, ApiToken, User
from accounts.roles import Scope

PROMPT = {"prompt": "a red circle moving right"}
Ask = Callable[..., Request]


@pytest.fixture
def ask(alice: User) -> Ask:
    """A POST as a view gets it."""

    def _ask(
        data: Any = None, *, user: User = alice, form: bool = False, **headers: str
    ) -> Request:
        sent = {"data": data or {}} | ({} if form else {"content_type": "application/json"})
        plain = RequestFactory().post("/somewhere", **sent, headers=headers)  # type: ignore[arg-type]
        force_authenticate(plain, user)
        return Request(plain, parsers=[JSONParser(), FormParser(), MultiPartParser()])

    return _ask


class Act:
    """Answers with how often it was called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Response:
        self.calls += 1
        answer = {"number": self.calls, "secret": "sesame"}
        return Response(answer, status=201, headers={"Location": "/x"})


def test_a_repeated_key_gets_the_first_answer_with_its_headers(ask: Ask) -> None:
    act = Act()
    first, second = (
        idempotency.once(ask({"a": 1}, **{"Idempotency-Key": "k"}), act) for _ in range(2)
    )
    assert act.calls == 1
    assert (first.status_code, first.data) == (second.status_code, second.data)
    assert second.headers["Location"] == "/x"
    assert idempotency.REPLAYED not in first.headers
    assert second.headers[idempotency.REPLAYED] == "true"


def test_a_key_is_refused_for_another_body_and_free_for_another_person(ask: Ask, bob: User) -> None:
    act, key = Act(), {"Idempotency-Key": "k"}
    idempotency.once(ask({"a": 1}, **key), act)
    with pytest.raises(KeyReused):
        idempotency.once(ask({"a": 2}, **key), act)
    assert act.calls == 1
    idempotency.once(ask({"a": 2}, user=bob, **key), act)
    assert act.calls == 2


def test_a_key_is_good_for_a_day_and_forgotten_then(ask: Ask) -> None:
    act, key = Act(), {"Idempotency-Key": "k"}
    idempotency.once(ask({"a": 1}, **key), act)
    Answer.objects.update(at=Now() - timedelta(hours=23, minutes=59))
    idempotency.once(ask({"a": 1}, **key), act)
    assert act.calls == 1
    assert idempotency.forget_old_answers() == 0
    Answer.objects.update(at=Now() - timedelta(hours=24, seconds=1))
    idempotency.once(ask({"a": 2}, **key), act)  # it means something else now
    assert act.calls == 2
    Answer.objects.update(at=Now() - timedelta(hours=24, seconds=1))
    assert idempotency.forget_old_answers() == 1


def test_what_was_refused_leaves_its_key_free(ask: Ask) -> None:
    def refuse() -> Response:
        actions.issue_token(alice_of(request), name="x", scopes=[Scope.JOBS_READ])
        raise BadFields({"a": "no"})

    request = ask({"a": 1}, **{"Idempotency-Key": "k"})
    with pytest.raises(BadFields):
        idempotency.once(request, refuse)
    assert not Answer.objects.exists()
    assert not alice_of(request).auth_token_set.exists()
    act = Act()
    idempotency.once(ask({"a": 2}, **{"Idempotency-Key": "k"}), act)
    assert act.calls == 1


def alice_of(request: Request) -> User:
    assert isinstance(request.user, User)
    return request.user


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x07b"])
def test_a_key_that_is_none_is_refused(key: str, ask: Ask) -> None:
    with pytest.raises(BadFields):
        idempotency.once(ask({}, **{"Idempotency-Key": key}), Act())


def test_a_secret_is_not_kept(ask: Ask) -> None:
    act, key = Act(), {"Idempotency-Key": "k"}
    first, second = (idempotency.once(ask({}, **key), act, secret=("secret",)) for _ in range(2))
    assert first.data["secret"] == "sesame"
    assert second.data["secret"] is None
    assert "sesame" not in str(list(Answer.objects.values()))


def test_without_a_key_each_request_is_done(ask: Ask) -> None:
    act = Act()
    for _ in range(2):
        idempotency.once(ask({"a": 1}), act)
    assert act.calls == 2
    assert not Answer.objects.exists()


def test_a_retry_of_the_sdk_without_a_key_gets_the_first_answer_for_two_minutes(ask: Ask) -> None:
    act = Act()

    def send(count: str, body: dict[str, int]) -> int:
        request = ask(body, **{"X-Stainless-Retry-Count": count})
        answer: int = idempotency.once(request, act, keyless=True).data["number"]
        return answer

    assert send("0", {"a": 1}) == 1
    assert send("1", {"a": 1}) == send("2", {"a": 1}) == 1
    assert send("1", {"a": 2}) == 2  # its first try never came
    assert send("0", {"a": 1}) == 3  # meant to be another one
    assert send("1", {"a": 1}) == 3
    Answer.objects.update(at=Now() - timedelta(seconds=121))
    assert send("1", {"a": 1}) == 4


def test_a_retry_without_a_key_is_of_the_program_that_tried_first(ask: Ask, alice: User) -> None:
    """Another one of the same person's wants a video of its own by the same words."""
    act = Act()
    tokens = [actions.issue_token(alice, name=n, scopes=[Scope.JOBS_WRITE])[0] for n in "ab"]

    def send(token: ApiToken, count: str) -> int:
        request = ask({"a": 1}, **{"X-Stainless-Retry-Count": count})
        assert request.user == alice
        request.auth = token
        answer: int = idempotency.once(request, act, keyless=True).data["number"]
        return answer

    assert [send(token, "0") for token in tokens] == [1, 2]
    assert [send(token, "1") for token in tokens] == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_first_tries_without_a_key_are_each_done_also_side_by_side(ask: Ask) -> None:
    """An earlier transaction's start may come after a later one's commit."""
    began, go_on = threading.Event(), threading.Event()
    act = Act()

    def send(wait: bool) -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT now()")
                if wait:
                    began.set()
                    assert go_on.wait(20)
                request = ask({"a": 1}, **{"X-Stainless-Retry-Count": "0"})
                idempotency.once(request, act, keyless=True)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        early = threads.submit(send, True)
        assert began.wait(20)
        send(False)
        go_on.set()
        early.result(20)
    assert act.calls == 2


def test_the_digest_is_of_what_was_asked_and_not_of_boundaries(ask: Ask) -> None:
    def upload(content: bytes, **fields: str) -> str:
        file = SimpleUploadedFile("a.png", content)
        request = ask({**fields, "file": file}, form=True)
        digest = idempotency.digest_of(request)
        files: Any = request.data
        assert files["file"].read() == content  # still there for the view
        return digest

    assert upload(b"1", a="x") == upload(b"1", a="x")
    assert len({upload(b"1", a="x"), upload(b"2", a="x"), upload(b"1", a="y")}) == 3
    pairs = ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": "2"})
    one, same, other = (idempotency.digest_of(ask(pair)) for pair in pairs)
    assert one == same != other


def _jobs_of(user: User) -> list[str]:
    client = Client()
    client.force_login(user)
    return [job["id"] for job in client.get("/api/v1/jobs").json()["results"]]


@pytest.mark.django_db(transaction=True)
def test_fifty_parallel_posts_with_one_key_make_one_job(alice: User) -> None:
    token = actions.issue_token(alice, name="x", scopes=[Scope.JOBS_WRITE])[1]
    start = Barrier(25)

    def post(_: int) -> set[str]:
        client = Client()
        start.wait()
        try:
            answers = [
                client.post(
                    "/api/v1/jobs",
                    PROMPT,
                    content_type="application/json",
                    headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "k"},
                )
                for _ in range(2)
            ]
            return {str((each.status_code, json.loads(each.content)["id"])) for each in answers}
        finally:
            connection.close()

    with ThreadPoolExecutor(25) as threads:
        made = set().union(*threads.map(post, range(25)))
    (job,) = _jobs_of(alice)
    assert made == {str((201, job))}


def test_a_form_that_was_sent_twice_leads_to_its_one_job(alice: User, client: Client) -> None:
    client.force_login(alice)
    form = client.get("/").context["form"]
    fields = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    sent = {**fields, "prompt": PROMPT["prompt"]}
    first, second = (client.post("/", sent) for _ in range(2))
    (job,) = _jobs_of(alice)
    assert first.headers["Location"] == second.headers["Location"] == f"/jobs/{job}/"
    other = client.post("/", {**sent, "prompt": "a blue star rising"})
    assert other.status_code == 409
    assert _jobs_of(alice) == [job]
