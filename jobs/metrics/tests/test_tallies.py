"""What happened is counted once, whatever dies, and whatever becomes of the jobs."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from conftest import video_of
from jobs import actions, purge
from jobs.actions import Claim
from jobs.lifecycle import Outcome, State
from jobs.metrics import tallies
from jobs.metrics.tests.counting import count_all
from jobs.models import (
    Attempt,
    Delivery,
    DeliveryTry,
    Job,
    JobEvent,
    Tally,
    TallyMark,
    WebhookEndpoint,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _usual_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "_sizes", {})


def counted(name: str) -> dict[tuple[str, ...], float]:
    rows = Tally.objects.filter(name=name)
    return {tuple(row.labels): row.value for row in rows}


def all_counted() -> dict[tuple[str, ...], float]:
    return {(row.name, *row.labels): row.value for row in Tally.objects.all()}


def test_every_ending_of_a_job_gives_exactly_its_counts(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    submit()
    actions.succeed(held := claim(), [video_of(held)])
    submit()
    actions.fail(claim(), code="bad_prompt", message="It is empty.", permanent=True)
    submit()
    actions.fail(claim(), code="model_missing", message="It is away.", permanent=True)
    cancelled_at_once = submit()
    actions.cancel(cancelled_at_once.pk)
    cancelled = submit()
    held = claim()
    actions.cancel(cancelled.pk)
    actions.obey_cancel(held)
    expired = submit()
    Job.objects.filter(pk=expired.pk).update(deadline=timezone.now() - timedelta(seconds=1))
    assert actions.expire() == 1
    released_and_parked()(submit, claim)
    count_all()
    assert counted("t2v_jobs_submitted_total") == {("default",): 7}
    assert counted("t2v_jobs_ended_total") == {
        ("default", "succeeded", "none"): 1,
        ("default", "failed", "user"): 1,
        ("default", "failed", "service"): 1,
        ("default", "cancelled", "none"): 2,
        ("default", "expired", "service"): 1,
        ("default", "parked", "service"): 1,
    }
    assert counted("t2v_attempts_started_total") == {
        ("default", "first"): 5,
        ("default", "released"): 1,
        ("default", "again"): 2,
    }
    assert counted("t2v_attempts_ended_total") == attempts_by_outcome()
    assert counted("t2v_leases_reaped_total") == {("default",): 1}
    assert sum(counted("t2v_queue_wait_seconds_bucket").values()) == 5
    assert sum(counted("t2v_render_seconds_bucket").values()) == 1
    assert sum(counted("t2v_job_seconds_bucket").values()) == 1


def released_and_parked() -> Callable[..., None]:
    """One job: handed back, lost, failed, and failed for the last time."""

    def live(submit: Callable[..., Job], claim: Callable[..., Claim]) -> None:
        job = submit()
        actions.release(claim())
        claim()
        Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        assert actions.reap() == 1
        for _ in range(job.max_attempts - 1):
            Job.objects.filter(pk=job.pk, state=State.QUEUED).update(run_at=timezone.now())
            actions.fail(claim(), code="gpu_broken", message="It broke.", permanent=False)
        job.refresh_from_db()
        assert job.state == State.PARKED

    return live


def attempts_by_outcome() -> dict[tuple[str, ...], float]:
    outcomes = Attempt.objects.exclude(outcome=Outcome.RUNNING).values_list("outcome", flat=True)
    return {("default", outcome): number for outcome, number in Counter(outcomes).items()}


@contextmanager
def another_transaction() -> Iterator[Any]:
    """Of somebody else, open until the end of the block."""
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            yield cursor
        other.commit()
    finally:
        other.close()


_NEXT = """
WITH moved AS (
    UPDATE jobs_job SET version = version + 1, cancel_requested_at = now() WHERE id = %s
    RETURNING id, version, state, attempt)
