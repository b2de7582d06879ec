"""The tail of a job runs beside the next job's render, and obeys whatever the render obeys."""

import hashlib
import io
import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

import pytest
import redis
from django.conf import settings
from django.db import transaction
from PIL import Image

from gpu_worker import attempt, loop
from gpu_worker import runner as runner_module
from gpu_worker.engine import Model, RenderError, Sprite
from gpu_worker.runner import Runner
from gpu_worker.scratch import Scratch
from jobs import actions, dispatch
from jobs.lifecycle import Outcome, State
from jobs.models import Job
from jobs.serializers import jobs_to_dicts
from jobs.spec import RenderSpec

pytestmark = pytest.mark.django_db(transaction=True)
SHORT = {"steps": 40, "frames": 19}
Phases = set[tuple[UUID, str]]


def until(seen: Callable[[], bool], seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.05)


def state(job: Job) -> str:
    return str(Job.objects.values_list("state", flat=True).get(pk=job.pk))


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Phases:
    """The phases of each job so far. A tick of one may be overwritten before it is sent."""
    seen, tell = Phases(), attempt.Attempt.progress

    def progress(held: attempt.Attempt, phase: str, **told: Any) -> None:
        seen.add((held.claim.job, phase))
        tell(held, phase, **told)

    monkeypatch.setattr(attempt.Attempt, "progress", progress)
    return seen


Start = Callable[..., Runner]


@pytest.fixture
def start(
    media: Path,
    empty_redis: redis.Redis,
    submit: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Start]:
    """A runner that has made one job, so that its side process is there."""
    monkeypatch.setattr(runner_module, "IDLE_SECONDS", 0.2)  # nobody knocks at it
    started: list[Runner] = []

    def _start(**options: Any) -> Runner:
        runner = Runner(
            name="gpu-test", pool="default", root=Path(settings.BASE_DIR), threads=1, **options
        )
        started.append(runner)
        runner.start()
        first = submit(**SHORT)
        until(lambda: state(first) == State.SUCCEEDED)
        return runner

    yield _start
    for runner in started:
        runner.drain()
        assert runner.join(30)
    assert dispatch.wait_empty(60)


def freeze(runner: Runner) -> int:
    """Stops the side process: the tail of the next job takes as long as we like."""
    pid = runner._finisher.tail.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_the_next_job_steps_while_the_one_before_becomes_files(
    start: Start, submit: Callable[..., Job], begun: Phases
) -> None:
    pid = freeze(start())
    job, after = submit(**SHORT), submit(**SHORT)
    until(lambda: (after.pk, "denoising") in begun)
    assert (state(job), state(after)) == (State.RUNNING, State.RUNNING)
    until(lambda: (job.pk, "saving") in begun)  # told by the tail's thread, when it may
    third = submit(**SHORT)
    until(lambda: (after.pk, "decoding") in begun)
    with pytest.raises(AssertionError):  # one tail at a time, and one clip that waits for it
        until(lambda: state(third) != State.QUEUED, 1.5)
    os.kill(pid, signal.SIGCONT)
    for one in (job, after, third):
        until(lambda one=one: state(one) == State.SUCCEEDED)  # type: ignore[misc]
        assert Job.objects.get(pk=one.pk).attempt == 1


