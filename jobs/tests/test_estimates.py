"""When a job will be done, and what it costs: told from one row that the sweep keeps."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from threading import Barrier
from time import monotonic

import pgtrigger
import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import User
from conftest import video_of
from jobs import actions, estimates, load, workers
from jobs.actions import Claim
from jobs.estimates import UNKNOWN, Estimate
from jobs.management.commands import sweep
from jobs.models import Attempt, Job, JobRequest, PoolLoad, Worker

Rendered = Callable[..., Job]


@pytest.fixture
def rendered(submit: Callable[..., Job], claim: Callable[..., Claim]) -> Rendered:
    """A job that took so many seconds; keywords as of offer.make_spec."""

    def _rendered(seconds: float, **wanted: object) -> Job:
        job, held = submit(**wanted), claim()
        assert held.job == job.pk
        began = Now() - timedelta(seconds=seconds)
        Attempt.objects.filter(job=job).update(started_at=began)
        Job.objects.filter(pk=job.pk).update(started_at=began)
        actions.succeed(held, [video_of(held)])
        ended = F("started_at") + timedelta(seconds=seconds)  # so many, however long this took
        with pgtrigger.ignore():
            Attempt.objects.filter(job=job).update(ended_at=ended)
            Job.objects.filter(pk=job.pk).update(finished_at=ended)
        return Job.objects.select_related("request").get(pk=job.pk)

    return _rendered


@pytest.fixture
def past(db: None, rendered: Rendered) -> None:
    """Renders of 32 steps took 20 s, those of 64 steps 40 s."""
    for _ in range(5):
        rendered(20.0, steps=32)
        rendered(40.0, steps=64)


def a_worker(name: str = "worker") -> uuid.UUID:
    life = uuid.uuid4()
    workers.register(name=name, incarnation=life, pool="default", device="")
    workers.ready(name=name, incarnation=life, device="a card")
    return life


def look() -> PoolLoad:
    """The row of a look that is made now."""
    PoolLoad.objects.update(refreshed_at=Now() - timedelta(seconds=50))
    assert "default" in load.refresh()
    return PoolLoad.objects.get(pool="default")


def estimate_of(*jobs: Job) -> list[Estimate]:
    fresh = Job.objects.with_request().in_bulk([job.pk for job in jobs])
    found = estimates.for_jobs(list(fresh.values()))
    return [found[job.pk] for job in jobs]


def _eta(estimate: Estimate) -> float:
    assert estimate.eta_seconds is not None
    return estimate.eta_seconds


pytestmark = pytest.mark.django_db


def test_a_jobs_end_is_told_from_its_place_and_from_past_renders(
    past: None, submit: Callable[..., Job]
) -> None:
    a_worker()
    jobs = [submit(steps=32), submit(steps=64), submit(steps=32)]
    row = look()
    assert (row.queued, row.running, row.workers) == (3, 0, 1)
    first, second, third = estimate_of(*jobs)
    assert [round(each.render_seconds or 0) for each in (first, second, third)] == [20, 40, 20]
    assert first.wait_seconds == 0.0
    # The others are taken to be as long as those that wait are in the mean.
    assert _eta(second) == pytest.approx(80 / 3 + 40, abs=2)
    assert _eta(third) == pytest.approx(2 * 80 / 3 + 20, abs=2)
    new = estimates.for_spec(jobs[0].request.render_spec())
    assert _eta(new) == pytest.approx(80 + 20, abs=2)


def test_what_was_rendered_already_is_taken_off(
    past: None, submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    life = a_worker()
    job, behind = submit(steps=64), submit(steps=32)
    claim(f"worker/{life}")
    began = monotonic()
    Job.objects.filter(pk=job.pk).update(started_at=Now() - timedelta(seconds=30))
    row = look()
    assert (row.queued, row.running, row.workers) == (1, 1, 1)
    running, next_one = estimate_of(job, behind)
    passed = monotonic() - began  # is taken off as well
    assert (running.wait_seconds, round(running.render_seconds or 0)) == (0.0, 40)
    assert 10 - passed <= _eta(running) <= 12
    assert 10 - passed <= (next_one.wait_seconds or 0) <= 12


def test_a_render_that_takes_longer_than_ever_is_due_at_any_moment_and_not_in_the_past(
    past: None, submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    life = a_worker()
    job, behind = submit(steps=32), submit(steps=32)
    claim(f"worker/{life}")
    Job.objects.filter(pk=job.pk).update(started_at=Now() - timedelta(hours=1))
    look()
    running, next_one = estimate_of(job, behind)
    assert (_eta(running), next_one.wait_seconds) == (0.0, 0.0)


def test_without_a_past_without_a_worker_and_without_a_fresh_look_nothing_is_claimed(
    submit: Callable[..., Job], rendered: Rendered
) -> None:
    job = submit()
    spec = job.request.render_spec()
    assert estimate_of(job) == [UNKNOWN]
    a_worker()
    assert look().queued_seconds is None
    (unjudged,) = estimate_of(job)
    assert (unjudged.wait_seconds, unjudged.render_seconds) == (0.0, None)
    actions.cancel(job.pk)
    rendered(20.0)
    Worker.objects.all().delete()
    look()
    alone = estimates.for_spec(spec)
    assert (alone.wait_seconds, alone.eta_seconds) == (None, None)
    assert alone.render_seconds == pytest.approx(20, abs=1)
    PoolLoad.objects.update(refreshed_at=Now() - timedelta(seconds=61))
    assert estimates.for_spec(spec) == UNKNOWN


def test_only_workers_that_live_and_take_jobs_count(
    past: None, submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    silent, troubled, loading = (a_worker(name) for name in ("silent", "troubled", "loading"))
    a_worker("drains")
    Worker.objects.filter(incarnation=loading).update(ready_at=None, seen_at=Now())
    workers.drain("drains")
    workers.seen(name="troubled", incarnation=troubled, trouble="The disk is full.")
    assert look().workers == 2
    Worker.objects.filter(incarnation=silent).update(seen_at=Now() - timedelta(seconds=61))
    assert look().workers == 1
    submit()
    claim(f"silent/{silent}")  # it renders, so it need not tell
    assert look().workers == 2


def test_an_approximate_quality_has_a_pace_of_its_own_as_soon_as_it_was_rendered(
    past: None, rendered: Rendered
) -> None:
    exact = rendered(20.0, steps=32).request.render_spec()
    fast = rendered(20.0, steps=32, quality="fast-pyramid").request.render_spec()
    JobRequest.objects.filter(spec__quality="fast-pyramid").update(spec=exact.as_dict())
    look()
    before = estimates.for_spec(fast).render_seconds
    assert before == pytest.approx(20, abs=1)
    rendered(8.0, steps=32, quality="fast-pyramid")
    look()
    assert estimates.for_spec(fast).render_seconds == pytest.approx(8, abs=1)
    assert estimates.for_spec(exact).render_seconds == pytest.approx(20, abs=1)


def test_a_deep_queue_is_judged_by_a_sample_from_its_head_to_its_tail(
    past: None, submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "SAMPLED", 10)
    for steps in (32, 64):
        for _ in range(40):
            submit(steps=steps)
    look()
    row = look()  # the second knows how deep it is
    assert row.queued == 80
    assert row.queued_seconds == pytest.approx(80 * 30, rel=0.05)
    Job.objects.filter(state="queued").update(pool="elsewhere")
    jobs = [submit(steps=64) for _ in range(7)]
    assert look().queued_seconds == pytest.approx(len(jobs) * 40, rel=0.05)


def test_what_another_version_asked_for_stops_no_look(
    past: None, submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    odd, running = submit(steps=32), submit(steps=32)
    JobRequest.objects.filter(job__in=[odd, running]).update(spec={"unheard": "of"})
    Job.objects.filter(pk=odd.pk).update(run_at=Now() + timedelta(hours=1))
    submit(steps=32)
    row = look()
    assert row.queued == 3
    assert row.queued_seconds == pytest.approx(60, abs=3)


def test_jobs_and_places_cost_two_queries_however_many_and_a_spec_costs_one(
    past: None,
    submit: Callable[..., Job],
    django_assert_num_queries: Callable[[int], object],
) -> None:
    a_worker()
    for _ in range(20):
        submit()
    look()
    jobs = list(Job.objects.with_request())
    with django_assert_num_queries(2):  # type: ignore[attr-defined]
        assert len(estimates.for_jobs(jobs)) == 30
    with django_assert_num_queries(1):  # type: ignore[attr-defined]
        estimates.for_jobs(jobs, places={})
    with django_assert_num_queries(1):  # type: ignore[attr-defined]
        estimates.for_spec(jobs[0].request.render_spec())
    with django_assert_num_queries(0):  # type: ignore[attr-defined]
        assert set(estimates.for_jobs([j for j in jobs if j.finished_at]).values()) == {UNKNOWN}


def test_the_sweep_looks_and_nobody_looks_again_at_once(
    past: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "postgres_seconds", lambda: 1e6)
    # One that took a second has a rest of 40 seconds at the most, so that it stays fresh.
    assert load.rest_seconds(1.0) == load.AT_LATEST_SECONDS == 40
    # All of it a hundred times as long: a test machine that stops for a moment is late for none.
    for name in ("EVERY_SECONDS", "AT_LATEST_SECONDS"):
        monkeypatch.setattr(load, name, getattr(load, name) * 100)
    sweep.sweep()
    assert PoolLoad.objects.get().pool == "default"
    assert load.refresh() == []
    PoolLoad.objects.update(took_seconds=100.0, refreshed_at=Now() - timedelta(seconds=3900))
    assert load.refresh() == []
    PoolLoad.objects.update(took_seconds=100.0, refreshed_at=Now() - timedelta(seconds=4001))
    assert load.refresh() == ["default"]


@pytest.mark.django_db(transaction=True)
def test_of_many_sweeps_one_looks(past: None, monkeypatch: pytest.MonkeyPatch) -> None:
    # However late the last of them comes, the rest after the first one's look is not over.
    monkeypatch.setattr(load, "EVERY_SECONDS", load.AT_LATEST_SECONDS)
    start = Barrier(6)

    def round_(_: int) -> list[str]:
        start.wait(60)
        try:
            return load.refresh()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        looked = [pool for pools in threads.map(round_, range(6)) for pool in pools]
    assert looked == ["default"]


@pytest.mark.django_db(transaction=True)
def test_who_asked_before_anothers_look_and_locks_after_it_does_not_look_again(
    past: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a statement's snapshot and its lock: held up there by a lock of this test."""
    gate = "pg_advisory_xact_lock(77)::text IS NOT NULL AND pg_try"
    monkeypatch.setattr(load, "_DUE", load._DUE.replace("pg_try", gate))
    monkeypatch.setattr(load, "TIMEOUT_MS", 60_000)
    monkeypatch.setattr(load, "EVERY_SECONDS", load.AT_LATEST_SECONDS)

    def late() -> list[str]:
        try:
            return load.refresh()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(77)")
        asked = threads.submit(late)
        until = monotonic() + 60
        waiting = False
        while not waiting:
            assert monotonic() < until
            cursor.execute("SELECT true FROM pg_locks WHERE objid = 77 AND NOT granted")
            waiting = cursor.fetchone() is not None
        assert load.refresh() == ["default"]
        cursor.execute("SELECT pg_advisory_unlock(77)")
        assert asked.result(60) == []