INSERT INTO jobs_jobevent (job_id, seq, kind, state, attempt, data)
SELECT id, version, 'cancel_requested', state, attempt, '{}' FROM moved
"""


def test_a_transaction_that_is_held_open_is_waited_for_and_not_passed_over(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    """Its event has a smaller id than those that others commit meanwhile."""
    held = submit()
    claim()
    count_all()
    with another_transaction() as cursor:
        cursor.execute(_NEXT, [held.pk])
        later = [submit() for _ in range(3)]
        for _ in range(3):
            tallies.count()
        assert counted("t2v_jobs_submitted_total") == {("default",): 1}
        mark = TallyMark.objects.get(table=tallies.EVENTS)
        mine = JobEvent.objects.filter(job__in=later)
        assert mark.counted_to < mine.order_by("id").values_list("id", flat=True)[0]
    ours = JobEvent.objects.get(job=held, kind="cancel_requested")
    assert ours.pk < mine.order_by("id").values_list("id", flat=True)[0]
    assert count_all() == 4
    assert counted("t2v_jobs_submitted_total") == {("default",): 4}


def test_a_transaction_in_another_database_holds_nothing_up(submit: Callable[..., Job]) -> None:
    other = connection.copy()
    other.settings_dict = {**other.settings_dict, "NAME": "postgres"}
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")  # it has its number
            submit()
            count_all()
            assert counted("t2v_jobs_submitted_total") == {("default",): 1}
        other.rollback()
    finally:
        other.close()


def test_what_dies_before_its_commit_has_counted_nothing(
    submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit()
    count_all()
    before = all_counted()
    submit()
    saves = TallyMark.save

    def dies(mark: TallyMark, *_: Any, **__: Any) -> None:
        if all_counted() != before:  # it is in the rows already
            raise KeyboardInterrupt
        saves(mark)

    with monkeypatch.context() as patch:
        patch.setattr(TallyMark, "save", dies)
        with pytest.raises(KeyboardInterrupt):
            count_all()
    assert all_counted() == before
    count_all()
    assert counted("t2v_jobs_submitted_total") == {("default",): 2}


def test_many_sweeps_at_once_count_everything_once(submit: Callable[..., Job]) -> None:
    for _ in range(20):
        submit()
    start = Barrier(4)

    def counts() -> int:
        start.wait(10)
        try:
            return sum(tallies.count() for _ in range(5))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        rounds = [pool.submit(counts) for _ in range(4)]
        done = sum(each.result(60) for each in rounds)
    assert done + count_all() == 20
    assert counted("t2v_jobs_submitted_total") == {("default",): 20}


def test_after_an_outage_counting_catches_up_in_batches(
    submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "BATCH", 3)
    monkeypatch.setattr(tallies, "ROUND_SECONDS", 0.0)
    for _ in range(10):
        submit()
    assert tallies.count() <= 2 * 3  # a batch of each pass
    assert count_all() >= 10 - 2 * 3
    assert counted("t2v_jobs_submitted_total") == {("default",): 10}


def test_counting_goes_on_in_a_cluster_whose_transactions_have_smaller_numbers(
    submit: Callable[..., Job],
) -> None:
    """A dump that was restored elsewhere."""
    submit()
    count_all()
    TallyMark.objects.update(next_xid=2**40, next_to=2**40)
    TallyMark.objects.update(next_to=F("counted_to") + 1)
    submit()
    count_all()
    assert counted("t2v_jobs_submitted_total") == {("default",): 2}


def test_a_deleted_job_is_counted_before_it_goes_and_stays_counted(
    submit: Callable[..., Job], settings: LazySettings, media: Path
) -> None:
    settings.T2V_DELETED_HOURS = 0
    job = submit()
    count_all()
    actions.cancel(job.pk)
    actions.delete(job.pk)
    assert purge.purge_deleted() == 0
    count_all()
    before = all_counted()
    assert purge.purge_deleted() == 1
    count_all()
    assert all_counted() == before
    assert counted("t2v_jobs_ended_total") == {("default", "cancelled", "none"): 1}


def test_tries_to_deliver_a_webhook_are_counted_by_what_came_of_them(alice: User) -> None:
    endpoint = WebhookEndpoint.objects.create(owner=alice, url="https://x.example", secret="s")
    for most, errors in ((3, ["refused", ""]), (2, ["refused", "refused"])):
        delivery = Delivery.objects.create(endpoint=endpoint, kind="job.succeeded", most_tries=most)
        for number, error in enumerate(errors, start=1):
            DeliveryTry.objects.create(
                delivery=delivery, number=number, url=endpoint.url, error=error, seconds=0.1
            )
    count_all()
    assert counted("t2v_webhook_deliveries_total") == {
        ("delivered",): 1,
        ("failed",): 2,
        ("exhausted",): 1,
    }


def test_rows_that_were_taken_out_by_hand_hide_none_behind_them(
    submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "BATCH", 3)
    jobs = [submit() for _ in range(7)]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobs_jobevent DISABLE TRIGGER USER")
        cursor.execute("UPDATE jobs_jobevent SET seq = 7 WHERE job_id = %s", [jobs[0].pk])
        cursor.execute("ALTER TABLE jobs_jobevent ENABLE TRIGGER USER")
    count_all()
    assert counted("t2v_jobs_submitted_total") == {("default",): 6}


def test_where_postgres_is_slow_batches_become_smaller_and_the_sweep_is_seen(
    submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit()
    count_all()
    submit()
    seen = TallyMark.objects.get(table=tallies.EVENTS).looked_at
    with monkeypatch.context() as patch:
        patch.setattr(tallies, "TIMEOUT_MS", 50)
        patch.setattr(tallies, "_settled", slow)
        assert tallies._batch_of(tallies.EVENTS) == 0
    assert TallyMark.objects.get(table=tallies.EVENTS).looked_at > seen
    assert tallies._sizes[tallies.EVENTS] == tallies.BATCH // 2
    assert count_all() == 1
    assert tallies._sizes[tallies.EVENTS] == tallies.BATCH


def slow() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(20)")
    raise AssertionError("it was not cut short")
