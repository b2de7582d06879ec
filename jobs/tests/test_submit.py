"""Submitting: all or nothing, knocked for after the commit, once for a key."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
import redis
from django.conf import LazySettings
from django.db import connection, transaction

from accounts.models import User
from conftest import video_of
from jobs import actions, dispatch, offer, stream
from jobs.errors import TooManyJobs
from jobs.lifecycle import State
from jobs.models import Job, JobEvent, JobRequest
from jobs.spec import RenderSpec

pytestmark = pytest.mark.django_db(transaction=True)


def _spec(prompt: str = "a red circle moving right", seed: int = 1) -> RenderSpec:
    return offer.make_spec(
        model=None, prompt=prompt, size=None, frames=None, steps=None, guidance=None, seed=seed
    )


def test_a_submit_knocks_once_after_its_commit(alice: User, empty_redis: redis.Redis) -> None:
    actions.submit(owner=alice, spec=_spec())
    assert dispatch.wait_empty(60)
    assert stream.knocks_waiting("default") == 1


def test_knocks_that_nobody_hears_do_not_pile_up(
    alice: User, empty_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "MOST_KNOCKS", 3)
    for _ in range(6):
        actions.submit(owner=alice, spec=_spec())
    assert dispatch.wait_empty(60)
    assert stream.knocks_waiting("default") == 3


def test_a_rolled_back_submit_leaves_nothing_and_knocks_nothing(
    alice: User, empty_redis: redis.Redis
) -> None:
    with transaction.atomic():
        actions.submit(owner=alice, spec=_spec())
        transaction.set_rollback(True)
    assert dispatch.wait_empty(60)
    assert stream.knocks_waiting("default") == 0
    assert empty_redis.xlen(stream.RING) == 0
    assert not Job.objects.exists()
    assert not JobEvent.objects.exists()
    assert not JobRequest.objects.exists()


def test_a_person_has_a_bounded_number_of_unfinished_jobs(
    alice: User, bob: User, settings: LazySettings
) -> None:
    settings.T2V_MAX_UNFINISHED = 2
    first = actions.submit(owner=alice, spec=_spec())
    actions.submit(owner=alice, spec=_spec())
    with pytest.raises(TooManyJobs, match="2 unfinished"):
        actions.submit(owner=alice, spec=_spec())
    actions.submit(owner=bob, spec=_spec())
    actions.cancel(first.pk)
    actions.submit(owner=alice, spec=_spec())


def test_parallel_submits_stop_at_the_bound_exactly(alice: User, settings: LazySettings) -> None:
    settings.T2V_MAX_UNFINISHED = 5
    start = Barrier(20)

    def post(_: int) -> bool:
        start.wait()
        try:
            actions.submit(owner=alice, spec=_spec())
        except TooManyJobs:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        assert sum(threads.map(post, range(20))) == 5


def test_a_cancel_during_a_release_is_not_lost(
    submit: Callable[..., Job], claim: Callable[..., actions.Claim]
) -> None:
    job, mine = submit(), claim()
    released, go = Event(), Event()

    def release() -> None:
        try:
            with transaction.atomic():
                actions.release(mine)
                released.set()
                assert go.wait(60)
        finally:
            connection.close()

    def cancel() -> State:
        assert released.wait(60)
        try:
            return actions.cancel(job.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        releasing, cancelling = threads.submit(release), threads.submit(cancel)
        assert released.wait(60)
        _until_someone_waits_for_a_lock()
        go.set()
        releasing.result(20)
        assert cancelling.result(20) is State.CANCELLED
    job.refresh_from_db()
    assert job.state == State.CANCELLED


def _until_someone_waits_for_a_lock() -> None:
    deadline = time.monotonic() + 50  # seconds; less than the release waits for
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("nobody waits")


def test_a_dead_redis_holds_up_no_submit(alice: User, settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1"
    job = actions.submit(owner=alice, spec=_spec())
    assert Job.objects.get(pk=job.pk).state == State.QUEUED


def test_a_cancel_ends_a_queued_job_at_once_and_is_harmless_twice(
    submit: Callable[..., Job],
) -> None:
    job = submit()
    assert actions.cancel(job.pk) is State.CANCELLED
    assert actions.cancel(job.pk) is State.CANCELLED
    assert list(job.events.order_by("seq").values_list("seq", "kind")) == [
        (1, "submitted"),
        (2, "cancelled"),
    ]


def test_a_cancel_that_was_accepted_wins_over_a_success(
    submit: Callable[..., Job], claim: Callable[..., actions.Claim]
) -> None:
    job = submit()
    mine = claim()
    assert actions.cancel(job.pk) is State.RUNNING
    assert actions.renew(mine, step=1).cancel is True
    assert actions.succeed(mine, [video_of(mine)]) is State.CANCELLED
    assert [event.kind for event in job.events.order_by("seq")] == [
        "submitted",
        "claimed",
        "cancel_requested",
        "cancelled",
    ]


def test_a_job_past_its_deadline_expires_unclaimed(submit: Callable[..., Job]) -> None:
    job = submit()
    Job.objects.filter(pk=job.pk).update(deadline="2020-01-01T00:00Z")
    assert actions.claim(worker="worker/1", pool="default") is None
    assert actions.expire() == 1
    job.refresh_from_db()
    assert (job.state, job.error_code) == (State.EXPIRED, "expired")


def test_a_job_that_was_begun_in_time_goes_on_after_its_deadline(
    submit: Callable[..., Job], claim: Callable[..., actions.Claim]
) -> None:
    job = submit()
    actions.release(claim())
    Job.objects.filter(pk=job.pk).update(deadline="2020-01-01T00:00Z")
    assert actions.expire() == 0
    assert claim().job == job.pk
