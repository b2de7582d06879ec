"""Frames come off the device as levels, in chunks, and previews may be a linear map."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gpu_worker import pixels, preview, registry
from gpu_worker.latents import LATENT_SIDE
from gpu_worker.mochi import Mochi
from gpu_worker.tests.conftest import ROOT
from jobs.catalog import ModelEntry, PreviewMap
from jobs.spec import RenderSpec


@pytest.mark.parametrize("frames", [1, 16, 17, 163])
def test_a_clip_in_chunks_is_the_clip(frames: int) -> None:
    video = torch.rand(3, frames, 4, 6, generator=torch.Generator().manual_seed(1)) * 2.4 - 1.2
    found = np.concatenate([chunk.wait() for chunk in pixels.send(video)])
    expected = ((video / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(1, 2, 3, 0).numpy()
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_only_a_chunk_is_ever_held_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    inner = pixels.to_levels

    def seen(video: torch.Tensor) -> torch.Tensor:
        sizes.append(video.shape[1])
        return inner(video)

    monkeypatch.setattr(pixels, "to_levels", seen)
    pixels.send(torch.zeros(3, 40, 2, 2, dtype=torch.bfloat16))
    assert sizes == [16, 16, 8]


@pytest.fixture(scope="module")
def mapped(entry: ModelEntry) -> Mochi:
    """Red is the first channel, green the second, blue always in the middle."""
    rows = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), *[(0.0, 0.0, 0.0)] * 10]
    colours = PreviewMap(matrix=tuple(rows), bias=(0.0, 0.0, 0.0), error=None, origin="this test")
    model = registry.load_model(replace(entry, preview=colours), ROOT)
    assert isinstance(model, Mochi)
    return model


def test_a_linear_preview_shows_the_latents_colours_and_decodes_nothing(
    mapped: Mochi, spec: RenderSpec
) -> None:
    def decode(*args: object) -> None:
        raise AssertionError("decoded")

    state = mapped.begin(replace(spec, frames=61))  # eleven latents in time
    latents = torch.zeros_like(state.latents)
    latents[:, 0] = 0.9
    latents[:, 1, -1] = 0.9
    hook = mapped._vae.decoder.register_forward_pre_hook(decode)
    sprite = mapped.preview(replace(state, latents=latents))
    hook.remove()
    assert (sprite.frames, sprite.tile_width, sprite.tile_height) == (8, 64, 64)
    assert len(sprite.image) <= preview.MAX_BYTES
    with Image.open(io.BytesIO(sprite.image)) as image:
        colours = np.asarray(image).reshape(64, 8, 64, 3).mean(axis=(0, 2))
    assert np.abs(colours[:7] - (242, 128, 128)).max() < 4
    assert np.abs(colours[7] - (242, 242, 128)).max() < 4


def test_a_linear_preview_of_mochi_1s_size_is_large_enough_to_see() -> None:
    latent = np.zeros((60, 106, 3), dtype=np.uint8)
    assert preview.enlarge(latent, LATENT_SIDE).shape == (120, 212, 3)


def test_a_linear_preview_is_never_larger_than_the_clip() -> None:
    assert preview.enlarge(np.zeros((8, 8, 3), dtype=np.uint8), 8).shape == (64, 64, 3)


@pytest.mark.parametrize("step", [1, 4])
def test_a_linear_preview_expects_the_end_as_a_true_decode_does(
    step: int, mapped: Mochi, spec: RenderSpec
) -> None:
    """Of the expected latents, not of the noisy ones."""
    state = mapped.begin(spec)
    while state.step < step:
        state = mapped.step(state)
    assert state.clean is not None
    assert mapped.preview(state) == mapped.preview(replace(state, latents=state.latents + 1))
    assert mapped.preview(state) != mapped.preview(replace(state, clean=state.clean + 0.5))
