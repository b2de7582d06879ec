"""The two pictures beside a video that tell of it without playing it.

sprite.jpg: the clip in a grid of small frames, for a page to play under the pointer.
strip.jpg: how the picture formed, one row for each kept preview, the finished clip last.
docs/reference/rendering-files.md has their layout.
"""

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_worker.engine import Sprite
from gpu_worker.preview import Grid, fit, make_grid, pick

SPRITE_FRAMES = 25  # a grid of 5 × 5: three and more a second for a clip of seven seconds
SPRITE_TILE_SIDE = 160  # pixels; the grid is at most 800 pixels wide
SPRITE_BYTES = 150_000
STRIP_PREVIEWS = 24  # and the finished clip as the last row
STRIP_COLUMNS = 8
STRIP_TILE_SIDE = 96  # pixels; 8 columns are at most 768 pixels wide, 25 rows 2,400 high
STRIP_BYTES = 250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    step: int  # denoising steps done when it was made
    sprite: Sprite


class KeptPreviews:
    """At most STRIP_PREVIEWS of all previews of a render, evenly thinned as it goes on.

    Whenever they are too many every second one goes, and from then on only every second is kept.
    The newest counts among them: a render that ends now has it as its last.
    """

    def __init__(self) -> None:
        self._kept: list[Preview] = []
        self._stride, self._seen = 1, 0
        self._newest: Preview | None = None

    def add(self, preview: Preview) -> None:
        self._newest = preview
        if self._seen % self._stride == 0:
            self._kept.append(preview)
        self._seen += 1
        self._thin()

    def up_to(self, step: int) -> tuple[Preview, ...]:
        """Those of no later step; also while another thread adds some."""
        return tuple(preview for preview in self if preview.step <= step)

    def restore(self, previews: Sequence[Preview]) -> None:
        """Goes on after these, in the order of their steps; before anything is added."""
        self._kept = list(previews)
        self._seen = len(previews)
        self._newest = previews[-1] if previews else None
        self._thin()

    def _thin(self) -> None:
        while len(self._kept) >= STRIP_PREVIEWS:  # one place stays for the newest
            self._kept = self._kept[::2]
            self._stride *= 2

    def __iter__(self) -> Iterator[Preview]:
        kept, newest = list(self._kept), self._newest
        yield from kept
        if newest is not None and (not kept or newest.step > kept[-1].step):
            yield newest


@dataclass(slots=True, kw_only=True)
class Thumbnails:
    """Takes a clip frame by frame and keeps small copies of those that the pictures show."""

    frames: int
    sprite: dict[int, NDArray[Any]] = field(default_factory=dict)  # by frame: (h, w, 3) uint8
    row: dict[int, NDArray[Any]] = field(default_factory=dict)

    def add(self, index: int, pixels: NDArray[Any]) -> None:
        if index in pick(self.frames, SPRITE_FRAMES):
            self.sprite[index] = _small(pixels, SPRITE_TILE_SIDE)
        if index in pick(self.frames, STRIP_COLUMNS):
            self.row[index] = _small(pixels, STRIP_TILE_SIDE)


def make_hover_sprite(thumbnails: Thumbnails, *, seconds: float) -> Grid:
    """seconds: how long the clip is."""
    indices = sorted(thumbnails.sprite)
    return make_grid(
        [thumbnails.sprite[index] for index in indices],
        columns=math.ceil(math.sqrt(len(indices))),
        max_bytes=SPRITE_BYTES,
        max_tile_side=SPRITE_TILE_SIDE,
        facts={"frames": indices, "seconds": round(seconds, 3)},
    )


def make_strip(previews: Sequence[Preview], thumbnails: Thumbnails, *, steps: int) -> Grid:
    """steps: of the whole render; the clip itself stands under that number."""
    finished = [thumbnails.row[index] for index in sorted(thumbnails.row)]
    height, width = finished[0].shape[:2]
    rows = [_row(preview.sprite, len(finished), width, height) for preview in previews]
    return make_grid(
        [tile for row in [*rows, finished] for tile in row],
        columns=len(finished),
        max_bytes=STRIP_BYTES,
        max_tile_side=STRIP_TILE_SIDE,
        facts={"steps": [*(preview.step for preview in previews), steps]},
    )


def _row(sprite: Sprite, columns: int, width: int, height: int) -> list[NDArray[Any]]:
    """The sprite's tiles in another size and, if need be, another number."""
    size = (width * sprite.frames, height)
    with Image.open(io.BytesIO(sprite.image)) as image:
        tiles = np.array(image.convert("RGB").resize(size, Image.Resampling.BOX))
    last = sprite.frames - 1
    places = [round(column * last / max(1, columns - 1)) for column in range(columns)]
    return [tiles[:, place * width : (place + 1) * width] for place in places]


def _small(pixels: NDArray[Any], side: int) -> NDArray[Any]:
    height, width = pixels.shape[:2]
    size = fit(width, height, side)
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
