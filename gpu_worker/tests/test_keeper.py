"""A job goes on where another worker left it: checkpoints in storage, and in the job's record."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import LazySettings, settings
from django.core.files.storage import default_storage

from gpu_worker import attempt, finisher, mochi
from gpu_worker import runner as runner_module
from gpu_worker.engine import RenderError
from gpu_worker.keeper import QueueKeeper, resume
from gpu_worker.latents import MochiState
from gpu_worker.mochi import Mochi
from gpu_worker.runner import Runner
from gpu_worker.scratch import Scratch
from gpu_worker.sheets import KeptPreviews
from jobs import actions, artifacts, dispatch, purge, stream, workers
from jobs.actions import Claim
from jobs.lifecycle import Outcome, State
from jobs.models import Checkpoint, Job, Worker

pytestmark = pytest.mark.django_db(transaction=True)
LONG = {"steps": 300, "frames": 19, "seed": 5}  # some 5 s, with a checkpoint after one
Start = Callable[..., Runner]


@pytest.fixture
def start(
    media: Path, empty_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> Iterator[Start]:
    monkeypatch.setattr(runner_module, "IDLE_SECONDS", 0.2)  # nobody knocks at them
    settings.T2V_CHECKPOINT_SECONDS = 1
    started: list[Runner] = []

    def _start(name: str = "gpu-1") -> Runner:
        runner = Runner(name=name, pool="default", root=Path(settings.BASE_DIR), threads=1)
        started.append(runner)
        runner.start()
        return runner

    yield _start
    for runner in started:
        runner.drain()
        assert runner.join(30)
    assert dispatch.wait_empty(5)


def until(seen: Callable[[], object], seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.05)


def state(job: Job) -> str:
    return str(Job.objects.values_list("state", flat=True).get(pk=job.pk))


def facts(job: Job, kind: str) -> list[dict[str, Any]]:
    return [event.data for event in job.events.filter(kind=kind).order_by("seq")]


def _drained_with_a_checkpoint(start: Start, submit: Callable[..., Job]) -> tuple[Job, Checkpoint]:
    job, kept = submit(**LONG), list[Checkpoint]()
    step = Mochi.step

    def drain_behind_a_checkpoint(model: Mochi, state: MochiState) -> MochiState:
        """In the middle of a step: it is neither the one that was kept nor the last."""
        if not kept and (found := Checkpoint.objects.filter(job=job).first()):
            kept.append(found)
            first.drain()
        return step(model, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mochi, "step", drain_behind_a_checkpoint)
        first = start()
        assert first.join(150)
    (before,) = kept
    saved = Checkpoint.objects.get(job=job)
    assert saved.step > before.step, "a drain leaves its last step"
    assert not default_storage.exists(before.key), "the one before goes"
    return job, saved


def test_a_drained_job_goes_on_elsewhere_to_the_same_file(
    start: Start, submit: Callable[..., Job], media: Path, empty_redis: redis.Redis
) -> None:
    job, saved = _drained_with_a_checkpoint(start, submit)
    assert (saved.attempt, saved.source_id) == (1, job.pk)
    assert 0 < saved.step < LONG["steps"]
    start("gpu-2")
    undisturbed = submit(**LONG)
    for one in (job, undisturbed):
        until(lambda one=one: state(one) == State.SUCCEEDED)  # type: ignore[misc]
    told = {"step": str(saved.step), "from_attempt": "1"}
    assert facts(job, "resumed") == [told], "the same machine: nothing differs"
    assert facts(undisturbed, "resumed") == []
    job.refresh_from_db()
    assert (job.attempt, job.spent) == (2, 1)
    assert min(_steps_told(job, 2, empty_redis)) > saved.step
    strips = [one.artifacts.get(name="strip.jpg").facts["steps"] for one in (job, undisturbed)]
    assert strips[0][0] == strips[1][0] == 1, "the strip shows what the first attempt saw"
    assert any(step > saved.step for step in strips[0][:-1]), "and what the second did"
    hashes = {
        one.artifacts.get(name="video.mp4").sha256  # the same frames give the same bytes
        for one in (job, undisturbed)
    }
    assert len(hashes) == 1
    _nothing_is_left(job, media)


def _steps_told(job: Job, attempt: int, client: redis.Redis) -> list[int]:
    events = [json.loads(fields[b"event"]) for _, fields in client.xrange(stream.RING)]  # type: ignore[union-attr]
    return [
        event["step"]
        for event in events
        if event["type"] == "tick"
        and (event["job"], event["attempt"], event["phase"]) == (str(job.pk), attempt, "denoising")
    ]


def _nothing_is_left(job: Job, media: Path) -> None:
    """Once its attempts are cleared away, storage holds what rows refer to and no more."""
    assert not Checkpoint.objects.exists()
    settings.T2V_ORPHAN_HOURS = 0
    try:
        while purge.purge():
            pass
    finally:
        settings.T2V_ORPHAN_HOURS = 24
    files = {str(path.relative_to(media)) for path in media.rglob("*") if path.is_file()}
    keys = {
        file for one in Job.objects.all() for file in one.artifacts.values_list("key", flat=True)
    }
    assert files == keys


def test_another_machine_goes_on_and_says_in_what_it_differs(
    start: Start, submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, saved = _drained_with_a_checkpoint(start, submit)
    here = Mochi.fingerprint

    def elsewhere(model: Mochi) -> dict[str, str]:
        return here(model) | {"device": "another GPU", "torch": "9.9"}

    monkeypatch.setattr(mochi.Mochi, "fingerprint", elsewhere)
    start("gpu-2")
    until(lambda: state(job) == State.SUCCEEDED)
    (told,) = facts(job, "resumed")
    assert (told["step"], told["differs"]) == (str(saved.step), "device, torch")


def test_other_weights_or_a_damaged_or_missing_file_begin_from_noise(
    start: Start, submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, media: Path
) -> None:
    job, saved = _drained_with_a_checkpoint(start, submit)
    body = (media / saved.key).read_bytes()
    (media / saved.key).write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    start("gpu-2")
    until(lambda: state(job) == State.SUCCEEDED)
    assert facts(job, "resumed") == []


def test_a_storage_that_is_away_at_the_resume_spends_no_attempt_and_loses_no_step(
    start: Start, submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, media: Path
) -> None:
    monkeypatch.setattr(attempt, "LATER_SECONDS", 0.5)
    job, saved = _drained_with_a_checkpoint(start, submit)
    media.rename(media.with_name("away"))
    media.write_text("no folder")  # as a file system that came back empty or not at all
    start("gpu-2")
    until(lambda: facts(job, "released")[1:])
    assert facts(job, "released")[1]["code"] == "storage_unavailable"
    media.unlink()
    media.with_name("away").rename(media)
    until(lambda: state(job) == State.SUCCEEDED)
    assert facts(job, "resumed")[-1]["step"] == str(saved.step)
    job.refresh_from_db()
    assert job.spent == 1


def test_a_full_disk_at_the_resume_spends_no_attempt_and_loses_no_step(
    nano: Mochi, submit: Callable[..., Job], claim: Callable[..., Claim], media: Path
) -> None:
    submit()
    held = claim()
    scratch = Scratch()
    keeper = QueueKeeper(held, nano, scratch, min_seconds=0.0)
    keeper.offer(nano.begin(held.spec))
    keeper.flush()
    actions.release(held)
    again = claim()
    full = scratch.path / f"{again.job}-{again.attempt}-resume"
    full.symlink_to("/dev/full")  # a disk that has no room
    with pytest.raises(RenderError) as caught:
        resume(again, nano, scratch, KeptPreviews())
    scratch.close()
    assert (caught.value.code, caught.value.spends) == ("disk_full", False)
    assert default_storage.exists(Checkpoint.objects.get().key)


def test_a_storage_that_is_away_at_the_end_is_waited_for(
    start: Start, submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, media: Path
) -> None:
    media.write_text("no folder")
    job = submit(steps=4, frames=19)
    start()
    until(job.attempts.exists)
    lines: list[str] = []
    monkeypatch.setattr(finisher.logger, "warning", lambda text, *_: lines.append(text))
    until(lambda: "the storage took no file (%s)" in lines)
    assert state(job) == State.RUNNING
    media.unlink()
    until(lambda: state(job) == State.SUCCEEDED)
    assert Job.objects.get(pk=job.pk).attempt == 1


def test_the_end_of_the_patience_hands_the_job_back_unspent(
    start: Start, submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, media: Path
) -> None:
    monkeypatch.setattr(finisher, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(attempt, "LATER_SECONDS", 0.2)
    media.write_text("no folder")
    job = submit(steps=4, frames=19)
    start()
    until(lambda: facts(job, "released"))
    assert facts(job, "released")[0]["code"] == "storage_unavailable"
    media.unlink()
    until(lambda: state(job) == State.SUCCEEDED)
    assert Job.objects.get(pk=job.pk).spent == 1


def test_a_late_attempt_keeps_no_checkpoint_and_no_file(
    nano: Mochi, submit: Callable[..., Job], claim: Callable[..., Claim], media: Path
) -> None:
    job = submit()
    late = claim("sleeper/1")
    scratch = Scratch()
    keeper = QueueKeeper(late, nano, scratch, min_seconds=3600.0)  # the flush stores, and is late
    keeper.offer(nano.begin(late.spec))
    actions.release(late)  # another attempt may begin now
    keeper.flush()
    scratch.close()
    assert not Checkpoint.objects.exists()
    assert artifacts.names_in(job.pk, 1) == []
    assert not list(Path(scratch.path).parent.glob(f"{scratch.path.name}*"))


def test_what_a_late_attempt_had_put_is_gone_when_it_hears_that_it_lost(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    media: Path,
    empty_redis: redis.Redis,
    tmp_path: Path,
) -> None:
    submit()
    late = claim("sleeper/1")
    (tmp_path / "made").write_text("a video")
    stored = artifacts.put(late.job, late.attempt, "video.mp4", tmp_path / "made")
    actions.release(late)
    mine = attempt.Attempt(late, on_stall=lambda: None)
    mine.begin()
    mine.succeed([stored])
    assert artifacts.names_in(late.job, late.attempt) == []


def test_an_operator_drains_a_worker_and_lets_it_work_again(
    start: Start, submit: Callable[..., Job]
) -> None:
    job, step = submit(**LONG), Mochi.step

    def slowly(model: Mochi, state: MochiState) -> MochiState:
        time.sleep(0.1)  # so that the drain comes long before the render's end
        return step(model, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mochi, "step", slowly)
        start()
        until(lambda: Job.objects.get(pk=job.pk).step > 0 or Checkpoint.objects.exists())
        workers.drain("gpu-1")
        until(lambda: state(job) == State.QUEUED)
    assert job.attempts.get().outcome == Outcome.RELEASED
    assert Checkpoint.objects.get(job=job).step > 0
    assert actions.claim(worker="gpu-1/2", pool="default") is None, "it takes nothing"
    workers.resume("gpu-1")
    until(lambda: state(job) == State.SUCCEEDED)
    assert Job.objects.get(pk=job.pk).spent == 1


def test_a_worker_whose_disk_is_full_takes_no_job_and_says_why(
    start: Start, submit: Callable[..., Job], settings: LazySettings
) -> None:
    settings.T2V_SCRATCH_MIN_MB = shutil.disk_usage("/").total // 1_000_000 + 1
    start()
    job = submit(steps=4, frames=19)
    until(lambda: Worker.objects.filter(trouble__startswith="The disk for temporary").exists())
    assert state(job) == State.QUEUED
    settings.T2V_SCRATCH_MIN_MB = 1
    until(lambda: state(job) == State.SUCCEEDED)
    until(lambda: Worker.objects.get().trouble == "")