@pytest.mark.django_db(transaction=True)
def test_a_look_that_takes_too_long_is_given_up_and_the_sweep_goes_on(
    past: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    patience = load.TIMEOUT_MS
    monkeypatch.setattr(load, "TIMEOUT_MS", 50)
    with ThreadPoolExecutor(1) as threads, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE jobs_attempt IN ACCESS EXCLUSIVE MODE")

        def other() -> list[str]:
            try:
                return load.refresh()
            finally:
                connection.close()

        assert threads.submit(other).result(30) == []
    assert "took more than 50 ms" in caplog.text
    monkeypatch.setattr(load, "TIMEOUT_MS", patience)  # a busy machine needs more for a good look
    assert load.refresh() == ["default"]


def test_a_job_costs_its_seconds_at_the_price_that_is_set(
    past: None, settings: LazySettings, submit: Callable[..., Job], alice: User
) -> None:
    settings.T2V_GPU_SECOND_PRICE, settings.T2V_CURRENCY = Decimal("0.0005"), "EUR"
    look()
    job = submit(steps=64)
    expected = estimates.cost(estimates.for_spec(job.request.render_spec()))
    assert expected["gpu_seconds"] == pytest.approx(40, abs=1)
    assert Decimal(expected["amount"]) == pytest.approx(Decimal("0.02"), abs=Decimal("0.0005"))
    done = Job.objects.filter(state="succeeded").first()
    assert done is not None
    assert estimates.cost(done)["gpu_seconds"] in (
        pytest.approx(20, abs=1),
        pytest.approx(40, abs=1),
    )
    actions.cancel(job.pk)
    job.refresh_from_db()
    assert estimates.cost(job) == {"gpu_seconds": 0.0, "amount": "0.000000", "currency": "EUR"}
    assert estimates.cost(UNKNOWN) == {"gpu_seconds": None, "amount": None, "currency": "EUR"}
