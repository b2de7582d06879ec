"""A few frames of a clip as one small image that a page can play."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    grid = make_grid(frames, columns=len(frames), max_bytes=max_bytes, max_tile_side=MAX_TILE_SIDE)
    return Sprite(
        image=grid.image,
        codec="jpeg",
        frames=len(frames),
        tile_width=grid.tile_width,
        tile_height=grid.tile_height,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Equal tiles in one JPEG, row by row from the top left."""

    image: bytes
    columns: int
    rows: int
    tile_width: int  # pixels
    tile_height: int  # pixels
    facts: Mapping[str, Any]  # how it is laid out, and what make_grid was told


def make_grid(
    tiles: Sequence[NDArray[Any]],
    *,
    columns: int,
    max_bytes: int,
    max_tile_side: int,
    facts: Mapping[str, Any] | None = None,
) -> Grid:
    """The tiles, uint8 (H, W, 3) of one size, in a JPEG of at most max_bytes.

    Quality gives way first, size after that. Tiles that miss in the last row are black.
    With facts, the image's comment is JSON: columns, rows, tile_width, tile_height, and the facts.
    Raises ValueError when nothing fits.
    """
    rows = -(-len(tiles) // columns)
    height, width = tiles[0].shape[:2]
    canvas = np.zeros((rows * height, columns * width, 3), np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * height, index % columns * width
        canvas[top : top + height, left : left + width] = tile
    tile_width, tile_height = fit(width, height, max_tile_side)
    while True:
        image = Image.fromarray(canvas)
        if (tile_width, tile_height) != (width, height):
            size = (tile_width * columns, tile_height * rows)
            image = image.resize(size, Image.Resampling.BOX)
        layout = {
            "columns": columns,
            "rows": rows,
            "tile_width": tile_width,
            "tile_height": tile_height,
        }
        told = {**layout, **(facts or {})}
        comment = b"" if facts is None else json.dumps(told).encode()
        for quality in QUALITIES:
            encoded = _jpeg(image, quality, comment)
            if len(encoded) <= max_bytes:
                return Grid(image=encoded, **layout, facts=told)
        side = round(max(tile_width, tile_height) * SHRINK)
        if side < MIN_TILE_SIDE:
            raise ValueError(f"{len(tiles)} frames do not fit in {max_bytes} bytes")
        tile_width, tile_height = fit(width, height, side)


def fit(width: int, height: int, side: int) -> tuple[int, int]:
    """(width, height) scaled down, never up, until neither exceeds side."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _jpeg(image: Image.Image, quality: int, comment: bytes) -> bytes:
    # Full chroma: at 64 pixels a side, halved colour smears a shape into its background.
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0, comment=comment)
    return buffer.getvalue()
