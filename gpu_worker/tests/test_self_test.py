"""A worker tries itself before its first job; one that cannot render costs nobody an attempt."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import redis
from django.conf import LazySettings, settings

from gpu_worker import residency, runner, self_test
from gpu_worker.engine import GPU_BROKEN, Model, RenderError
from gpu_worker.mochi import Mochi
from gpu_worker.runner import Runner
from jobs import dispatch
from jobs.catalog import ModelEntry
from jobs.lifecycle import State
from jobs.models import Job, Worker
from jobs.signs import Sign, shown
from jobs.spec import RenderSpec, check


def bits(model: Model[Any], spec: RenderSpec) -> bytes:
    state = model.begin(spec)
    while state.step < state.steps:
        state = model.step(state)
    return b"".join(np.asarray(frame).tobytes() for frame in model.decode(state))


def test_it_is_the_smallest_clip_that_the_model_makes(entry: ModelEntry) -> None:
    spec = check(self_test.small(entry), entry.limits)
    assert (spec.width, spec.height, spec.frames, spec.steps) == (64, 64, 19, 4)
    usual = self_test.small(replace(entry, compile=True))
    assert usual.frames == entry.defaults.frames, "the first shape is what it is compiled for"


def test_a_render_has_the_same_bits_before_and_after_it(
    nano: Mochi, entry: ModelEntry, spec: RenderSpec
) -> None:
    for asked in (spec, replace(spec, quality=entry.qualities[-1].name, steps=16)):
        before = bits(nano, asked)
        assert self_test.run(nano, entry) > 0
        assert bits(nano, asked) == before


@pytest.mark.parametrize("part", ["transformer", "decoder"])
def test_a_part_that_computes_nonsense_fails_it(nano: Mochi, entry: ModelEntry, part: str) -> None:
    broken: Any = nano._transformer if part == "transformer" else nano.vae.decoder
    weights = next(broken.parameters())
    sound = weights.data.clone()
    weights.data.fill_(float("nan"))
    try:
        with pytest.raises(RenderError) as caught:
            self_test.run(nano, entry)
    finally:
        weights.data.copy_(sound)
    assert caught.value.code == self_test.CODE
    assert self_test.run(nano, entry) > 0


# --- In a worker -----------------------------------------------------------------------------


def _until(seen: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.05)


@pytest.fixture
def worker(transactional_db: None, media: Path, empty_redis: redis.Redis) -> Iterator[Runner]:
    made = Runner(name="gpu-test", pool="default", root=Path(settings.BASE_DIR), threads=1)
    yield made
    made.drain()
    assert made.join(30)
    assert dispatch.wait_empty(5)


def test_a_worker_that_fails_it_takes_no_job_says_why_and_tries_again(
    worker: Runner, submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, media: Path
) -> None:
    monkeypatch.setattr(runner, "FIRST_PAUSE_SECONDS", 0.05)
    sick, tries = Event(), []
    sick.set()
    real = self_test.run

    def tried(model: Model[Any], entry: ModelEntry) -> float:
        tries.append(entry.name)
        if sick.is_set():
            raise RenderError(self_test.CODE, "the clip is of a single colour.", permanent=False)
        return real(model, entry)

    monkeypatch.setattr(self_test, "run", tried)
    job = submit(steps=4, frames=19)
    worker.start()
    _until(lambda: len(tries) >= 2)
    row = Worker.objects.get()
    assert row.ready_at is None
    assert row.trouble == "The self-test failed: the clip is of a single colour."
    assert row.facts["self_test"] == {"failed": "the clip is of a single colour."}
    assert worker.hindrance() == row.trouble
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.QUEUED, 0)
    assert not media.exists(), "nothing is stored"
    sick.clear()
    _until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED)
    row = Worker.objects.get()
    assert row.ready_at is not None
    assert (row.trouble, row.facts["self_test"]["model"]) == ("", "nano")
    assert row.facts["self_test"]["seconds"] > 0


def test_a_worker_whose_gpu_is_lost_tells_so_before_another_process_takes_its_place(
    transactional_db: None, empty_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process can use that GPU no more; but one a second would be a crash loop."""
    monkeypatch.setattr(runner, "LONGEST_PAUSE_SECONDS", 0.05)

    def lost(*_: Any, **__: Any) -> Any:
        raise RenderError(GPU_BROKEN, "The GPU failed.", permanent=False)

    monkeypatch.setattr(residency.Residency, "get", lost)
    died = Event()
    worker = Runner(
        name="gpu-test",
        pool="default",
        root=Path(settings.BASE_DIR),
        threads=1,
        on_death=died.set,
    )
    worker.start()
    assert died.wait(30)
    assert worker.join(30)
    assert Worker.objects.get().trouble == "The self-test failed: The GPU failed."


def test_a_worker_without_the_first_model_is_ready_with_the_second(
    worker: Runner, submit: Callable[..., Job], settings: LazySettings, tmp_path: Path
) -> None:
    text = Path(settings.T2V_MODELS_FILE).read_text().partition("[mochi-1]")[0]
    models = tmp_path / "models.toml"
    gone = text.replace("gpu_worker/nano/weights", "nowhere").replace("[nano", "[gone")
    models.write_text(gone + "\n" + text)
    settings.T2V_MODELS_FILE = str(models)
    job = submit(model="nano", steps=4, frames=19)
    worker.start()
    _until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED)
    assert Worker.objects.get().facts["self_test"]["model"] == "nano"


def test_a_sign_tells_what_hinders_a_living_process(tmp_path: Path) -> None:
    sign = Sign(tmp_path, "worker")
    sign.show("It loads its first model.")
    assert [one.hindrance for one in shown(tmp_path, "worker")] == ["It loads its first model."]
    sign.show()
    (one,) = shown(tmp_path, "worker")
    assert (one.hindrance, 0 <= one.age < 60) == ("", True)
    assert shown(tmp_path, "sweep") == []
    sign.take_away()
    assert shown(tmp_path, "worker") == []
