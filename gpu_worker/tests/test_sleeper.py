"""The model of fault tests is a model like any other, and its clip tells where it came from."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gpu_worker import checkpoint, registry, sleeper
from gpu_worker.encode import encode_video
from gpu_worker.engine import RenderError
from gpu_worker.sleeper import Sleeper, SleeperState
from jobs import catalog, offer
from jobs.catalog import ModelEntry
from jobs.spec import RenderSpec

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests" / "chaos" / "models.toml"


@pytest.fixture(scope="module")
def entry() -> ModelEntry:
    return catalog.load(MODELS)["sleeper"]


@pytest.fixture
def slept() -> list[float]:
    """Seconds of each sleep so far."""
    return []


@pytest.fixture
def model(entry: ModelEntry, slept: list[float]) -> Sleeper:
    return Sleeper(entry, sleep=slept.append)


@pytest.fixture
def spec(entry: ModelEntry) -> RenderSpec:
    return entry.usual("a nap", seed=7)


def _run(model: Sleeper, state: SleeperState, until: int) -> SleeperState:
    while state.step < until:
        state = model.step(state)
    return state


def _clip(model: Sleeper, state: SleeperState) -> NDArray[np.uint8]:
    return np.stack(list(model.decode(state)))


def test_only_a_models_file_of_its_own_offers_it() -> None:
    assert "sleeper" not in {entry.family for entry in offer.known().values()}
    assert list(catalog.load(MODELS)) == ["sleeper"]


def test_the_registry_loads_it_without_diffusers() -> None:
    code = """
import sys
from pathlib import Path
from gpu_worker import registry
from jobs import catalog
entry = catalog.load(Path("tests/chaos/models.toml"))["sleeper"]
model = registry.load_model(entry, Path())
print(model.fingerprint()["model"], sorted({"diffusers", "transformers"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("sleeper []\n", "")


def test_it_refuses_a_folder_that_holds_something_else(entry: ModelEntry, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(RenderError, match="not the one on offer"):
        registry.load_model(replace(entry, source=str(tmp_path)), ROOT)


def test_a_step_takes_the_seconds_that_the_guidance_says(
    model: Sleeper, spec: RenderSpec, slept: list[float]
) -> None:
    _run(model, model.begin(replace(spec, guidance=0.25, steps=5)), 5)
    assert slept == [0.25] * 5


def test_a_render_that_goes_on_from_a_file_is_the_same_clip(
    model: Sleeper, spec: RenderSpec, tmp_path: Path
) -> None:
    whole = _clip(model, _run(model, model.begin(spec), spec.steps))
    for step in range(spec.steps + 1):
        checkpoint.write(tmp_path / "c", model, _run(model, model.begin(spec), step), spec)
        read = checkpoint.read(tmp_path / "c")
        assert read.differences(model.fingerprint()) == []
        again = model.from_tensors(read.spec, read.tensors, read.step)
        assert np.array_equal(_clip(model, _run(model, again, spec.steps)), whole)


def test_a_step_too_many_too_few_or_from_another_state_is_another_clip(
    model: Sleeper, spec: RenderSpec
) -> None:
    state = _run(model, model.begin(spec), 3)
    ends = [
        state,
        replace(state, step=4),  # a step that was counted and not made
        replace(model.step(state), step=3),  # made and not counted
        replace(state, values=state.values + 1),
        replace(state, generator=model.begin(spec).generator),
        _run(model, model.begin(replace(spec, seed=8)), 3),
        _run(model, model.begin(replace(spec, prompt="a doze")), 3),
    ]
    clips = [_clip(model, _run(model, end, spec.steps)) for end in ends]
    for one, other in itertools.combinations(clips, 2):
        assert not np.array_equal(one, other)


def test_an_encoded_clip_still_tells_the_state(
    model: Sleeper, spec: RenderSpec, tmp_path: Path
) -> None:
    state = _run(model, model.begin(spec), spec.steps)
    frames: Iterator[NDArray[np.uint8]] = model.decode(state)
    encode_video(frames, tmp_path / "v.mp4", fps=spec.fps, frame_count=spec.frames, metadata={})
    with av.open(str(tmp_path / "v.mp4"), mode="r") as clip:
        shown = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    assert len(shown) == spec.frames
    for index, pixels in enumerate(shown):
        assert np.array_equal(sleeper.read_tiles(pixels), sleeper.tiles(state, index))


def test_a_preview_shows_the_state_at_hand(model: Sleeper, spec: RenderSpec) -> None:
    begun = model.begin(spec)
    early, late = model.preview(begun), model.preview(model.step(begun))
    assert (early.frames, early.tile_width, early.tile_height) == (4, 64, 64)
    assert early.image != late.image


@pytest.mark.parametrize(
    ("prompt", "code", "permanent"),
    [("poison:error", "poisoned", True), ("poison:cuda", "gpu_broken", False)],
)
def test_poison_fails_the_third_step(
    model: Sleeper, spec: RenderSpec, prompt: str, code: str, permanent: bool
) -> None:
    state = _run(model, model.begin(replace(spec, prompt=f"a {prompt} nap")), 2)
    with pytest.raises(RenderError) as raised:
        model.step(state)
    assert (raised.value.code, raised.value.permanent) == (code, permanent)


def test_a_passing_poison_passes(model: Sleeper, spec: RenderSpec) -> None:
    state = _run(model, model.begin(replace(spec, prompt="poison:passing")), 2)
    seen = {_outcome(model, state) for _ in range(64)}
    assert seen == {("poisoned", False), None}


def _outcome(model: Sleeper, state: SleeperState) -> tuple[str, bool] | None:
    try:
        model.step(state)
    except RenderError as error:
        return error.code, error.permanent
    return None


@pytest.mark.parametrize(("word", "ended"), [("kill", -9), ("hang", None)])
def test_poison_kills_or_hangs_its_process(word: str, ended: int | None) -> None:
    code = f"""
import sys
from pathlib import Path
from gpu_worker.sleeper import Sleeper
from jobs import catalog
entry = catalog.load(Path("tests/chaos/models.toml"))["sleeper"]
model = Sleeper(entry, sleep=lambda seconds: None)
state = model.step(model.step(model.begin(entry.usual("poison:{word}", seed=1))))
print("third", flush=True)
model.step(state)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "third\n"
            if ended is None:
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.5)
            else:
                assert process.wait(20) == ended
        finally:
            process.kill()


@pytest.mark.parametrize("step", [-1, 7])
def test_a_saved_state_of_another_render_is_refused(
    model: Sleeper, spec: RenderSpec, step: int
) -> None:
    tensors = model.to_tensors(model.begin(spec))
    with pytest.raises(RenderError, match="not one of this model's"):
        model.from_tensors(spec, tensors, step)
    with pytest.raises(RenderError, match="not one of this model's"):
        model.from_tensors(spec, {**tensors, "values": torch.zeros(63, dtype=torch.int64)}, 1)
    with pytest.raises(RenderError, match="not one of this model's"):
        model.from_tensors(spec, {"values": tensors["values"]}, 1)
