"""An MP4 holds every frame, at the exact rate, as good as it came; or there is none."""

import errno
import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gpu_worker.encode import EncodedVideo, encode_video
from gpu_worker.nano import clips, grammar

Frames = NDArray[np.uint8]


@pytest.fixture(scope="module")
def clip() -> Frames:
    scene = grammar.one("red", "star", "right", "navy")
    return clips.render(scene, seed=1, frames=25, width=64, height=64)


def decode(path: Path) -> Frames:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def encode(frames: Iterator[Frames] | Frames, path: Path, **options: Any) -> EncodedVideo:
    wanted: dict[str, Any] = {"fps": 12, "frame_count": 25, "metadata": {}} | options
    return encode_video(iter(frames), path, **wanted)


def test_every_frame_survives_at_the_exact_rate(clip: Frames, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    encoded = encode(clip, path)
    assert (encoded.frames, encoded.width, encoded.height) == (25, 64, 64)
    assert encoded.duration_seconds == pytest.approx(25 / 12)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (64, 64, 25)
        assert stream.average_rate == 12
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.duration is not None
        assert stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(25 / 12)
        found = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    error = np.stack(found).astype(np.float64) - clip
    assert 10 * np.log10(255**2 / (error**2).mean()) > 30.0  # dB


def test_the_poster_is_the_middle_frame(clip: Frames, tmp_path: Path) -> None:
    encoded = encode(clip, tmp_path / "video.mp4")
    with Image.open(io.BytesIO(encoded.poster_png)) as poster:
        assert poster.format == "PNG"
        assert np.array_equal(np.array(poster), clip[12])


def test_a_single_frame_is_a_video(clip: Frames, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    encoded = encode(clip[:1], path, frame_count=1, fps=30)
    assert encoded.duration_seconds == pytest.approx(1 / 30)
    assert encoded.poster_png
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 1


def test_the_index_comes_before_the_frames(clip: Frames, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    encode(clip, path)
    content = path.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_colours_are_named_for_the_player(clip: Frames, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    encode(clip, path)
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_primaries, codec.color_trc) == (1, 1, 1)  # BT.709
        assert codec.color_range == 1  # limited


def test_metadata_survives(clip: Frames, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    encode(clip, path, metadata={"comment": "recipe 0123", "title": "größer"})
    with av.open(str(path)) as container:
        assert container.metadata["comment"] == "recipe 0123"
        assert container.metadata["title"] == "größer"


def test_metadata_that_would_be_lost_is_refused(clip: Frames, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mood"):
        encode(clip, tmp_path / "video.mp4", metadata={"mood": "blue"})


def test_the_same_frames_give_the_same_bytes(clip: Frames, tmp_path: Path) -> None:
    """Wherever they lie in memory, and whatever lies beside them."""
    path, held, files = tmp_path / "video.mp4", [], set()
    junk = np.random.default_rng(1)

    def frames() -> Iterator[Frames]:
        for pixels in clip:
            held.append(pixels.copy())
            yield held[-1]
            held[-1][:] = junk.integers(0, 256, pixels.shape, dtype=np.uint8)

    for _ in range(30):
        encode(frames(), path)
        files.add(path.read_bytes())
    assert len(files) == 1


def test_frames_are_taken_one_by_one(clip: Frames, tmp_path: Path) -> None:
    """A later frame is not asked for before the earlier one went in."""
    held = []

    def frames() -> Iterator[Frames]:
        for pixels in clip:
            buffer = pixels.copy()
            held.append(buffer)
            yield buffer
            buffer[:] = 0  # whoever still reads it now gets black

    path = tmp_path / "video.mp4"
    encode(frames(), path)
    plain = tmp_path / "plain.mp4"
    encode(clip, plain)
    assert path.read_bytes() == plain.read_bytes()


def broken(clip: Frames) -> Iterator[Frames]:
    yield from clip[:3]
    raise RuntimeError("the GPU is gone")


def test_a_broken_render_leaves_no_file_behind(clip: Frames, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the GPU is gone"):
        encode(broken(clip), tmp_path / "video.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_render_leaves_an_older_video_alone(clip: Frames, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    encode(clip, path)
    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        encode(broken(clip), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("count", [0, 24, 26])
def test_a_clip_of_another_length_is_refused(count: int, clip: Frames, tmp_path: Path) -> None:
    frames = np.concatenate([clip, clip])[:count]
    with pytest.raises(ValueError, match="not 25"):
        encode(frames, tmp_path / "video.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("height", "width"), [(63, 64), (64, 63), (1, 1), (33, 47)])
def test_an_odd_side_gets_its_last_row_or_column_again(
    height: int, width: int, clip: Frames, tmp_path: Path
) -> None:
    path, cut = tmp_path / "video.mp4", clip[:, :height, :width]
    encoded = encode(cut, path)
    even = (height + height % 2, width + width % 2)
    assert (encoded.height, encoded.width) == even
    found = decode(path)
    assert found.shape == (25, *even, 3)
    error = found[:, :height, :width].astype(int) - cut
    assert np.abs(error).mean() < 6
    assert np.abs(found[:, -1].astype(int) - found[:, height - 1]).mean() < 6
    assert np.abs(found[:, :, -1].astype(int) - found[:, :, width - 1]).mean() < 6
    with Image.open(io.BytesIO(encoded.poster_png)) as poster:
        assert poster.size == (width, height)


def test_a_clip_of_163_frames_keeps_every_one_of_them(tmp_path: Path) -> None:
    shades = np.linspace(0, 255, 163).astype(np.uint8)
    frames = np.broadcast_to(shades[:, None, None, None], (163, 48, 80, 3))
    path = tmp_path / "video.mp4"
    encoded = encode(frames, path, fps=30, frame_count=163)
    assert encoded.duration_seconds == pytest.approx(163 / 30)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.frames == 163
        assert stream.average_rate == 30
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(163, 30)
    found = decode(path)
    assert np.abs(found.mean(axis=(1, 2, 3)) - shades).max() < 2, "in their order"
    content = path.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_a_full_disk_is_told_by_its_own_number(clip: Frames, tmp_path: Path) -> None:
    (tmp_path / "video.mp4.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space") as caught:
        encode(clip, tmp_path / "video.mp4")
    assert caught.value.errno == errno.ENOSPC
