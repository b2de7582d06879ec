"""The one timer: any number of copies, again and again, with Redis dead and Postgres new."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from threading import Barrier

import pytest
import redis
from django.conf import LazySettings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from jobs import actions, artifacts, dispatch, load, stream
from jobs.actions import Claim
from jobs.lifecycle import State
from jobs.management.commands import sweep
from jobs.models import LEASE, Attempt, Job, JobEvent

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def old_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own was started a moment ago."""
    monkeypatch.setattr(sweep, "postgres_seconds", lambda: 1e6)


def end_leases() -> None:
    Job.objects.filter(state=State.RUNNING).update(
        lease_until=timezone.now() - timedelta(seconds=1)
    )


def test_one_sweep_after_another_finds_nothing_left_to_do(  # noqa: PLR0917 - fixtures
    old_postgres: None,
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    media: Path,
    settings: LazySettings,
    tmp_path: Path,
) -> None:
    settings.T2V_ORPHAN_HOURS = 0
    submit()
    held = claim()
    (tmp_path / "made").write_text("half a video")
    artifacts.put(held.job, held.attempt, "video.mp4", tmp_path / "made")
    end_leases()
    told = StringIO()
    call_command("sweep", "--once", stdout=told)
    assert told.getvalue().startswith("1 taken back, 0 expired")
    assert "1 attempts cleared away" in told.getvalue()
    told = StringIO()
    call_command("sweep", "--once", stdout=told)
    assert told.getvalue().startswith("0 taken back, 0 expired")
    assert "0 attempts cleared away" in told.getvalue()
    assert not [path for path in media.rglob("*") if path.is_file()]


def test_many_sweeps_at_once_take_each_lost_job_back_once(
    old_postgres: None, submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    for _ in range(30):
        submit()
    for number in range(30):
        claim(f"worker-{number}/1")
    end_leases()
    start = Barrier(6)

    def round_() -> str:
        start.wait(60)
        try:
            return sweep.sweep()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        told = [future.result(60) for future in [threads.submit(round_) for _ in range(6)]]
    assert sum(int(line.split()[0]) for line in told) == 30
    assert JobEvent.objects.filter(kind="requeued").count() == 30
    assert Attempt.objects.filter(outcome="lost").count() == 30


def test_leases_that_ran_out_while_postgres_was_away_are_their_holders_to_renew(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = submit()
    held = claim()
    end_leases()
    monkeypatch.setattr(sweep, "postgres_seconds", lambda: LEASE.total_seconds() - 1)
    assert sweep.sweep().startswith("0 taken back")
    actions.renew(held, step=3)
    monkeypatch.setattr(sweep, "postgres_seconds", lambda: LEASE.total_seconds() + 1)
    assert sweep.sweep().startswith("0 taken back")
    end_leases()
    assert sweep.sweep().startswith("1 taken back")
    assert Job.objects.get(pk=job.pk).state == State.QUEUED


def test_a_sweep_knows_how_long_postgres_has_been_there() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM pg_postmaster_start_time())")
        started = float(cursor.fetchone()[0])
    assert abs(sweep.postgres_seconds() - (timezone.now().timestamp() - started)) < 5


def test_a_lost_knock_is_knocked_again_and_a_waiting_one_is_not_doubled(
    submit: Callable[..., Job], empty_redis: redis.Redis
) -> None:
    submit()
    assert dispatch.wait_empty(60)
    empty_redis.flushdb()
    sweep.sweep()
    assert dispatch.wait_empty(60)
    assert stream.knocks_waiting("default") == 1
    sweep.sweep()
    assert dispatch.wait_empty(60)
    assert stream.knocks_waiting("default") == 1


def test_a_sweep_does_its_work_with_redis_dead(
    old_postgres: None,
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    settings: LazySettings,
) -> None:
    job, late = submit(), submit()
    claim()
    end_leases()
    Job.objects.filter(pk=late.pk).update(deadline="2020-01-01T00:00Z")
    settings.REDIS_URL = "redis://127.0.0.1:1"
    assert sweep.sweep().startswith("1 taken back, 1 expired")
    assert Job.objects.get(pk=job.pk).state == State.QUEUED
    assert Job.objects.get(pk=late.pk).state == State.EXPIRED


def broken() -> int:
    raise ZeroDivisionError


@pytest.mark.parametrize("chore", sweep.CHORES)
def test_a_chore_that_fails_holds_up_no_other_and_rests(
    chore: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def noted(name: str) -> int:
        done.append(name)
        return sweep_chores[name]()

    sweep_chores = {**sweep.CHORES, chore: broken}
    monkeypatch.setattr(sweep, "CHORES", {name: partial(noted, name) for name in sweep_chores})
    rests: dict[str, float] = {}
    sweep.tidy(rests)
    assert done == list(sweep.CHORES)
    assert [record.message for record in caplog.records] == [f"no {chore}"]
    sweep.tidy(rests)
    assert done[len(sweep.CHORES) :] == [name for name in sweep.CHORES if name != chore]


def test_a_look_at_the_load_that_breaks_takes_lost_jobs_back_all_the_same(
    old_postgres: None,
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "refresh", broken)
    submit()
    claim()
    end_leases()
    assert sweep.sweep().startswith("1 taken back")
