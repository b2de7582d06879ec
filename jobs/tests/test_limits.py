"""How much one may have waiting, and when a queue is too long: Postgres knows, whoever asks."""

import heapq
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test import Client

from accounts import actions as accounts
from accounts import workspaces
from accounts.models import User
from accounts.roles import Scope
from conftest import video_of
from jobs import actions, limits
from jobs.actions import Claim, Wanted
from jobs.errors import QueueFull, TooManyJobs
from jobs.models import Attempt, Job, PoolLoad
from jobs.tests.quota_cast import spec
from jobs.tests.test_estimates import a_worker, look

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_redis")]

JOBS = "/api/v1/jobs"


def _key(user: User) -> dict[str, str]:
    _, token = accounts.issue_token(user, name="a program", scopes=[Scope.JOBS_WRITE])
    return {"Authorization": f"Bearer {token}"}


# --- Quotas --------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyed", [False, True])
def test_of_a_hundred_parallel_posts_at_a_quota_of_five_five_are_accepted(
    keyed: bool, alice: User, settings: LazySettings
) -> None:
    """With keys too: what is stored of one refers to the row that the quota locks."""
    settings.T2V_MAX_UNFINISHED = 5
    key, start = _key(alice), Barrier(20)

    def post(number: int) -> list[int]:
        start.wait(20)
        try:
            once = {"Idempotency-Key": f"{number}"} if keyed else {}
            return [
                Client()
                .post(
                    JOBS,
                    {"prompt": "a red circle", "seed": again},
                    content_type="application/json",
                    headers=key | {name: f"{value}-{again}" for name, value in once.items()},
                )
                .status_code
                for again in range(5)
            ]
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        answers = [status for statuses in threads.map(post, range(20)) for status in statuses]
    assert (answers.count(201), answers.count(429)) == (5, 95)
    assert Job.objects.count() == 5


def test_a_batch_is_counted_as_a_whole(alice: User, settings: LazySettings) -> None:
    settings.T2V_MAX_UNFINISHED = 10
    with transaction.atomic():
        limits.admit(alice, [None] * 10, workspace=workspaces.current_id(alice))
    words = r"With these 11 jobs .* Send 10 at the most"
    with pytest.raises(TooManyJobs, match=words), transaction.atomic():
        limits.admit(alice, [None] * 11, workspace=workspaces.current_id(alice))


def test_a_refusal_for_too_many_jobs_says_so_and_when_to_ask_again(
    alice: User, submit: Callable[..., Job], settings: LazySettings, client: Client
) -> None:
    settings.T2V_MAX_UNFINISHED = 1
    submit()
    answer = client.post(
        JOBS, {"prompt": "a circle"}, content_type="application/json", headers=_key(alice)
    )
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_jobs")
    assert "You have 1 unfinished jobs" in answer.json()["detail"]
    assert int(answer["Retry-After"]) > 0


def test_jobs_that_have_ended_are_never_read_to_count_those_that_have_not(
    alice: User, charlie: User, submit: Callable[..., Job]
) -> None:
    submit()
    # So many that no other index of unfinished jobs is as good.
    actions.submit_many(owner=charlie, wanted=[Wanted(spec=spec(), model_digest="")] * 300)
    found = Job.objects.all().unfinished_of(alice)[:1001].values_list("pk")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_job")
        cursor.execute("SET enable_seqscan = off")
        try:
            plan = found.explain()
        finally:
            cursor.execute("RESET enable_seqscan")
    assert "jobs_of_owner_unfinished" in plan
    assert "jobs_of_owner " not in plan


# --- The wait ------------------------------------------------------------------------------------


@pytest.fixture
def slow_pool(submit: Callable[..., Job], claim: Callable[..., Claim]) -> None:
    """One worker, whose renders took 30 s each, and four jobs that wait: 120 s."""
    for _ in range(5):
        submit()
        _render(claim(), 30.0)
    a_worker()
    for _ in range(4):
        submit()
    _look_quickly()


def _look_quickly() -> None:
    """One that took long, on a busy machine, is followed by a longer rest, and that is told."""
    look()
    PoolLoad.objects.update(took_seconds=0.01)


