"""How often one may ask: counted in Redis for a token and its person, and in nobody's way."""

import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from limits import parse

from accounts import actions as accounts
from accounts.models import User
from accounts.roles import Scope
from jobs import rates
from jobs.models import Job
from jobs.rates import Breaker, Window
from tests.ports import free_port

pytestmark = pytest.mark.django_db

JOBS = "/api/v1/jobs"
USUAL_TIMEOUT = rates.TIMEOUT
RED = {"prompt": "a red circle moving right"}


@pytest.fixture(autouse=True)
def fresh(
    empty_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> Iterator[redis.Redis]:
    monkeypatch.setattr(rates, "breaker", Breaker())
    monkeypatch.setattr(rates, "TIMEOUT", 5.0)  # seconds: a test machine may stop for a moment
    rates._script.cache_clear()
    settings.T2V_RATE_WRITES, settings.T2V_RATE_READS = parse("3/minute"), parse("5/minute")
    settings.T2V_RATE_PERSON = 2
    yield empty_redis
    rates._script.cache_clear()


def key_of(user: User, name: str = "a program") -> dict[str, str]:
    _, token = accounts.issue_token(user, name=name, scopes=[Scope.JOBS_WRITE])
    return {"Authorization": f"Bearer {token}"}


def post(headers: dict[str, str]) -> Any:
    return Client().post(JOBS, RED, content_type="application/json", headers=headers)


def test_an_answer_tells_what_is_left_and_a_refusal_when_to_ask_again(alice: User) -> None:
    key, began = key_of(alice), time.monotonic()
    first, second, third, refused = (post(key) for _ in range(4))
    took = time.monotonic() - began
    assert [first.status_code, second.status_code, third.status_code] == [201] * 3
    assert first["RateLimit-Policy"] == '"token-writes";q=3;w=60, "person-writes";q=6;w=60'
    assert first["RateLimit"] == '"token-writes";r=2;t=60, "person-writes";r=5;t=60'
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused["Content-Type"] == "application/problem+json"
    assert 60 - took <= int(refused["Retry-After"]) <= 60
    assert refused["RateLimit"].startswith('"token-writes";r=0;')
    assert refused["RateLimit-Policy"] == first["RateLimit-Policy"]
    assert Job.objects.count() == 3


def test_the_moment_that_a_refusal_names_is_the_first_one_that_works(
    alice: User, settings: LazySettings
) -> None:
    settings.T2V_RATE_WRITES = parse("1/second")
    key = key_of(alice)
    while (refused := post(key)).status_code == 201:  # on a machine that takes a second for two
        pass
    named = time.monotonic() + 1.0
    assert (refused.status_code, refused["Retry-After"]) == (429, "1")
    asked = time.monotonic()
    while (answer := post(key)).status_code == 429:
        assert asked < named, answer.headers
        asked = time.monotonic()
    assert answer.status_code == 201


def test_reading_has_a_rate_of_its_own(alice: User, client: Client) -> None:
    key = key_of(alice)
    for _ in range(3):
        post(key)
    assert post(key).status_code == 429
    answers = [client.get(JOBS, headers=key).status_code for _ in range(6)]
    assert answers == [200] * 5 + [429]


def test_a_persons_programs_and_sessions_share_what_the_person_has(
    alice: User, bob: User, client: Client
) -> None:
    one, two, three = (key_of(alice, name) for name in ("one", "two", "three"))
    assert [post(key).status_code for key in (one, one, two, two, three)] == [201] * 5
    client.force_login(alice)
    sixth = client.post(JOBS, RED, content_type="application/json")
    assert sixth["RateLimit"].startswith('"person-writes";r=0;')
    seventh = client.post(JOBS, RED, content_type="application/json")
    assert (seventh.status_code, post(three).status_code) == (429, 429)
    assert "token-writes" not in seventh["RateLimit-Policy"]
    assert post(key_of(bob)).status_code == 201


def test_a_program_that_goes_on_while_it_is_refused_takes_nothing_from_the_others(
    alice: User,
) -> None:
    wild, calm = key_of(alice, "wild"), key_of(alice, "calm")
    assert [post(wild).status_code for _ in range(20)] == [201] * 3 + [429] * 17
    assert [post(calm).status_code for _ in range(3)] == [201] * 3


def test_who_is_not_signed_in_is_told_so_and_not_counted(client: Client) -> None:
    answers = [client.get(JOBS) for _ in range(8)]
    assert {answer.status_code for answer in answers} == {401}
    assert "RateLimit" not in answers[0]


@pytest.mark.django_db(transaction=True)
def test_parallel_requests_stop_at_the_rate_exactly(alice: User, settings: LazySettings) -> None:
    settings.T2V_RATE_READS = parse("50/hour")
    key, start = key_of(alice), Barrier(10)

    def get(_: int) -> list[int]:
        start.wait(20)
        try:
            return [Client().get(JOBS, headers=key).status_code for _ in range(10)]
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as threads:
        answers = [status for statuses in threads.map(get, range(10)) for status in statuses]
    assert (answers.count(200), answers.count(429)) == (50, 50)


# --- Redis away ----------------------------------------------------------------------------------


def _window() -> list[Window]:
    return [Window(name="reads", caller="1", rate=parse("5/minute"))]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Takes connections and never says a word, as a frozen Redis does."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(100)
        yield server.getsockname()[1]


def test_with_a_dead_redis_nobody_is_refused_and_the_log_says_so_once(
    alice: User, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}"
    key = key_of(alice)
    answers = [post(key) for _ in range(6)]
    assert {answer.status_code for answer in answers} == {201}
    assert "RateLimit" not in answers[0]
    told = [record for record in caplog.records if record.name == "jobs.rates"]
    assert [(record.levelno, "no rate is limited" in record.message) for record in told] == [
        (logging.WARNING, True)
    ]


def test_a_frozen_redis_costs_one_request_a_tenth_of_a_second_and_the_next_ones_nothing(
    silent_port: int, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "TIMEOUT", USUAL_TIMEOUT)
    settings.REDIS_URL = f"redis://127.0.0.1:{silent_port}"
    first, next_ones = [], []
    for _ in range(5):  # the best of them: a busy machine stands still now and then
        monkeypatch.setattr(rates, "breaker", Breaker())
        began = time.monotonic()
        assert rates.take(_window()) is None
        first.append(time.monotonic() - began)
        began = time.monotonic()
        for _ in range(1000):
            assert rates.take(_window()) is None
        next_ones.append(time.monotonic() - began)
    assert min(first) < 0.25  # 0.05 s for each answer
    assert min(next_ones) < 0.1


def test_a_redis_that_comes_back_counts_again_after_its_rest(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = settings.REDIS_URL
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}"
    assert rates.take(_window()) is None
    settings.REDIS_URL = good
    assert rates.take(_window()) is None
    later = time.monotonic() + rates.REST_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    answer = rates.take(_window())
    assert answer is not None
    assert answer.standings[0].left == 4
    assert rates.take(_window()) is not None


def test_of_all_who_come_after_the_rest_one_finds_out_whether_redis_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.monotonic()
    breaker = Breaker()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    breaker.failed(OSError())
    assert not breaker.lets_try()
    monkeypatch.setattr(time, "monotonic", lambda: now + rates.REST_SECONDS)
    assert [breaker.lets_try() for _ in range(5)] == [True, False, False, False, False]
    breaker.went_well()
    assert breaker.lets_try()
    assert breaker.lets_try()


def test_a_window_whose_end_was_lost_ends_all_the_same(fresh: redis.Redis) -> None:
    answer = rates.take(_window())
    assert answer is not None
    (name,) = fresh.keys(f"{rates.PREFIX}:*")  # type: ignore[misc]
    fresh.persist(name)
    rates.take(_window())
    assert 0 < fresh.ttl(name) <= 60  # type: ignore[operator]
