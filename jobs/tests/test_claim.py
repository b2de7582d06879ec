"""One job, one worker: the claim is a compare-and-swap, and the attempt number fences."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from conftest import video_of
from jobs import actions, workers
from jobs.actions import Claim
from jobs.errors import LostClaim
from jobs.lifecycle import Outcome, State
from jobs.models import Attempt, Job

pytestmark = pytest.mark.django_db(transaction=True)


def _claims_of_twenty_threads() -> list[Claim]:
    """What twenty workers get that claim at the same moment."""
    start = Barrier(20)

    def claim(number: int) -> Claim | None:
        start.wait()
        try:
            return actions.claim(worker=f"worker-{number}/1", pool="default")
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        return [taken for taken in threads.map(claim, range(20)) if taken]


def test_of_twenty_threads_one_claims_the_job(submit: Callable[..., Job]) -> None:
    job = submit()
    claims = _claims_of_twenty_threads()
    assert [taken.job for taken in claims] == [job.pk]
    job.refresh_from_db()
    assert (job.state, job.attempt, job.worker) == (State.RUNNING, 1, claims[0].worker)
    assert list(job.events.order_by("seq").values_list("seq", "kind")) == [
        (1, "submitted"),
        (2, "claimed"),
    ]


def test_twenty_jobs_are_claimed_once_each_by_twenty_threads(submit: Callable[..., Job]) -> None:
    jobs = {submit().pk for _ in range(20)}
    assert sorted(taken.job for taken in _claims_of_twenty_threads()) == sorted(jobs)


def _expire_lease(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def _start_now(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(run_at=timezone.now() - timedelta(seconds=1))


def test_a_late_attempt_can_do_nothing_to_a_job_that_was_given_on(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    job = submit()
    late = claim("sleeper/1")
    _expire_lease(job)
    assert actions.reap() == 1
    _start_now(job)
    current = claim("other/1")
    assert (late.attempt, current.attempt) == (1, 2)

    for verb in (
        lambda: actions.renew(late, step=5),
        lambda: actions.orders(late),
        lambda: actions.succeed(late, [video_of(late)]),
        lambda: actions.release(late),
        lambda: actions.obey_cancel(late),
        lambda: actions.fail(late, code="x", message="x", permanent=True),
    ):
        with pytest.raises(LostClaim):
            verb()

    assert actions.succeed(current, [video_of(current)]) is State.SUCCEEDED
    outcomes = Attempt.objects.filter(job=job).order_by("number").values_list("outcome", flat=True)
    assert list(outcomes) == [Outcome.LOST, Outcome.SUCCEEDED]


def test_a_lease_that_ended_is_revived_by_its_own_attempt_only(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    job = submit()
    mine = claim()
    _expire_lease(job)
    assert actions.renew(mine, step=3).cancel is False
    assert actions.reap() == 0
    job.refresh_from_db()
    assert job.lease_until is not None
    assert job.lease_until > timezone.now() + timedelta(seconds=50)


def test_attempts_are_counted_at_the_claim_and_a_job_is_parked_when_they_are_used_up(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    job = submit()
    for _ in range(job.max_attempts):
        claim()
        _expire_lease(job)
        actions.reap()
        _start_now(job) if Job.objects.get(pk=job.pk).state == State.QUEUED else None
    job.refresh_from_db()
    assert (job.state, job.spent, job.error_code) == (State.PARKED, 3, "worker_lost")
    assert actions.claim(worker="worker/9", pool="default") is None


def test_a_released_job_keeps_its_attempts_and_its_place(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    first, _second = submit(), submit()
    actions.release(claim())
    first.refresh_from_db()
    assert (first.state, first.attempt, first.spent) == (State.QUEUED, 1, 0)
    assert claim().job == first.pk


def test_a_worker_that_comes_back_takes_its_lost_jobs_back_at_once(
    submit: Callable[..., Job],
) -> None:
    job, others = submit(), submit()
    first, second = uuid.uuid4(), uuid.uuid4()
    holder = workers.register(name="gpu-1", incarnation=first, pool="default", device="")
    assert actions.claim(worker=holder, pool="default") is not None
    assert actions.claim(worker="gpu-10/1", pool="default") is not None

    workers.register(name="gpu-1", incarnation=second, pool="default", device="")

    job.refresh_from_db()
    others.refresh_from_db()
    assert (job.state, others.state) == (State.QUEUED, State.RUNNING)


def test_a_success_repeated_after_a_lost_reply_is_the_same_success(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    job = submit()
    mine = claim()
    assert actions.succeed(mine, [video_of(mine)]) is State.SUCCEEDED
    assert actions.succeed(mine, [video_of(mine)]) is State.SUCCEEDED
    assert job.events.filter(kind="succeeded").count() == 1
