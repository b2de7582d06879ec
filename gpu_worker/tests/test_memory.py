"""When memory runs out, a render gives up something, says what, and comes out the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gpu_worker import registry
from gpu_worker.engine import RenderError
from gpu_worker.memory import Ladder
from gpu_worker.mochi import Mochi
from gpu_worker.tests.conftest import ROOT
from jobs.catalog import ModelEntry
from jobs.qualities import EXACT, Quality
from jobs.spec import RenderSpec

FREED, TILED, OFFLOADED = "caches freed", "VAE tiled", "text encoder on the CPU"


@pytest.fixture(scope="module")
def model(entry: ModelEntry) -> Mochi:
    pyramid = Quality(name="pyramid", title="Fast", cache="pyramid")
    found = registry.load_model(replace(entry, qualities=(EXACT, pyramid)), ROOT)
    assert isinstance(found, Mochi)
    return found


@contextmanager
def failing(module: torch.nn.Module, error: Exception, times: int) -> Iterator[None]:
    left = [times]

    def fail(*args: object) -> None:
        if left[0]:
            left[0] -= 1
            raise error

    hook = module.register_forward_pre_hook(fail)
    yield
    hook.remove()
    assert left[0] == 0


def full(module: torch.nn.Module, times: int) -> Any:
    return failing(module, torch.OutOfMemoryError("CUDA out of memory."), times)


@pytest.mark.parametrize("quality", ["exact", "pyramid"])
@pytest.mark.parametrize(
    ("times", "given_up"),
    [(1, FREED), (2, f"{FREED}, {TILED}"), (3, f"{FREED}, {TILED}, {OFFLOADED}")],
)
def test_a_step_tried_again_gives_the_same_bits_and_the_fingerprint_says_what_it_took(
    times: int, given_up: str, quality: str, model: Mochi, spec: RenderSpec
) -> None:
    state = model.begin(replace(spec, quality=quality, frames=7))
    assert model.fingerprint()["memory"] == "nothing given up"
    before = model.step(model.step(model.step(state)))
    expected = model.step(before)
    pressed: list[None] = []
    model.on_pressure = lambda: pressed.append(None)
    with full(model._transformer.transformer_blocks[3].ff, times):
        found = model.step(before)
    assert torch.equal(found.latents, expected.latents)
    assert model.fingerprint()["memory"] == given_up
    assert len(pressed) == 1


def test_when_nothing_is_left_to_give_up_the_job_is_told_what_was(
    model: Mochi, spec: RenderSpec
) -> None:
    state = model.begin(spec)
    with full(model._transformer.transformer_blocks[3].ff, 4), pytest.raises(RenderError) as caught:
        model.step(state)
    assert caught.value.code == "out_of_memory"
    assert not caught.value.permanent
    assert all(rung in str(caught.value) for rung in (FREED, TILED, OFFLOADED))


def test_the_next_render_gives_nothing_up(model: Mochi, nano: Mochi, spec: RenderSpec) -> None:
    expected = nano.begin(spec)
    with full(model._transformer.transformer_blocks[3].ff, 3):
        model.step(model.begin(spec))
    model._reader._kept.clear()
    found = model.begin(spec)
    assert model.fingerprint()["memory"] == "nothing given up"
    assert torch.equal(found.embeds, expected.embeds)
    assert not model.vae.use_tiling


def test_a_clip_is_decoded_in_tiles_where_the_whole_does_not_fit(
    model: Mochi, spec: RenderSpec
) -> None:
    state = model.begin(spec)
    whole = np.stack(list(model.decode(state)))
    sides = ("height", "width")
    vae = model.vae
    kept = {
        name: getattr(vae, name)
        for side in sides
        for name in (f"tile_sample_min_{side}", f"tile_sample_stride_{side}")
    }
    for side in sides:
        setattr(vae, f"tile_sample_min_{side}", 32)
        setattr(vae, f"tile_sample_stride_{side}", 24)
    with full(vae.decoder, 2):
        tiled = np.stack(list(model.decode(state)))
    for name, value in kept.items():
        setattr(vae, name, value)
    assert tiled.shape == whole.shape
    assert not np.array_equal(tiled, whole)
    assert TILED in model.fingerprint()["memory"]
    assert np.array_equal(np.stack(list(model.decode(model.begin(spec)))), whole)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: device-side assert triggered"),
    ],
)
def test_a_lost_device_is_said_to_be_one(error: Exception, model: Mochi, spec: RenderSpec) -> None:
    state = model.begin(spec)
    with failing(model._transformer, error, 1), pytest.raises(RenderError) as caught:
        model.step(state)
    assert caught.value.code == "gpu_broken"
    assert not caught.value.permanent


def test_an_error_of_our_own_stays_one() -> None:
    def broken() -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        Ladder({}).run(broken)


def test_what_a_failed_try_held_is_free_before_the_next_one() -> None:
    """Otherwise the second try would start with the first one's tensors in memory."""
    alive: list[Any] = []

    class Held:
        def __del__(self) -> None:
            alive.clear()

    def compute() -> str:
        if alive:
            raise AssertionError("still held")
        if not tried:
            tried.append(True)
            held = Held()
            alive.append(True)
            raise torch.OutOfMemoryError(f"{id(held)}")
        return "done"

    tried: list[bool] = []
    assert Ladder({}).run(compute) == "done"
