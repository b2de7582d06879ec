"""A render goes on from a file, in a new process, bit for bit; a bad file is refused."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gpu_worker import checkpoint, loop, mochi
from gpu_worker.checkpoint import Checkpoint, FileKeeper
from gpu_worker.engine import RenderError, Sprite
from gpu_worker.latents import MochiState
from gpu_worker.mochi import Mochi
from gpu_worker.sheets import Preview
from jobs.catalog import ModelEntry
from jobs.spec import RenderSpec

ROOT = Path(__file__).resolve().parents[2]


def run(model: Mochi, state: MochiState, until: int) -> MochiState:
    while state.step < until:
        state = model.step(state)
    return state


def test_a_file_holds_all_that_a_render_needs(
    nano: Mochi, spec: RenderSpec, tmp_path: Path
) -> None:
    whole = run(nano, nano.begin(spec), spec.steps)
    for step in range(spec.steps + 1):
        saved = run(nano, nano.begin(spec), step)
        checkpoint.write(tmp_path / "c", nano, saved, spec)
        read = checkpoint.read(tmp_path / "c")
        assert (read.spec, read.step) == (spec, step)
        assert read.differences(nano.fingerprint()) == []
        state = nano.from_tensors(read.spec, read.tensors, read.step)
        assert torch.equal(run(nano, state, spec.steps).latents, whole.latents)


RESUME = """
import sys
from pathlib import Path
from safetensors.torch import save_file
from gpu_worker import checkpoint, registry
from jobs import catalog
root, folder = Path(sys.argv[1]), Path(sys.argv[2])
model = registry.load_model(catalog.load(root / "deploy" / "models.toml")["nano"], root, threads=1)
saved = checkpoint.read(folder / "saved")
assert saved.differences(model.fingerprint()) == [], saved.differences(model.fingerprint())
state = model.from_tensors(saved.spec, saved.tensors, saved.step)
while state.step < state.steps:
    state = model.step(state)
