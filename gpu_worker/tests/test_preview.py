"""A preview is small, moves, and shows the frames it was given."""

import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from gpu_worker.preview import make_sprite, pick


def test_frames_are_picked_evenly_with_both_ends() -> None:
    assert pick(25, 8) == [0, 3, 7, 10, 14, 17, 21, 24]
    assert pick(163, 8)[-1] == 162


def test_a_clip_shorter_than_a_preview_is_shown_whole() -> None:
    assert pick(1, 8) == [0]
    assert pick(7, 8) == [0, 1, 2, 3, 4, 5, 6]


def test_tiles_stand_left_to_right_in_their_own_size() -> None:
    greys = [0, 80, 160, 240]
    sprite = make_sprite([np.full((48, 64, 3), grey, np.uint8) for grey in greys])
    assert (sprite.frames, sprite.tile_width, sprite.tile_height) == (4, 64, 48)
    assert sprite.codec == "jpeg"
    with Image.open(io.BytesIO(sprite.image)) as image:
        assert image.format == "JPEG"
        assert image.size == (4 * 64, 48)
        found = np.array(image)[24, 32::64, 0]
    assert np.abs(found.astype(int) - greys).max() <= 2


SIDES = st.one_of(st.integers(1, 64), st.sampled_from([480, 848, 1024]))


def picture(kind: str, rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Noise; pixels either black or white, which JPEG likes least; or black."""
    values, scale = {"noise": (256, 1), "pixels": (2, 255), "black": (1, 0)}[kind]
    return rng.integers(0, values, (height, width, 3), dtype=np.uint8) * np.uint8(scale)


@settings(max_examples=60, deadline=None)
@given(
    height=SIDES,
    width=SIDES,
    count=st.integers(1, 8),
    kind=st.sampled_from(["noise", "pixels", "black"]),
    seed=st.integers(0, 9),
)
@example(height=480, width=848, count=8, kind="noise", seed=1)
@example(height=480, width=848, count=8, kind="pixels", seed=1)
@example(height=1, width=1024, count=8, kind="pixels", seed=1)
def test_a_preview_stays_within_the_limit_whatever_it_shows(
    height: int, width: int, count: int, kind: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sprite = make_sprite([picture(kind, rng, height, width) for _ in range(count)])
    assert len(sprite.image) <= 30_000
    assert sprite.frames == count
    assert max(sprite.tile_width, sprite.tile_height) <= 240
    assert sprite.tile_width <= width, "never enlarged"
    assert sprite.tile_height <= height
    with Image.open(io.BytesIO(sprite.image)) as image:
        assert image.size == (count * sprite.tile_width, sprite.tile_height)


def test_a_limit_that_no_image_meets_is_said() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        make_sprite([np.zeros((64, 64, 3), np.uint8)], max_bytes=50)
