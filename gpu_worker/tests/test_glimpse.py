"""Previews are truly decoded where that costs little, and a linear map shows the colours else."""

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gpu_worker import glimpse, preview, registry
from gpu_worker.glimpse import Glimpses, by_map
from gpu_worker.mochi import Mochi
from gpu_worker.tests.conftest import ROOT
from jobs.catalog import ModelEntry, PreviewMap
from jobs.spec import RenderSpec

ROWS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), *[(0.0, 0.0, 0.0)] * 10)
# Red is the first channel, green the second, blue always in the middle.
PLAIN = PreviewMap(matrix=ROWS, bias=(0.0, 0.0, 0.0), error=None, origin="this test")


def clip(count: int, *, height: int = 4, width: int = 4) -> Tensor:
    """Of so many latents in time; red rises evenly from black to white."""
    latents = torch.zeros(1, 12, count, height, width)
    latents[0, 0] = torch.linspace(-1, 1, count).view(-1, 1, 1)
    return latents


def reds(frames: glimpse.Frames) -> list[int]:
    return [round(float(frame[..., 0].mean())) for frame in frames]


@pytest.mark.parametrize(("count", "tiles"), [(1, 1), (2, 7), (3, 8), (28, 8)])
def test_the_map_moves_however_few_latents_a_clip_has(count: int, tiles: int) -> None:
    """One latent is one frame, which is all there is; two are seven."""
    found = reds(by_map(PLAIN, clip(count), 8))
    assert len(found) == tiles
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, 255 if count > 1 else 0)
    assert len(set(found)) > tiles // 2, "behind the last latent's middle nothing is known"


def test_each_frame_of_the_map_is_the_mixture_of_the_latents_around_it() -> None:
    latents = torch.zeros(1, 12, 3, 2, 2)  # frames 0, 1 to 6, 7 to 12
    latents[0, 0] = torch.tensor([-1.0, 0.0, 1.0]).view(-1, 1, 1)
    found = reds(by_map(PLAIN, latents, 13))
    middles = [0.0, 3.5, 9.5]
    wanted = np.interp(np.arange(13), middles, [0.0, 127.5, 255.0])
    assert np.abs(np.array(found) - wanted).max() <= 0.5


def test_the_map_of_mochi_1s_size_is_large_enough_to_see_and_never_larger_than_the_clip() -> None:
    assert by_map(PLAIN, clip(2, height=60, width=106), 4)[0].shape == (120, 212, 3)
    assert by_map(PLAIN, clip(2, height=8, width=8), 4)[0].shape == (64, 64, 3)


class Vae:
    """Decodes to grey, in a time of its own; out of memory when there is none left."""

    dtype = torch.float32

    class config:
        latents_mean = [0.0] * 12
        latents_std = [1.0] * 12
        scaling_factor = 1.0

    def __init__(self) -> None:
        self.now, self.costs, self.decoded, self.room = 0.0, 0.05, 0, 10**9

    def decode(self, latents: Tensor, return_dict: bool) -> list[Tensor]:
        if latents[0, 0].numel() > self.room:
            raise torch.OutOfMemoryError
        self.decoded += 1
        self.now += self.costs
        frames, height, width = (latents.shape[2] - 1) * 6 + 1, *latents.shape[3:]
        return [torch.zeros(1, 3, frames, height * 8, width * 8)]


@pytest.fixture
def vae() -> Vae:
    return Vae()


@pytest.fixture
def glimpses(vae: Vae) -> Glimpses:
    return Glimpses(vae, PLAIN, clock=lambda: vae.now)


def is_decoded(glimpses: Glimpses, vae: Vae, latents: Tensor, seconds: float) -> bool:
    before = vae.decoded
    frames = glimpses.frames(latents, at_most=8, seconds=seconds)
    assert len(frames) == 8
    return vae.decoded > before