def test_a_queue_that_is_too_long_refuses_with_its_wait_and_the_moment_to_come_again(
    slow_pool: None, alice: User, settings: LazySettings, client: Client
) -> None:
    settings.T2V_MAX_WAIT_SECONDS = 100
    body, key = {"prompt": "a red circle"}, _key(alice)
    refused = client.post(JOBS, body, content_type="application/json", headers=key)
    assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
    told = refused.json()["detail"]
    assert told.startswith("The queue is full: a new job would wait about 2 min, ")
    assert told.endswith(f"longer than 100 s. Try again in {refused['Retry-After']} s.")
    # 20 s until the wait is 100 s and half of it for slow renders, and what the sweep may need.
    assert 30 <= int(refused["Retry-After"]) <= 44
    assert Job.objects.filter(state="queued").count() == 4
    settings.T2V_MAX_WAIT_SECONDS = 125
    assert client.post(JOBS, body, content_type="application/json", headers=key).status_code == 201


def test_a_burst_between_two_looks_is_refused_as_soon_as_the_wait_is_too_long(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    alice: User,
    settings: LazySettings,
    client: Client,
) -> None:
    """And is promised the wait that it has, though nobody waited when the sweep looked."""
    for _ in range(5):
        submit()
        _render(claim(), 30.0)
    a_worker()
    look()
    settings.T2V_MAX_WAIT_SECONDS = 100
    key = _key(alice)
    answers = [
        client.post(
            JOBS,
            {"prompt": "a red circle", "seed": seed},
            content_type="application/json",
            headers=key,
        )
        for seed in range(7)
    ]
    # Each renders for 30 s, and nobody has begun: the fifth would wait for 120 s.
    assert [answer.status_code for answer in answers] == [201] * 4 + [503] * 3
    waits = [answer.json()["estimate"]["wait_seconds"] for answer in answers[:4]]
    assert waits == [pytest.approx(30.0 * before, rel=0.05) for before in range(4)]


@pytest.mark.parametrize("missing", ["look", "fresh look", "worker", "past", "limit"])
def test_nobody_is_refused_for_what_is_not_known(
    missing: str, slow_pool: None, alice: User, settings: LazySettings
) -> None:
    settings.T2V_MAX_WAIT_SECONDS = 0 if missing == "limit" else 1
    if missing == "look":
        PoolLoad.objects.all().delete()
    elif missing == "fresh look":
        PoolLoad.objects.update(refreshed_at=Now() - timedelta(seconds=61))
    elif missing == "worker":
        PoolLoad.objects.update(workers=0)
    elif missing == "past":
        PoolLoad.objects.update(queued_seconds=None, paces={})
    with transaction.atomic():
        limits.admit(alice, [None], workspace=workspaces.current_id(alice))


RENDER = 12.0  # seconds


class Drain:
    """A real queue, and workers that claim from it; only the clock is turned by hand."""

    def __init__(self, workers: int) -> None:
        self._now = 0.0
        self._ends: list[tuple[float, str, Claim]] = []
        for number in range(workers):
            holder = f"gpu-{number}/{a_worker(f'gpu-{number}')}"
            self._claim(holder, ends_in=RENDER * (number + 1) / workers)

    def _claim(self, holder: str, *, ends_in: float = RENDER) -> None:
        held = actions.claim(worker=holder, pool="default")
        if held is not None:
            heapq.heappush(self._ends, (self._now + ends_in, holder, held))

    def go_on(self, until: float) -> None:
        """Everything that ends by then is done, and the workers take what is next."""
        while self._ends and self._ends[0][0] <= until:
            self._now, holder, held = heapq.heappop(self._ends)
            _render(held, RENDER)
            self._claim(holder)
        self._now = until
        for end, _, held in self._ends:
            began = Now() - timedelta(seconds=RENDER - (end - until))
            Job.objects.filter(pk=held.job).update(started_at=began)

    def refusal(self, owner: User) -> QueueFull | None:
        _look_quickly()
        try:
            with transaction.atomic():
                limits.admit(owner, [None], workspace=workspaces.current_id(owner))
        except QueueFull as full:
            return full
        return None


def _render(held: Claim, seconds: float) -> None:
    Attempt.objects.filter(job=held.job).update(started_at=Now() - timedelta(seconds=seconds))
    actions.succeed(held, [video_of(held)])


def test_who_comes_again_when_told_is_let_in_and_would_not_have_been_at_half_the_time(
    submit: Callable[..., Job], claim: Callable[..., Claim], alice: User, settings: LazySettings
) -> None:
    settings.T2V_MAX_WAIT_SECONDS = 60
    for _ in range(33):
        submit()
    for _ in range(6):
        _render(claim(), RENDER)
    drain = Drain(workers=3)  # 24 jobs wait: 96 s and a bit
    drain.go_on(0.0)
    full = drain.refusal(alice)
    assert full is not None
    assert full.retry_after is not None
    drain.go_on(full.retry_after / 2)
    assert drain.refusal(alice) is not None
    drain.go_on(float(full.retry_after))
    assert drain.refusal(alice) is None
