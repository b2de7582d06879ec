"""A preview is small, moves, and shows the frames it was given."""

import io

import numpy as np
import pytest
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


@pytest.mark.parametrize("size", [(480, 848), (64, 64), (16, 1024)])
def test_even_pure_noise_stays_within_the_limit(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(8)]
    sprite = make_sprite(frames)
    assert len(sprite.image) <= 30_000
    with Image.open(io.BytesIO(sprite.image)) as image:
        assert image.size == (8 * sprite.tile_width, sprite.tile_height)


def test_a_limit_that_no_image_meets_is_said() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        make_sprite([np.zeros((64, 64, 3), np.uint8)], max_bytes=50)
