"""The hover sprite and the strip show the frames they should, and say how they are laid out."""

import io
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gpu_worker.preview import Grid, make_sprite
from gpu_worker.sheets import (
    SPRITE_BYTES,
    STRIP_BYTES,
    KeptPreviews,
    Preview,
    Thumbnails,
    make_hover_sprite,
    make_strip,
)


def thumbnails(clip: NDArray[Any]) -> Thumbnails:
    small = Thumbnails(frames=len(clip))
    for index, pixels in enumerate(clip):
        small.add(index, pixels)
    return small


def greys(count: int, height: int = 48, width: int = 64) -> NDArray[Any]:
    """Frame i is all of grey i."""
    shades = np.arange(count, dtype=np.uint8)
    return np.broadcast_to(shades[:, None, None, None], (count, height, width, 3)).copy()


def preview(step: int, grey: int, tiles: int = 8, side: int = 16) -> Preview:
    frames = [np.full((side, side, 3), grey, np.uint8)] * tiles
    return Preview(step=step, sprite=make_sprite(frames))


def read(grid: Grid) -> tuple[NDArray[Any], dict[str, Any]]:
    """The tiles' mean grey, (rows, columns), and what the comment says."""
    with Image.open(io.BytesIO(grid.image)) as image:
        said = json.loads(image.info["comment"])
        pixels = np.array(image).astype(float)
    shape = (said["rows"], said["tile_height"], said["columns"], said["tile_width"], 3)
    assert pixels.size == np.prod(shape), "the layout in the comment is that of the image"
    return pixels.reshape(shape).mean(axis=(1, 3, 4)), said


@pytest.mark.parametrize(("frames", "columns", "rows"), [(1, 1, 1), (7, 3, 3), (163, 5, 5)])
def test_the_hover_sprite_shows_evenly_spaced_frames_in_a_grid(
    frames: int, columns: int, rows: int
) -> None:
    tiles, said = read(make_hover_sprite(thumbnails(greys(frames)), seconds=frames / 12))
    assert (said["columns"], said["rows"]) == (columns, rows)
    assert said["seconds"] == round(frames / 12, 3)
    shown = said["frames"]
    assert (shown[0], shown[-1], len(shown)) == (0, frames - 1, min(frames, 25))
    assert np.abs(tiles.ravel()[: len(shown)] - shown).max() <= 2


def test_the_strip_shows_each_preview_in_a_row_and_the_clip_in_the_last() -> None:
    previews = [preview(step, grey) for step, grey in ((1, 200), (4, 150), (7, 100))]
    tiles, said = read(make_strip(previews, thumbnails(greys(25)), steps=8))
    assert said["steps"] == [1, 4, 7, 8]
    assert (said["rows"], said["columns"]) == (4, 8)
    assert np.abs(tiles[:3] - [[200], [150], [100]]).max() <= 3
    assert np.abs(tiles[3] - [0, 3, 7, 10, 14, 17, 21, 24]).max() <= 2


def test_a_preview_with_fewer_frames_still_fills_its_row() -> None:
    tiles, _ = read(make_strip([preview(1, 90, tiles=3)], thumbnails(greys(25)), steps=2))
    assert np.abs(tiles[0] - 90).max() <= 3


def test_noise_of_full_size_stays_within_both_limits() -> None:
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (25, 480, 848, 3), dtype=np.uint8)
    small = thumbnails(frames)
    kept = [
        Preview(step=step, sprite=make_sprite(list(frames[:8, :60, :106]))) for step in range(24)
    ]
    sprite = make_hover_sprite(small, seconds=1.0)
    strip = make_strip(kept, small, steps=64)
    assert len(sprite.image) <= SPRITE_BYTES
    assert len(strip.image) <= STRIP_BYTES
    assert sprite.columns * sprite.tile_width <= 800
    assert strip.rows == 25
    assert strip.columns * strip.tile_width <= 768


@pytest.mark.parametrize("made", [0, 1, 2, 23, 24, 25, 47, 48, 100, 1000])
def test_previews_are_thinned_evenly_and_the_newest_is_kept(made: int) -> None:
    sprite = make_sprite([np.zeros((8, 8, 3), np.uint8)])
    kept = KeptPreviews()
    for step in range(made):
        kept.add(Preview(step=step, sprite=sprite))
    steps = [one.step for one in kept]
    assert min(made, 12) <= len(steps) <= 24
    if made:
        assert (steps[0], steps[-1]) == (0, made - 1)
    gaps = np.diff(steps[:-1])
    assert len(set(gaps.tolist())) <= 1, "all but the newest are equally far apart"


@pytest.mark.parametrize("before", [0, 1, 5, 23, 24, 48, 100])
@pytest.mark.parametrize("after", [0, 1, 30])
def test_previews_of_an_attempt_before_stay_with_those_after_it(before: int, after: int) -> None:
    sprite = make_sprite([np.zeros((8, 8, 3), np.uint8)])
    first, second = KeptPreviews(), KeptPreviews()
    for step in range(1, before + 1):
        first.add(Preview(step=step, sprite=sprite))
    second.restore(first.up_to(before))
    assert second.up_to(before)[-1:] == first.up_to(before)[-1:]
    for step in range(before + 1, before + after + 1):
        second.add(Preview(step=step, sprite=sprite))
    steps = [one.step for one in second]
    assert steps == sorted(set(steps))
    assert min(before + after, 12) <= len(steps) <= 24
    if before + after:
        assert (steps[0], steps[-1]) == (1, before + after)


def test_previews_later_than_a_checkpoint_are_not_its_own() -> None:
    kept = KeptPreviews()
    for step in (1, 4, 7):
        kept.add(preview(step, grey=100))
    assert [one.step for one in kept.up_to(6)] == [1, 4]
    assert kept.up_to(0) == ()
