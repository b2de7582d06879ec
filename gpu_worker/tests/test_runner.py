"""A worker's child with the bundled model, on a real queue: what becomes of a job in its hands."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import av
import pytest
import redis
from django.conf import LazySettings, settings
from django.db import connection, transaction

from gpu_worker.engine import Sprite
from gpu_worker.lease import Lease
from gpu_worker.reporter import Reporter
from gpu_worker.runner import Runner
from jobs import actions, catalog, dispatch, stream
from jobs.actions import Claim
from jobs.lifecycle import Outcome, State
from jobs.models import Job, JobRequest, Worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def runner(media: Path, empty_redis: redis.Redis) -> Iterator[Runner]:
    started = Runner(name="gpu-test", pool="default", root=Path(settings.BASE_DIR), threads=1)
    started.start()
    yield started
    started.drain()
    assert started.join(30)
    assert dispatch.wait_empty(5)


def _until(seen: Callable[[], bool], seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.05)


def _state(job: Job) -> str:
    return str(Job.objects.values_list("state", flat=True).get(pk=job.pk))


def test_a_job_becomes_a_video_in_storage_with_its_hash_in_the_row(
    runner: Runner, submit: Callable[..., Job], media: Path
) -> None:
    job = submit(steps=6, frames=19)
    _until(lambda: _state(job) not in {State.QUEUED, State.RUNNING})
    job.refresh_from_db()
    assert (job.state, job.error_message) == (State.SUCCEEDED, "")
    video = job.artifacts.get(name="video.mp4")
    assert video.key == f"jobs/{job.pk}/1/video.mp4"
    with av.open(str(media / video.key), mode="r") as clip:
        frames = [frame.to_ndarray(format="rgb24").shape for frame in clip.decode(video=0)]
    assert frames == [(64, 64, 3)] * 19
    assert job.attempts.get().fingerprint["torch"]
    assert Worker.objects.get().ready_at is not None


def test_an_idle_worker_finds_a_job_that_nobody_knocked_for(
    runner: Runner, submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a lost knock is: it goes nowhere.
    monkeypatch.setattr(dispatch, "knock", lambda pool: None)
    job = submit(steps=4, frames=19)
    _until(lambda: _state(job) == State.SUCCEEDED)


def test_a_cancel_stops_the_render_between_two_steps(
    runner: Runner, submit: Callable[..., Job]
) -> None:
    job, after = submit(steps=1000), submit(steps=4, frames=19)
    _until(lambda: _state(job) == State.RUNNING)
    actions.cancel(job.pk)
    _until(lambda: _state(job) == State.CANCELLED, 10)
    assert job.attempts.get().outcome == Outcome.CANCELLED
    runner.serve_knock()
    assert _state(after) != State.QUEUED, "a knock returns when nothing is left to take"
    _until(lambda: _state(after) == State.SUCCEEDED)


def test_a_drain_gives_the_job_back_unspent(
    media: Path, empty_redis: redis.Redis, submit: Callable[..., Job]
) -> None:
    job = submit(steps=1000)
    worker = Runner(
        name="gpu-test", pool="default", root=Path(settings.BASE_DIR), threads=1, spot=True
    )
    worker.start()
    _until(lambda: _state(job) == State.RUNNING)
    assert Worker.objects.get().facts["spot"], "nobody misses it when it is taken away"
    worker.drain()
    assert worker.join(20)
    job.refresh_from_db()
    assert (job.state, job.attempt, job.spent) == (State.QUEUED, 1, 0)
    assert job.attempts.get().outcome == Outcome.RELEASED
    assert Worker.objects.get().facts == {"left": True}


def test_a_worker_without_the_model_passes_the_job_on_and_says_why(
    runner: Runner, submit: Callable[..., Job], settings: LazySettings, tmp_path: Path
) -> None:
    text = Path(settings.T2V_MODELS_FILE).read_text().partition("[mochi-1]")[0]
    models = tmp_path / "models.toml"
    models.write_text(text.replace("gpu_worker/nano/weights", "nowhere").replace("[nano", "[gone"))
    models.write_text(text + "\n" + models.read_text())
    assert set(catalog.load(models)) == {"nano", "gone"}
    settings.T2V_MODELS_FILE, settings.T2V_MAX_ATTEMPTS = str(models), 1
    job = submit(model="gone")
    _until(lambda: _state(job) == State.PARKED)
    job.refresh_from_db()
    assert job.error_code == "model_missing"
    assert "nowhere" not in job.error_message, "a message names no path"
    fine = submit(steps=4, frames=19)
    _until(lambda: _state(fine) == State.SUCCEEDED)


def test_previews_and_ticks_reach_the_ring_and_go_forward(
    runner: Runner, submit: Callable[..., Job], empty_redis: redis.Redis
) -> None:
    job = submit(steps=300)  # some seconds: more than a Redis that stops for a moment holds up
    _until(lambda: _state(job) == State.SUCCEEDED)
    events = [fields[b"event"] for _, fields in empty_redis.xrange(stream.RING)]  # type: ignore[union-attr]
    steps = [
        int(event.partition(b'"step": ')[2].split(b",")[0])
        for event in events
        if b'"tick"' in event
    ]
    assert steps == sorted(steps)
    assert len(steps) >= 3
    assert empty_redis.exists(stream.preview_key(job.pk))


def test_a_redis_that_dies_during_a_render_holds_up_no_video(
    media: Path, submit: Callable[..., Job], settings: LazySettings, empty_redis: redis.Redis
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1"
    worker = Runner(name="gpu-test", pool="default", root=Path(settings.BASE_DIR), threads=1)
    job = submit(steps=8, frames=19)
    try:
        worker.start()
        _until(lambda: _state(job) == State.SUCCEEDED)
    finally:
        worker.drain()
        assert worker.join(30)


def test_a_reporter_ends_although_redis_takes_neither_tick_nor_preview(
    submit: Callable[..., Job], claim: Callable[..., Claim], settings: LazySettings
) -> None:
    submit()
    settings.REDIS_URL = "redis://127.0.0.1:1"
    began = time.monotonic()
    with Reporter(claim()) as reporter:
        reporter.progress("denoising", step=1, steps=2)
        sprite = Sprite(image=b"x", codec="jpeg", frames=1, tile_width=1, tile_height=1)
        reporter.preview(sprite, step=1, steps=2)
    assert time.monotonic() - began < 8
    assert not reporter._thread.is_alive()


def test_a_connection_cut_during_the_render_costs_no_attempt(
    runner: Runner, submit: Callable[..., Job]
) -> None:
    job = submit(steps=200)
    _until(lambda: _state(job) == State.RUNNING)
    cut = 0
    deadline = time.monotonic() + 10  # on a busy machine no transaction would ever come to its end
    while _state(job) == State.RUNNING and time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND usename = current_user "
                "AND pid <> pg_backend_pid()"
            )
            cut += cursor.fetchone()[0]
        time.sleep(0.05)
    _until(lambda: _state(job) != State.RUNNING)
    job.refresh_from_db()
    assert cut > 0
    assert (job.state, job.attempt) == (State.SUCCEEDED, 1)


def test_a_job_that_this_version_cannot_read_fails_and_the_next_one_is_made(
    runner: Runner, submit: Callable[..., Job]
) -> None:
    with transaction.atomic():  # the worker sees it as it is then, and not before
        job = submit(steps=4, frames=19)
        JobRequest.objects.filter(job=job).update(spec={"from": "the future"})
    after = submit(steps=4, frames=19)
    _until(lambda: _state(after) == State.SUCCEEDED)
    job.refresh_from_db()
    assert (job.state, job.error_code) == (State.FAILED, "bad_spec")


def test_a_render_thread_that_dies_says_so(empty_redis: redis.Redis, media: Path) -> None:
    died = Event()
    worker = Runner(
        name="gpu-test",
        pool="default",
        root=Path(settings.BASE_DIR),
        threads=1,
        on_death=died.set,
    )
    worker._prepare = lambda: str(1 // 0)  # type: ignore[method-assign]
    worker.start()
    assert died.wait(10)
    assert worker.join(10)


def _look(lease: Lease, seen: Event) -> bool:
    lease._look()
    connection.close()
    return seen.is_set()


def test_a_lease_hears_of_a_cancel_and_of_another_attempt(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    job = submit()
    lease = Lease(claim())
    assert not _look(lease, lease.cancelled)
    actions.cancel(job.pk)
    assert _look(lease, lease.cancelled)
    Job.objects.filter(pk=job.pk).update(lease_until="2020-01-01T00:00Z")
    actions.reap()
    assert _look(lease, lease.lost)
    assert not lease.certain


def test_a_lease_is_renewed_only_while_steps_move(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    job, now = submit(), [0.0]
    hung = Event()
    lease = Lease(claim(), on_stall=hung.set, clock=lambda: now[0])
    first = Job.objects.get(pk=job.pk).lease_until
    now[0] = 20.0
    lease.moved(3)
    assert not _look(lease, lease.lost)
    row = Job.objects.get(pk=job.pk)
    assert (row.lease_until > first, row.step) == (True, 3)  # type: ignore[operator]
    while now[0] < 900.0:
        now[0] += 40.0
        assert not _look(lease, lease.lost)
    last = Job.objects.get(pk=job.pk).lease_until
    now[0] += 40.0
    assert _look(lease, lease.lost), "no step for so long: let it run out"
    assert hung.is_set()
    assert Job.objects.get(pk=job.pk).lease_until == last


def test_a_worker_that_was_stopped_for_a_while_does_not_take_that_for_a_hang(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    submit()
    now, hung = [0.0], Event()
    lease = Lease(claim(), on_stall=hung.set, clock=lambda: now[0])
    for step in range(1, 12):
        now[0] += 1.0
        lease.moved(step)
    assert not _look(lease, lease.lost)
    now[0] += 500.0  # nobody looked meanwhile: this process stood still
    assert not _look(lease, lease.lost)
    for _ in range(14):
        now[0] += 10.0
        _look(lease, lease.lost)
    assert hung.is_set(), "this one does hang"


def test_a_lease_whose_thread_breaks_lets_go_instead_of_watching_no_more(
    submit: Callable[..., Job], claim: Callable[..., Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit()
    hung = Event()

    def broken(held: Claim) -> None:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(actions, "orders", broken)
    with Lease(claim(), on_stall=hung.set) as lease:
        assert lease.lost.wait(10)
        assert hung.wait(10)