def test_four_files_lie_in_storage_with_the_hashes_of_their_rows(
    start: Start, submit: Callable[..., Job], media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A preview of each step, however long the one before took.
    monkeypatch.setattr(loop, "PREVIEW_SECONDS", 0.0)
    monkeypatch.setattr(loop, "PREVIEW_SHARE", 1.0)
    start()
    job = submit(steps=60)
    until(lambda: state(job) == State.SUCCEEDED)
    rows = {row.name: row for row in job.artifacts.all()}
    assert set(rows) == {"video.mp4", "poster.png", "sprite.jpg", "strip.jpg"}
    for row in rows.values():
        content = (media / row.key).read_bytes()
        assert (row.size, row.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    with Image.open(io.BytesIO((media / rows["strip.jpg"].key).read_bytes())) as strip:
        layout = json.loads(strip.info["comment"])
        assert strip.size[1] == layout["rows"] * layout["tile_height"]
    [told] = jobs_to_dicts([Job.objects.with_request().get(pk=job.pk)])
    assert told["strip"] == layout, "whoever shows it need not read the picture's comment"
    assert layout["steps"] == sorted(layout["steps"])
    assert layout["steps"][-1] == 60
    assert len(layout["steps"]) >= 3, "previews of the render, and the clip"


def test_a_side_process_that_is_killed_costs_no_attempt(
    start: Start, submit: Callable[..., Job], begun: Phases
) -> None:
    pid = freeze(start())
    job = submit(**SHORT)
    until(lambda: (job.pk, "saving") in begun)
    os.kill(pid, signal.SIGKILL)
    until(lambda: state(job) == State.SUCCEEDED)
    assert Job.objects.get(pk=job.pk).attempt == 1
    assert job.artifacts.count() == 4


def test_a_cancel_is_obeyed_during_the_tail(
    start: Start, submit: Callable[..., Job], begun: Phases
) -> None:
    freeze(start())
    job = submit(**SHORT)
    until(lambda: (job.pk, "saving") in begun)
    actions.cancel(job.pk)
    until(lambda: state(job) == State.CANCELLED)
    assert job.attempts.get().outcome == Outcome.CANCELLED
    assert not job.artifacts.exists()
    after = submit(**SHORT)
    until(lambda: state(after) == State.SUCCEEDED)


def test_an_attempt_that_lost_its_job_during_the_tail_publishes_nothing(
    start: Start, submit: Callable[..., Job], begun: Phases
) -> None:
    freeze(start())
    job = submit(**SHORT)
    until(lambda: (job.pk, "saving") in begun)
    with transaction.atomic():  # or its lease would be renewed between the two
        Job.objects.filter(pk=job.pk).update(lease_until="2020-01-01T00:00Z")
        assert actions.reap() == 1
    until(lambda: state(job) == State.SUCCEEDED)
    outcomes = job.attempts.order_by("number").values_list("outcome", flat=True)
    assert list(outcomes) == [Outcome.LOST, Outcome.SUCCEEDED]
    assert set(job.artifacts.values_list("attempt", flat=True)) == {2}


def test_a_drain_waits_for_the_tail_at_hand(
    start: Start, submit: Callable[..., Job], begun: Phases
) -> None:
    runner = start()
    pid = freeze(runner)
    job, after = submit(**SHORT), submit(steps=1000)
    until(lambda: (after.pk, "denoising") in begun)
    runner.drain()
    until(lambda: state(after) == State.QUEUED)
    assert state(job) == State.RUNNING
    assert not runner.join(0)
    os.kill(pid, signal.SIGCONT)
    assert runner.join(20)
    assert state(job) == State.SUCCEEDED
    assert Job.objects.get(pk=after.pk).spent == 0


def test_a_tail_that_outlasts_the_grace_gives_its_job_back_unspent(
    start: Start, submit: Callable[..., Job], begun: Phases
) -> None:
    runner = start(grace_seconds=0.5)
    freeze(runner)
    job, after = submit(**SHORT), submit(**SHORT)
    until(lambda: (after.pk, "decoding") in begun)
    runner.drain()
    assert runner.join(20)
    for one in (job, after):
        one.refresh_from_db()
        assert (one.state, one.attempt, one.spent) == (State.QUEUED, 1, 0)
        assert one.attempts.get().outcome == Outcome.RELEASED


def test_a_full_disk_is_said_and_the_job_tried_again_with_no_attempt_spent(
    start: Start, submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "LATER_SECONDS", 1.0)
    start()
    fresh = Scratch.folder

    def full_once(scratch: Scratch) -> Path:
        monkeypatch.setattr(Scratch, "folder", fresh)
        folder = fresh(scratch)
        (folder / "video.mp4.part").symlink_to("/dev/full")
        return folder

    monkeypatch.setattr(Scratch, "folder", full_once)
    job = submit(**SHORT)
    until(lambda: state(job) == State.SUCCEEDED)
    first = job.attempts.order_by("number")[0]
    assert (first.outcome, first.error_code) == (Outcome.RELEASED, "disk_full")
    assert first.error_message.startswith("A disk of this worker is full")
    assert Job.objects.get(pk=job.pk).spent == 1


class Faulty:
    """The bundled model until somebody says otherwise."""

    def __init__(self, model: Model[Any]) -> None:
        self._model = model
        self.broken, self.cut, self._tiled = Event(), Event(), False
        self.on_pressure: Callable[[], None] | None = None

    def begin(self, spec: RenderSpec) -> Any:
        return self._model.begin(spec)

    def step(self, held: Any) -> Any:
        if self.broken.is_set():
            message = "The GPU of this worker does not answer any more."
            raise RenderError("gpu_broken", message, permanent=False)
        self._tiled = True  # as after a shortage of memory
        return self._model.step(held)

    def preview(self, held: Any, *, seconds: float = math.inf) -> Sprite:
        return self._model.preview(held, seconds=seconds)

    def decode(self, held: Any) -> Iterator[Any]:
        return islice(self._model.decode(held), int(self.cut.is_set()), None)

    def to_tensors(self, state: Any) -> Mapping[str, Any]:
        return self._model.to_tensors(state)

    def from_tensors(self, spec: RenderSpec, tensors: Mapping[str, Any], step: int) -> Any:
        return self._model.from_tensors(spec, tensors, step)

    def fingerprint(self) -> dict[str, str]:
        if self.broken.is_set():
            raise RuntimeError("whoever asks a broken GPU gets no answer")
        return {**self._model.fingerprint(), "vae": "tiled" if self._tiled else "whole"}


@pytest.fixture
def faulty(nano: Model[Any]) -> Faulty:
    return Faulty(nano)


def install(runner: Runner, model: Faulty) -> None:
    runner._residency.get = lambda *_, **__: model  # type: ignore[method-assign]


def test_what_changed_during_a_render_is_noted_with_its_attempt(
    start: Start, submit: Callable[..., Job], faulty: Faulty
) -> None:
    install(start(), faulty)
    job = submit(**SHORT)
    until(lambda: state(job) == State.SUCCEEDED)
    assert job.attempts.get().fingerprint["vae"] == "tiled"


def test_a_broken_gpu_ends_the_child_after_the_clip_before_is_saved(
    start: Start,
    submit: Callable[..., Job],
    faulty: Faulty,
    begun: Phases,
) -> None:
    died = Event()
    runner = start(on_death=died.set)
    pid = freeze(runner)
    install(runner, faulty)
    before, job = submit(**SHORT), submit(steps=1000)
    until(lambda: (job.pk, "denoising") in begun)
    faulty.broken.set()
    until(lambda: state(job) == State.QUEUED)
    attempt = job.attempts.get()
    assert (attempt.outcome, attempt.error_code) == (Outcome.FAILED, "gpu_broken")
    assert not died.is_set()
    os.kill(pid, signal.SIGCONT)
    assert died.wait(20)
    assert state(before) == State.SUCCEEDED
    assert runner.join(20), "it claims no other job"


def test_a_clip_of_another_length_breaks_the_attempt_and_nothing_else(
    start: Start, submit: Callable[..., Job], faulty: Faulty
) -> None:
    install(start(), faulty)
    faulty.cut.set()
    job = submit(**SHORT)
    until(lambda: job.attempts.filter(error_code="attempt_broke").exists())
    faulty.cut.clear()
    until(lambda: state(job) == State.SUCCEEDED)