save_file({"latents": state.latents}, folder / "ended")
assert "django" not in sys.modules
"""


def test_another_process_goes_on_bit_for_bit_without_django_or_a_warning(
    nano: Mochi, spec: RenderSpec, tmp_path: Path
) -> None:
    whole = run(nano, nano.begin(spec), spec.steps)
    checkpoint.write(tmp_path / "saved", nano, run(nano, nano.begin(spec), 3), spec)
    command = [sys.executable, "-W", "error", "-c", RESUME, str(ROOT), str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert torch.equal(load_file(tmp_path / "ended")["latents"], whole.latents)


def test_the_previews_so_far_come_back_as_they_were(
    nano: Mochi, spec: RenderSpec, tmp_path: Path
) -> None:
    state = nano.step(nano.begin(spec))
    seen = tuple(Preview(step=step, sprite=nano.preview(state)) for step in (1, 2))
    checkpoint.write(tmp_path / "c", nano, state, spec, seen)
    assert checkpoint.read(tmp_path / "c").previews == seen
    checkpoint.write(tmp_path / "c", nano, state, spec)
    assert checkpoint.read(tmp_path / "c").previews == ()


def test_a_checkpoint_of_the_version_before_has_no_previews_and_goes_on(
    nano: Mochi, spec: RenderSpec, tmp_path: Path
) -> None:
    checkpoint.write(tmp_path / "c", nano, nano.begin(spec), spec)
    with safe_open(tmp_path / "c", "pt") as file:
        metadata = {key: value for key, value in file.metadata().items() if key != "previews"}
    tensors = dict(checkpoint.read(tmp_path / "c").tensors)
    save_file(tensors, tmp_path / "old", metadata)
    read = checkpoint.read(tmp_path / "old")
    assert (read.previews, read.step) == ((), 0)


def test_another_machine_is_told_in_what_it_differs(
    nano: Mochi, spec: RenderSpec, tmp_path: Path
) -> None:
    checkpoint.write(tmp_path / "c", nano, nano.begin(spec), spec)
    there = nano.fingerprint() | {"torch": "1.0", "device": "another GPU"}
    assert checkpoint.read(tmp_path / "c").differences(there) == ["device", "torch"]


def test_what_is_no_checkpoint_is_refused(nano: Mochi, spec: RenderSpec, tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "good", nano, nano.begin(spec), spec)
    (tmp_path / "cut").write_bytes((tmp_path / "good").read_bytes()[:-100])
    (tmp_path / "text").write_text("no tensors")
    save_file({"latents": torch.zeros(1)}, tmp_path / "other", {"schema": "99"})
    save_file({"latents": torch.zeros(1)}, tmp_path / "bare")
    for name in ("cut", "text", "other", "bare", "absent"):
        with pytest.raises(RenderError) as caught:
            checkpoint.read(tmp_path / name)
        assert (caught.value.code, caught.value.permanent) == ("bad_checkpoint", False)
        assert str(tmp_path) not in str(caught.value)


def test_a_file_that_contradicts_itself_is_refused(
    nano: Mochi, spec: RenderSpec, tmp_path: Path
) -> None:
    checkpoint.write(tmp_path / "c", nano, nano.begin(spec), spec)
    saved = checkpoint.read(tmp_path / "c")
    for wrong, step in (
        (replace(spec, width=96), 0),
        (replace(spec, frames=25), 0),
        (replace(spec, steps=9), 0),
        (spec, -1),
        (spec, spec.steps + 1),
    ):
        with pytest.raises(RenderError) as caught:
            nano.from_tensors(wrong, saved.tensors, step)
        assert caught.value.code == "bad_checkpoint"


def test_a_write_that_fails_leaves_the_earlier_file_whole(
    nano: Mochi, spec: RenderSpec, tmp_path: Path
) -> None:
    path = tmp_path / "c"
    checkpoint.write(path, nano, nano.begin(spec), spec)
    before = path.read_bytes()
    (tmp_path / "c.part").mkdir()  # the disk says no
    with pytest.raises(OSError, match="directory"):
        checkpoint.write(path, nano, nano.step(nano.begin(spec)), spec)
    assert path.read_bytes() == before


class Draining:
    """Asks for a drain when a step was reported."""

    def __init__(self, at: int) -> None:
        self.draining = threading.Event()
        self._at = at

    def progress(
        self, phase: str, *, step: int, steps: int, seconds_left: float | None = None
    ) -> None:
        if step == self._at:
            self.draining.set()

    def preview(self, sprite: Sprite, *, step: int, steps: int) -> None:
        raise AssertionError("none was asked for")


def drained(model: Mochi, spec: RenderSpec, path: Path, *, at: int) -> Checkpoint:
    """What a render leaves on disk that is drained after so many steps."""
    drain = Draining(at=at)
    frames = loop.render(
        model,
        spec,
        lease=loop.NoLease(),
        draining=drain.draining,
        reporter=drain,
        tail_seconds=0.0,
        keeper=FileKeeper(path, model, spec),
        previews=False,
    )
    with pytest.raises(loop.Drained):
        list(frames)
    return checkpoint.read(path)


def test_a_drain_leaves_the_last_step_on_disk(
    nano: Mochi, spec: RenderSpec, tmp_path: Path
) -> None:
    saved = drained(nano, spec, tmp_path / "c", at=5)
    assert saved.step == 5
    resumed = loop.render(
        nano,
        spec,
        lease=loop.NoLease(),
        draining=threading.Event(),
        reporter=Draining(at=-1),
        tail_seconds=0.0,
        start=nano.from_tensors(spec, saved.tensors, saved.step),
        previews=False,
    )
    straight = nano.decode(run(nano, nano.begin(spec), spec.steps))
    assert all((a == b).all() for a, b in zip(resumed, straight, strict=True))


def test_other_options_of_a_step_cache_are_another_machine(
    nano: Mochi, entry: ModelEntry, folder: Path, spec: RenderSpec, tmp_path: Path
) -> None:
    """A recipe only names the quality: its options decide the bits as well."""
    checkpoint.write(tmp_path / "c", nano, nano.begin(spec), spec)
    exact, fast, *rest = entry.qualities
    changed = replace(fast, options={**fast.options, "threshold": 0.3})
    other = mochi.load(replace(entry, qualities=(exact, changed, *rest)), folder, threads=1)
    saved = checkpoint.read(tmp_path / "c")
    assert saved.differences(nano.fingerprint()) == []
    assert saved.differences(other.fingerprint()) == ["qualities"]


def test_a_step_cache_goes_on_from_the_step_where_it_was_empty(
    nano: Mochi, spec: RenderSpec, tmp_path: Path
) -> None:
    spec = replace(spec, steps=20, quality="fast")
    saved = drained(nano, spec, tmp_path / "c", at=13)
    assert saved.step == 8
    whole = run(nano, nano.begin(spec), spec.steps)
    state = nano.from_tensors(saved.spec, saved.tensors, saved.step)
    assert torch.equal(run(nano, state, spec.steps).latents, whole.latents)


def test_of_states_that_wait_the_newest_is_written(
    nano: Mochi, spec: RenderSpec, tmp_path: Path
) -> None:
    keeper = FileKeeper(tmp_path / "c", nano, spec)
    state = nano.begin(spec)
    for _ in range(4):
        state = nano.step(state)
        keeper.offer(state)
    keeper.flush()
    assert checkpoint.read(tmp_path / "c").step == 4


def test_a_later_state_takes_the_place_of_one_that_is_written(
    nano: Mochi, spec: RenderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "MIN_SECONDS", 0.0)
    keeper = FileKeeper(tmp_path / "c", nano, spec)
    first = nano.begin(spec)
    keeper.offer(first)
    deadline = time.monotonic() + 30
    while not (tmp_path / "c").exists():
        assert time.monotonic() < deadline, "it was not written at once"
        keeper.offer(first)
        time.sleep(0.01)
    keeper.offer(nano.step(first))
    keeper.flush()
    assert checkpoint.read(tmp_path / "c").step == 1


def test_a_full_disk_costs_the_way_back_and_not_the_render(
    nano: Mochi, spec: RenderSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = FileKeeper(tmp_path / "gone" / "c", nano, spec)
    keeper.offer(nano.begin(replace(spec, seed=1)))
    keeper.flush()
    assert "no checkpoint at step 0" in caplog.text
