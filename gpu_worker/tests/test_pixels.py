"""Frames come off the device as levels, in chunks, and go back into latents."""

import numpy as np
import pytest
import torch

from gpu_worker import pixels
from gpu_worker.mochi import Mochi
from gpu_worker.nano import clips, grammar


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


def test_what_is_encoded_and_decoded_is_about_the_clip(nano: Mochi) -> None:
    scene = grammar.one(colour="red", shape="circle", motion="right", background="black")
    clip = clips.render(scene, seed=1, frames=13, width=64, height=64)
    latents = pixels.encode(nano.vae, torch.from_numpy(clip))
    assert latents.shape == (1, 12, 3, 8, 8)
    assert abs(float(latents.mean())) < 0.5, "in the latents' own measure"
    assert 0.5 < float(latents.std()) < 1.5
    found = pixels.to_levels(pixels.decode(nano.vae, latents)).numpy()
    assert np.abs(found.astype(int) - clip).mean() < 6
