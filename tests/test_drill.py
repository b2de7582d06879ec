"""The drill to its end: what rendered at the backup goes on after the restore, to the same frames.

Of one render: in the place that is lost it went on to its end, and that is what must come again.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
import redis
from django.conf import LazySettings

from gpu_worker import runner as runner_module
from gpu_worker.attempt import Attempt
from gpu_worker.keeper import QueueKeeper
from gpu_worker.runner import Runner
from jobs import dispatch
from jobs.models import Checkpoint, Job
from t2v_site import backups
from t2v_site.tests.elsewhere import ROOT, empty_place

pytestmark = pytest.mark.django_db(transaction=True)

SPEC: dict[str, Any] = {"steps": 240, "frames": 19, "seed": 5}  # some 4 s on an idle core
CAUGHT = 60  # the step that the backup catches
NAME = "gpu-drill"
PATIENCE_SECONDS = 200.0
STATE = "SELECT state FROM jobs_job"
RESUMED = "SELECT (data->>'step')::int FROM jobs_jobevent WHERE kind = 'resumed'"


def until(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not seen():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.05)


def frames(file: Path) -> list[str]:
    """SHA-256 of each decoded frame, RGB."""
    with av.open(str(file), mode="r") as clip:
        return [
            hashlib.sha256(frame.to_ndarray(format="rgb24").tobytes()).hexdigest()
            for frame in clip.decode(video=0)
        ]


@pytest.fixture
def runner(
    media: Path, empty_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> Iterator[Runner]:
    monkeypatch.setattr(runner_module, "IDLE_SECONDS", 0.2)  # nobody knocks at it
    settings.T2V_CHECKPOINT_SECONDS, settings.MEDIA_ROOT = 0, media
    runner = Runner(name=NAME, pool="default", root=ROOT, threads=1)
    yield runner
    runner.drain()
    assert runner.join(30)
    assert dispatch.wait_empty(60)


@pytest.mark.timeout(600)
def test_a_render_that_the_backup_caught_ends_after_the_restore_in_the_same_frames(
    runner: Runner,
    submit: Callable[..., Job],
    media: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backup, tell, offer = tmp_path / "backup", Attempt.progress, QueueKeeper.offer

    def offer_one(self: QueueKeeper, state: Any) -> None:
        """A second one, while the backup is made, would clear away the first."""
        if state.step == CAUGHT:
            offer(self, state)

    def progress(self: Attempt, phase: str, **told: Any) -> None:
        """Between two steps, when there is a checkpoint."""
        tell(self, phase, **told)
        if phase == "denoising" and told["step"] == CAUGHT:
            until(Checkpoint.objects.exists)
            backups.make(backup, with_files=True)

    monkeypatch.setattr(QueueKeeper, "offer", offer_one)
    monkeypatch.setattr(Attempt, "progress", progress)
    job = submit(**SPEC)
    runner.start()
    until(lambda: Job.objects.get().state not in {"queued", "running"})
    assert Job.objects.get().state == "succeeded"
    undisturbed = frames(media / f"jobs/{job.pk}/1/video.mp4")
    assert len(undisturbed) == SPEC["frames"]
    assert backup.exists()
    # All of it is lost: what follows has another database and another folder.
    with empty_place(tmp_path / "second") as second:
        restored = second.manage("restore", str(backup))
        assert restored.returncode == 0, restored.stderr
        assert second.sql(STATE) == [("running",)]
        assert second.sql(RESUMED) == []
        # Under its old name it need not wait for the end of the lease.
        with second.worker(tmp_path / "log", T2V_WORKER_NAME=NAME):
            until(lambda: second.sql(STATE)[0][0] not in {"queued", "running"})
        assert second.sql(STATE) == [("succeeded",)], (tmp_path / "log").read_text()
        ((step,),) = second.sql(RESUMED)
        assert step == CAUGHT
        again = frames(second.var / "media" / f"jobs/{job.pk}/2/video.mp4")
    assert again == undisturbed
