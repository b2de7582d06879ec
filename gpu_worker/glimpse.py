"""A few frames of latents for a preview: truly decoded, or by the linear map where that costs less.

A decode shows the clip; the map shows one colour for each 8×8 pixels at a hundredth of the cost.
docs/decisions/004-previews-are-true-decodes.md has the figures.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gpu_worker import colours, pixels
from gpu_worker.latents import LATENT_FRAMES, LATENT_SIDE
from gpu_worker.preview import MAX_TILE_SIDE, pick
from jobs.catalog import PreviewMap

# What a decode costs is known from the last one. Before there was any, one is tried if it is so
# small: 0.2 s on a processor for the bundled model. Mochi-1's shortest clip has 14,400 latents.
TRIAL_LATENTS = 1024

Frames = list[NDArray[np.uint8]]


class Glimpses:
    """Of one VAE, with its map if it has one. Not for two threads."""

    def __init__(
        self,
        vae: Any,
        to_rgb: PreviewMap | None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._vae, self._map, self._clock = vae, to_rgb, clock
        self._seconds_a_latent: float | None = None
        self._too_large: int | None = None  # latents; a decode of so many found no memory

    def frames(self, latents: Tensor, *, at_most: int, seconds: float) -> Frames:
        """Evenly spread frames of the clip, (H, W, 3) each; of a short clip all of them.

        seconds: what a true decode may cost. Without a map it is decoded whatever it costs, and
        only then an OutOfMemoryError comes out: a map needs none to speak of.
        latents: (1, 12, T, H/8, W/8) fp32, on a device that has nothing else to do.
        """
        if self._map is None:
            return self._decode(latents, at_most)
        if self.is_affordable(_count(latents), seconds):
            try:
                return self._decode(latents, at_most)
            except torch.OutOfMemoryError:
                self._too_large = _count(latents)
        return by_map(self._map, latents, at_most)

    def is_affordable(self, latents: int, seconds: float) -> bool:
        """Whether a true decode of so many latents is expected to take no longer."""
        if seconds <= 0 or (self._too_large is not None and latents >= self._too_large):
            return False
        if self._seconds_a_latent is None:
            return latents <= TRIAL_LATENTS or seconds == math.inf
        return latents * self._seconds_a_latent <= seconds

    def learn(self, latents: Tensor, seconds: float) -> None:
        """A true decode of them took so long; the newest counts half."""
        found = seconds / _count(latents)
        known = self._seconds_a_latent
        self._seconds_a_latent = found if known is None else (known + found) / 2

    def _decode(self, latents: Tensor, at_most: int) -> Frames:
        began = self._clock()
        video = pixels.decode(self._vae, latents)
        shown = pixels.to_levels(video[:, pick(video.shape[1], at_most)]).cpu().numpy()
        self.learn(latents, self._clock() - began)
        return list(shown)


def _count(latents: Tensor) -> int:
    """Of a clip: T · H/8 · W/8."""
    return latents[0, 0].numel()


def by_map(to_rgb: PreviewMap, latents: Tensor, at_most: int) -> Frames:
    """Each latent's colour, enlarged; a frame between the middles of two latents is their mixture.

    So a clip of two latents moves as well, and one of a single frame is that frame.
    """
    found = colours.apply(to_rgb, latents)  # (3, T, H/8, W/8)
    count = found.shape[1]
    middles = [0.0] + [LATENT_FRAMES * (index - 0.5) + 0.5 for index in range(1, count)]
    shown = pick(LATENT_FRAMES * (count - 1) + 1, at_most)
    places = np.interp(shown, middles, np.arange(count))
    before = torch.as_tensor(np.floor(places), dtype=torch.long, device=found.device)
    share = torch.as_tensor(places, dtype=found.dtype, device=found.device) - before
    after = (before + 1).clamp(max=count - 1)
    mixed = torch.lerp(found[:, before], found[:, after], share.view(1, -1, 1, 1))
    return [_enlarge(frame) for frame in pixels.to_levels(mixed).cpu().numpy()]


def _enlarge(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One colour for each latent, (H, W, 3), as a smooth picture, never larger than the clip."""
    height, width = frame.shape[:2]
    times = max(1, min(LATENT_SIDE, MAX_TILE_SIDE // max(width, height)))
    image = Image.fromarray(frame)
    return np.asarray(image.resize((width * times, height * times), Image.Resampling.BICUBIC))