def test_a_decode_is_made_while_it_costs_no_more_than_it_may(glimpses: Glimpses, vae: Vae) -> None:
    assert is_decoded(glimpses, vae, clip(3), 0.1), "the first one is tried: it is small"
    assert is_decoded(glimpses, vae, clip(3), 0.05)
    assert not is_decoded(glimpses, vae, clip(3), 0.04)
    assert is_decoded(glimpses, vae, clip(6), 0.1), "twice the clip, twice the time"
    vae.costs = 1.0
    assert is_decoded(glimpses, vae, clip(3), 0.1), "nobody knows yet that it got slower"
    assert not is_decoded(glimpses, vae, clip(3), 0.1)


def test_nothing_is_decoded_when_it_may_cost_nothing(glimpses: Glimpses, vae: Vae) -> None:
    assert not is_decoded(glimpses, vae, clip(3), 0.0)


def test_a_large_clip_is_not_tried_before_a_decode_was_timed(glimpses: Glimpses, vae: Vae) -> None:
    large = clip(4, height=60, width=60)  # Mochi-1's smallest
    assert not is_decoded(glimpses, vae, large, 10.0)
    assert glimpses.is_affordable(large.numel(), math.inf), "whoever wants the best gets it"
    glimpses.learn(large, 8.0)  # at the end of its render
    assert is_decoded(glimpses, vae, large, 10.0)


def test_a_decode_without_memory_becomes_a_map_and_is_not_tried_again(
    glimpses: Glimpses, vae: Vae
) -> None:
    vae.room = 100
    for _ in range(2):
        assert not is_decoded(glimpses, vae, clip(8), 1.0)
    vae.room = 10**9
    assert not is_decoded(glimpses, vae, clip(8), 1.0)
    assert is_decoded(glimpses, vae, clip(3), 1.0), "a smaller one may find room"


def test_a_model_without_a_map_is_always_decoded_and_says_when_memory_runs_out(vae: Vae) -> None:
    glimpses = Glimpses(vae, None, clock=lambda: vae.now)
    assert is_decoded(glimpses, vae, clip(3), 0.0)
    vae.room = 0
    with pytest.raises(torch.OutOfMemoryError):
        glimpses.frames(clip(3), at_most=8, seconds=0.0)


@pytest.fixture(scope="module")
def mapped(entry: ModelEntry) -> Mochi:
    model = registry.load_model(replace(entry, preview=PLAIN), ROOT)
    assert isinstance(model, Mochi)
    return model


@pytest.fixture
def undecodable(mapped: Mochi) -> Iterator[Mochi]:
    """Fails when it decodes."""

    def decode(*args: object) -> None:
        raise AssertionError("decoded")

    hook = mapped.vae.decoder.register_forward_pre_hook(decode)
    yield mapped
    hook.remove()


def test_a_linear_preview_shows_the_latents_colours_and_decodes_nothing(
    undecodable: Mochi, spec: RenderSpec
) -> None:
    state = undecodable.begin(replace(spec, frames=61))  # eleven latents in time
    latents = torch.zeros_like(state.latents)
    latents[:, 0] = 0.9
    latents[:, 1, -1] = 0.9
    sprite = undecodable.preview(replace(state, latents=latents), seconds=0.0)
    with pytest.raises(AssertionError, match="decoded"):  # the hook does watch
        undecodable.preview(state)
    assert (sprite.frames, sprite.tile_width, sprite.tile_height) == (8, 64, 64)
    assert len(sprite.image) <= preview.MAX_BYTES
    with Image.open(io.BytesIO(sprite.image)) as image:
        colours = np.asarray(image).reshape(64, 8, 64, 3).mean(axis=(0, 2))
    assert np.abs(colours[:7] - (242, 128, 128)).max() < 4
    assert np.abs(colours[7] - (242, 242, 128)).max() < 4


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_a_preview_expects_the_end_and_does_not_show_the_noise(
    step: int, seconds: float, mapped: Mochi, spec: RenderSpec
) -> None:
    state: Any = mapped.begin(spec)
    while state.step < step:
        state = mapped.step(state)
    shown: Callable[[Any], Any] = lambda state: mapped.preview(state, seconds=seconds)  # noqa: E731
    assert shown(state) == shown(replace(state, latents=state.latents + 1))
    assert shown(state) != shown(replace(state, clean=state.clean + 0.5))
