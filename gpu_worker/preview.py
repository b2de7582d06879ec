"""A few frames of a clip as one small image that a page can play."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_worker.engine import Sprite

MAX_BYTES = 30_000  # five previews a second to one viewer stay below 1.2 Mbit/s
MAX_TILE_SIDE = 240  # pixels; 8 tiles of 240×136 are about 30 KB at quality 60
QUALITIES = (88, 75, 60, 45, 30)
SHRINK = 0.7
MIN_TILE_SIDE = 8  # pixels; eight such tiles fit in 2 KB whatever they show


def pick(count: int, wanted: int) -> list[int]:
    """Up to `wanted` indices into a clip of count frames, evenly spread, both ends included."""
    if count <= wanted:
        return list(range(count))
    return [round(index * (count - 1) / (wanted - 1)) for index in range(wanted)]


def make_sprite(frames: Sequence[NDArray[Any]], *, max_bytes: int = MAX_BYTES) -> Sprite:
    """The frames side by side in one JPEG of at most max_bytes.

    Each is uint8 (H, W, 3), RGB. Quality gives way first, size after that.
    """
    strip = np.concatenate(frames, axis=1)
    height, width = frames[0].shape[:2]
    tile_width, tile_height = _fit(width, height, MAX_TILE_SIDE)
    while True:
        image = Image.fromarray(strip)
        if (tile_width, tile_height) != (width, height):
            image = image.resize((tile_width * len(frames), tile_height), Image.Resampling.BOX)
        for quality in QUALITIES:
            encoded = _jpeg(image, quality)
            if len(encoded) <= max_bytes:
                return Sprite(
                    image=encoded,
                    codec="jpeg",
                    frames=len(frames),
                    tile_width=tile_width,
                    tile_height=tile_height,
                )
        side = round(max(tile_width, tile_height) * SHRINK)
        if side < MIN_TILE_SIDE:
            raise ValueError(f"{len(frames)} frames do not fit in {max_bytes} bytes")
        tile_width, tile_height = _fit(width, height, side)


def _fit(width: int, height: int, side: int) -> tuple[int, int]:
    """(width, height) scaled down, never up, until neither exceeds side."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _jpeg(image: Image.Image, quality: int) -> bytes:
    # Full chroma: at 64 pixels a side, halved colour smears a shape into its background.
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
