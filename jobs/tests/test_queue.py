"""The queue's order, and the mark from which a process looks into it: only ever a hint."""

import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from time import monotonic
from typing import Any
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.utils import timezone

from jobs import actions, queue
from jobs.actions import Claim
from jobs.models import LEASE, Job

pytestmark = pytest.mark.django_db(transaction=True)

FOR_EVER = 1e9  # seconds


@pytest.fixture
def only_from_the_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head of the queue is read at the first claim, and when nothing lies behind the mark."""
    monkeypatch.setattr(queue, "HEAD_SECONDS", FOR_EVER)


Put = Callable[..., UUID]


@pytest.fixture
def put(submit: Callable[..., Job]) -> Put:
    """A job of alice's with these columns; run_at and deadline in seconds from now."""
    began = timezone.now()

    def _put(*, run_at: float = -100, deadline: float | None = None, **columns: Any) -> UUID:
        job = submit()
        columns["run_at"] = began + timedelta(seconds=run_at)
        if deadline is not None:
            columns["deadline"] = began + timedelta(seconds=deadline)
        Job.objects.filter(pk=job.pk).update(**columns)
        return job.pk

    return _put


def _next(pool: str = "default") -> Claim | None:
    return actions.claim(worker="worker/1", pool=pool)


def _claimed(pool: str = "default") -> list[UUID]:
    """Everything of the pool, in the order of its claims."""
    jobs = []
    while (taken := _next(pool)) is not None:
        jobs.append(taken.job)
    return jobs


def _look() -> UUID | None:
    """Whose turn it is; nothing is claimed."""
    with transaction.atomic():
        taken = queue.claim_next(worker="worker/1", pool="default", lease=LEASE)
        transaction.set_rollback(True)
    return None if taken is None else taken.job


def _looks_that_miss(wanted: UUID) -> list[float]:
    """How many seconds from now each look began that did not find it yet."""
    now, began = monotonic(), list[float]()
    while True:
        began.append(monotonic() - now)
        if _look() == wanted:
            return began[:-1]
        assert began[-1] < 10, "not found"


# --- The order --------------------------------------------------------------------------------


@pytest.mark.usefixtures("only_from_the_mark")
def test_jobs_are_claimed_by_priority_then_time_then_id(put: Put) -> None:
    waiting = [
        (-priority, run_at, put(priority=priority, run_at=run_at))
        for priority in (0, 5, -(2**15), 2**15 - 1)
        for run_at in (-10, -50, -10)
    ]
    assert _claimed() == [job for _, _, job in sorted(waiting)]


def test_a_job_waits_for_its_time_and_holds_nobody_up(put: Put) -> None:
    put(priority=9, run_at=3600)
    ready = put(priority=0)
    assert _claimed() == [ready]


def test_a_job_is_not_begun_after_its_deadline(put: Put) -> None:
    put(deadline=-1)
    in_time = put(deadline=3600)
    assert _claimed() == [in_time]


def test_pools_do_not_share_jobs_or_marks(put: Put) -> None:
    late, early = put(pool="large", run_at=-10), put(pool="large", run_at=-300)
    first, second = put(run_at=-200), put(run_at=-100)
    taken = [_next(), _next("large"), _next(), _next("large"), _next()]
    assert [claim and claim.job for claim in taken] == [first, early, second, late, None]


def test_places_are_those_in_the_order_of_claims(put: Put) -> None:
    jobs = [put(priority=priority, run_at=run_at) for priority in (0, 3) for run_at in (-9, -70)]
    put(pool="large", priority=9)
    places = queue.places(jobs)
    assert _claimed() == sorted(jobs, key=lambda job: places[job])
    assert sorted(places.values()) == [0, 1, 2, 3]


# --- The mark ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("only_from_the_mark")
@pytest.mark.parametrize("newcomer", ["released", "of a higher priority", "of an earlier time"])
def test_what_comes_before_the_mark_is_found_when_nothing_is_left_behind_it(
    put: Put, claim: Callable[..., Claim], newcomer: str
) -> None:
    for run_at in (-60, -50, -40):
        put(run_at=run_at)
    first, _second = claim(), claim()
    if newcomer == "released":
        actions.release(first)
        before = first.job
    elif newcomer == "of a higher priority":
        before = put(priority=1, run_at=-1)
    else:
        before = put(run_at=-1000)
    third, found = claim().job, claim().job
    assert before not in {third, _second.job}
    assert found == before


