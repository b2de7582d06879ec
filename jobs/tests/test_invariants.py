"""Every query of the invariants finds what it is written for, and nothing in sound rows."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction

from accounts.models import User
from conftest import video_of
from jobs import actions
from jobs.actions import Claim
from jobs.artifacts import Stored, key_for
from jobs.lifecycle import State
from jobs.models import Job
from jobs.tests.invariants import CHECKS, SHOWN, violations

# What to do to sound rows so that a check must fire; {parked} is the parked job's id, and so on.
BREAKS = {
    "I1 running if and only if one attempt, the newest, is live": [
        "UPDATE jobs_attempt SET outcome = 'running' WHERE job_id = {succeeded}",
        "UPDATE jobs_attempt SET outcome = 'lost' WHERE job_id = {running}",
        "UPDATE jobs_attempt SET worker = 'other/1' WHERE job_id = {running}",
    ],
    "I1 running if and only if it holds a lease": [
        "UPDATE jobs_job SET lease_until = NULL WHERE id = {running}",
        "UPDATE jobs_job SET worker = '' WHERE id = {running}",
        "UPDATE jobs_job SET lease_until = now() WHERE id = {queued}",
    ],
    "I2 the attempts are numbered from 1 to the job's attempt": [
        "UPDATE jobs_job SET attempt = attempt + 1 WHERE id = {running}",
        "UPDATE jobs_attempt SET number = 7 WHERE job_id = {succeeded}",
    ],
    "I2 every attempt was claimed once": [
        "UPDATE jobs_jobevent SET kind = 'claimed' WHERE job_id = {queued}",
        "UPDATE jobs_jobevent SET attempt = 1 WHERE job_id = {parked}",
    ],
    "I3 an attempt ends once, when it has an outcome": [
        "UPDATE jobs_attempt SET ended_at = now() WHERE job_id = {running}",
    ],
    "I3 final if and only if it has an end": [
        "UPDATE jobs_job SET finished_at = NULL WHERE id = {succeeded}",
        "UPDATE jobs_job SET finished_at = now() WHERE id = {running}",
    ],
    "I4 succeeded if and only if its video is there": [
        "DELETE FROM jobs_artifact WHERE job_id = {succeeded}",
        "UPDATE jobs_job SET state = 'succeeded' WHERE id = {failed}",
    ],
    "I4 files are the succeeded attempt's, with its number in the key": [
        "UPDATE jobs_artifact SET attempt = 2",
        "UPDATE jobs_artifact SET key = replace(key, '/1/', '/2/')",
        "UPDATE jobs_artifact SET job_id = {running}",
    ],
    "I4 a file has its size and its hash": [
        "UPDATE jobs_artifact SET size = 0",
        "UPDATE jobs_artifact SET sha256 = ''",
    ],
    "I4 succeeded if and only if its newest attempt did, and no other": [
        "UPDATE jobs_attempt SET outcome = 'lost' WHERE job_id = {succeeded}",
        "UPDATE jobs_attempt SET outcome = 'succeeded' WHERE job_id = {parked} AND number = 1",
    ],
    "I5 no more attempts are spent than allowed": [
        "UPDATE jobs_job SET max_attempts = 2 WHERE id = {parked}",
        "UPDATE jobs_job SET releases = attempt + 1 WHERE id = {running}",
    ],
    "I5 releases count what was released": [
        "UPDATE jobs_job SET releases = 1 WHERE id = {succeeded}",
        "UPDATE jobs_attempt SET outcome = 'released' WHERE job_id = {parked} AND number = 1",
    ],
    "I5 parked when all attempts are spent, waiting only before that": [
        "UPDATE jobs_job SET max_attempts = 4 WHERE id = {parked}",
        "UPDATE jobs_job SET max_attempts = 0 WHERE id = {queued}",
    ],
    "I5 failed only when its newest attempt says so": [
        "UPDATE jobs_attempt SET outcome = 'lost' WHERE job_id = {failed}",
        "UPDATE jobs_job SET state = 'failed' WHERE id = {expired}",
    ],
    "I6 nothing but its end follows an accepted cancel, and that only when asked": [
        "UPDATE jobs_job SET cancel_requested_at = NULL WHERE id = {cancelled}",
        "UPDATE jobs_job SET cancel_requested_at = now() WHERE id = {succeeded}",
        "UPDATE jobs_job SET cancel_requested_at = now() WHERE id = {queued}",
    ],
    "I6 a cancel that was asked for has its event": [
        "UPDATE jobs_job SET cancel_requested_at = now() WHERE id = {running}",
        "UPDATE jobs_jobevent SET kind = 'cancel_requested' WHERE job_id = {queued}",
    ],
    "I6 expired after its deadline, and only what nobody began": [
        "UPDATE jobs_job SET deadline = NULL WHERE id = {expired}",
        "UPDATE jobs_job SET deadline = finished_at + interval '1 s' WHERE id = {expired}",
        "UPDATE jobs_job SET attempt = 1 WHERE id = {expired}",
    ],
    "I6 begun before its deadline": [
        "UPDATE jobs_job SET deadline = started_at - interval '1 s' WHERE id = {succeeded}",
    ],
    "I7 events are dense from 1 to the version": [
        "UPDATE jobs_job SET version = version + 1 WHERE id = {queued}",
        "UPDATE jobs_jobevent SET seq = 9 WHERE job_id = {succeeded} AND seq = 2",
        "DELETE FROM jobs_jobevent WHERE job_id = {succeeded} AND seq = 1",
    ],
    "I7 the newest event says what the job is": [
        "UPDATE jobs_jobevent SET state = 'running' WHERE job_id = {queued}",
        "UPDATE jobs_jobevent SET attempt = 5 WHERE job_id = {queued}",
    ],
    "I7 one final event, of a final job": [
        "UPDATE jobs_jobevent SET state = 'succeeded' WHERE job_id = {succeeded}",
        "UPDATE jobs_job SET state = 'parked' WHERE id = {queued}",
    ],
    "I7 every job says what was asked for": [
        "DELETE FROM jobs_jobrequest WHERE job_id = {queued}",
    ],
    "I7 only what ended undone is tried again": [
        "UPDATE jobs_jobrequest SET retry_of_id = {succeeded} WHERE job_id = {queued}",
    ],
    "I9 a checkpoint is kept only while somebody may go on from it": [
        "UPDATE jobs_checkpoint SET job_id = {cancelled} WHERE job_id = {running}",
    ],
    "I9 a checkpoint is of the job or of the one it retries, in its own key": [
        "UPDATE jobs_checkpoint SET source_id = {succeeded}",
        "UPDATE jobs_checkpoint SET attempt = attempt + 1",
        "UPDATE jobs_checkpoint SET size = 0",
        "UPDATE jobs_checkpoint SET key = 'elsewhere'",
    ],
}


@pytest.fixture
def sound(alice: User, submit: Callable[..., Job], claim: Callable[..., Claim]) -> None:
    """One job of each state; the running and the parked one have a checkpoint."""

    def save_checkpoint(held: Claim) -> None:
        name = "checkpoint-1.safetensors"
        key = key_for(held.job, held.attempt, name)
        stored = Stored(name=name, key=key, content_type="x", size=1, sha256=64 * "0")
        actions.save_checkpoint(held, stored=stored, step=1)

    def begin() -> Claim:
        submit()
        return claim()

    held = begin()
    actions.succeed(held, [video_of(held)])
    actions.fail(begin(), code="bad", message="bad", permanent=True)
    held = begin()
    actions.cancel(held.job)
    actions.obey_cancel(held)
    parked = submit().pk
    for _ in range(3):
        held = claim()
        save_checkpoint(held)
        actions.fail(held, code="bad", message="bad", permanent=False)
        Job.objects.filter(pk=parked, state=State.QUEUED).update(run_at="2026-01-01T00:00:00Z")
    expired = submit()
    Job.objects.filter(pk=expired.pk).update(deadline=expired.created_at - timedelta(seconds=1))
    actions.expire()
    save_checkpoint(begin())
    submit()


def _loosen() -> None:
    """Takes away, until the test's transaction is rolled back, all that refuses broken rows."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "SELECT conrelid::regclass, conname FROM pg_constraint "
            "WHERE conrelid::regclass::text LIKE 'jobs_%' AND contype IN ('c', 'f', 'u')"
        )
        for table, name in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for index in ("jobs_one_final_event", "jobs_one_live_attempt"):
            cursor.execute(f"DROP INDEX {index}")


@pytest.mark.usefixtures("sound")
def test_sound_rows_keep_every_promise() -> None:
    with connection.cursor() as cursor:
        assert violations(cursor) == []


@pytest.mark.usefixtures("sound")
@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_row_is_found_by(name: str) -> None:
    ids = {job.state: f"'{job.pk}'" for job in Job.objects.order_by("-created_at")}
    _loosen()
    for sql in BREAKS[name]:
        before = transaction.savepoint()
        with connection.cursor() as cursor:
            cursor.execute(sql.format(**ids))
            assert cursor.rowcount > 0, f"nothing was broken: {sql}"
            assert name in {line.partition(": ")[0] for line in violations(cursor)}, sql
        transaction.savepoint_rollback(before)


def test_no_check_is_without_a_row_that_it_finds() -> None:
    assert list(BREAKS) == list(CHECKS)


def test_a_line_names_the_first_jobs_and_counts_the_rest(submit: Callable[..., Job]) -> None:
    ids = sorted(str(submit().pk) for _ in range(SHOWN + 2))
    _loosen()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM jobs_jobrequest")
        (line,) = violations(cursor)
    assert line == f"I7 every job says what was asked for: {', '.join(ids[:SHOWN])} and 2 more"