@pytest.mark.parametrize("newcomer", ["released", "of a higher priority", "whose time has come"])
def test_what_comes_before_the_mark_is_found_within_a_second_while_others_wait(
    put: Put, claim: Callable[..., Claim], newcomer: str
) -> None:
    soon = put(priority=9, run_at=3600)
    for run_at in (-60, -50, -40):
        put(run_at=run_at)
    first, _second = claim(), claim()
    if newcomer == "released":
        actions.release(first)
        before = first.job
    elif newcomer == "of a higher priority":
        before = put(priority=1, run_at=-1)
    else:
        before = soon
        Job.objects.filter(pk=soon).update(run_at=timezone.now())
    # By when they began: however long one takes, on a busy machine.
    assert all(began < queue.HEAD_SECONDS for began in _looks_that_miss(before))


@pytest.mark.usefixtures("only_from_the_mark")
def test_claims_that_are_rolled_back_leave_the_mark_before_their_jobs(put: Put) -> None:
    jobs = [put(run_at=run_at) for run_at in (-60, -50, -40, -30)]
    assert _look() == jobs[0]
    first = _next()
    with transaction.atomic():
        assert [_next(), _next()] != [None, None]
        transaction.set_rollback(True)
    assert first is not None
    assert [first.job, *_claimed()] == jobs


@pytest.mark.usefixtures("only_from_the_mark")
def test_a_late_commit_does_not_move_the_mark_past_what_a_newer_reading_found(
    put: Put, claim: Callable[..., Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads of one process: the first claims far behind while the second reads the head."""
    passed = [put(run_at=run_at) for run_at in (-90, -80)]
    put(run_at=-70)
    far = put(run_at=-60)
    held = [claim(), claim(), claim()]
    claimed, read = Event(), Event()

    def claim_far() -> UUID | None:
        try:
            with transaction.atomic():
                taken = _next()
                claimed.set()
                assert read.wait(20)
            return None if taken is None else taken.job
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(claim_far)
        assert claimed.wait(20)
        for earlier in held[:2]:
            actions.release(earlier)
        put(run_at=-50)
        monkeypatch.setattr(queue, "HEAD_SECONDS", 0.0)
        assert claim().job == passed[0]
        monkeypatch.setattr(queue, "HEAD_SECONDS", FOR_EVER)
        read.set()
        assert late.result(20) == far
    assert claim().job == passed[1]


def test_eight_threads_claim_four_hundred_jobs_once_each(
    submit: Callable[..., Job], settings: LazySettings
) -> None:
    settings.T2V_MAX_UNFINISHED = 1000
    jobs = {submit().pk for _ in range(400)}

    def claim_all(_: int) -> list[UUID]:
        try:
            return _claimed()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        claimed = [job for mine in threads.map(claim_all, range(8)) for job in mine]
    assert sorted(claimed) == sorted(jobs)


@contextmanager
def _old_snapshot() -> Iterator[None]:
    """A dump or a forgotten transaction: nothing that dies from now on can be removed."""
    stop, holds = Event(), Event()

    def hold() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("SELECT count(*) FROM jobs_job")
                holds.set()
                stop.wait(60)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(hold)
        assert holds.wait(20)
        try:
            yield
        finally:
            stop.set()
        held.result(20)


def _pages_of_a_claim(mark: queue._Mark) -> int:
    """Pages that Postgres reads to choose and claim the next job from there; nothing is claimed."""
    values = {"worker": "worker/1", "pool": "default", "lease": 60, **mark.bounds()}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {queue._CLAIM}", values)
        (said,) = cursor.fetchone()
        transaction.set_rollback(True)
    plan = (said if isinstance(said, list) else json.loads(said))[0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.mark.usefixtures("only_from_the_mark")
def test_an_old_snapshot_does_not_slow_the_claim_from_the_mark(
    submit: Callable[..., Job], settings: LazySettings
) -> None:
    settings.T2V_MAX_UNFINISHED = 1000
    dice = random.Random(4)
    began = timezone.now()
    for _ in range(300):  # at mixed times, so that neighbours in the queue lie on different pages
        run_at = began - timedelta(seconds=dice.uniform(1, 1000))
        Job.objects.filter(pk=submit().pk).update(run_at=run_at)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_job")
    with _old_snapshot():
        for _ in range(250):
            assert _next() is not None
        mark = queue._marks.get("default")
        assert mark is not None
        # Of 250 dead rows and none; what tests before left in the indexes is read in both.
        head, near = _pages_of_a_claim(queue._Mark.head()), _pages_of_a_claim(mark)
        assert head > 150
        assert near * 3 < head


# --- Pools ------------------------------------------------------------------------------------


def test_every_pool_in_which_a_job_could_start_is_waiting(put: Put) -> None:
    assert queue.pools_waiting() == []
    put(pool="delayed", run_at=3600)
    put(pool="both", priority=9, run_at=3600)
    put(pool="both", priority=5, run_at=3600)
    put(pool="both", priority=0, run_at=-1)
    put(pool="both", priority=0, run_at=-2)
    put(pool="alone", priority=-3)
    put(pool="busy")
    assert _next("busy") is not None
    assert sorted(queue.pools_waiting()) == ["alone", "both"]
