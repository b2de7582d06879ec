"""Frames to one MP4 that every browser plays, frame by frame as they come."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

# Visually lossless; a 64×64 clip of 25 frames takes about 13 KB. Threads are fixed, since x264
# decides a little otherwise with another number of them. No mbtree: what it decides hangs on where
# the frames lie in memory, 22 different files came of 300 encodings of the same 25 frames.
X264_OPTIONS = {"crf": "10", "preset": "medium", "threads": "2", "mbtree": "0"}
METADATA_KEYS = frozenset({"title", "comment", "description", "copyright", "artist", "date"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedVideo:
    frames: int
    width: int  # pixels of the file: the frames' own, rounded up to even
    height: int  # pixels, likewise
    duration_seconds: float
    poster_png: bytes  # the middle frame, in its own size


def encode_video(
    frames: Iterator[NDArray[Any]],
    path: Path,
    *,
    fps: int,
    frame_count: int,
    metadata: dict[str, str],
) -> EncodedVideo:
    """Writes path, or leaves it untouched and raises.

    Frames are uint8 (H, W, 3), RGB, all of one size; two of them are in memory at a time.
    An odd side gets one more column or row, the last one again: with half-resolution colour H.264
    holds even sides only, and its crop counts in pairs of pixels as well (ITU-T H.264, 7.4.2.1.1).
    Raises ValueError unless there are frame_count of them, or for a metadata key that MP4 drops.
    """
    if dropped := metadata.keys() - METADATA_KEYS:
        raise ValueError(f"an MP4 keeps no {', '.join(sorted(dropped))}")
    part = path.with_name(f"{path.name}.part")
    try:
        encoded = _write(frames, part, fps=fps, frame_count=frame_count, metadata=metadata)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return encoded


def _write(
    frames: Iterator[NDArray[Any]],
    part: Path,
    *,
    fps: int,
    frame_count: int,
    metadata: dict[str, str],
) -> EncodedVideo:
    shape: tuple[int, ...] = ()
    count = 0
    poster = b""
    with av.open(str(part), "w", format="mp4", options=_mp4_options(fps)) as container:
        container.metadata.update(metadata)
        stream = container.add_stream("libx264", rate=Fraction(fps), options=X264_OPTIONS)
        for pixels in frames:
            if count == 0:
                shape = pixels.shape
                _set_up(stream, _even(shape[1]), _even(shape[0]), fps)
            elif pixels.shape != shape:
                raise ValueError(f"frame {count} is {pixels.shape}, the first {shape}")
            if count == frame_count // 2:
                poster = _png(pixels)
            container.mux(stream.encode(_frame(_padded(pixels), count, fps)))
            count += 1
        if count != frame_count or count == 0:
            raise ValueError(f"{count} frames came, not {frame_count}")
        container.mux(stream.encode(None))
    return EncodedVideo(
        frames=count,
        width=_even(shape[1]),
        height=_even(shape[0]),
        duration_seconds=count / fps,
        poster_png=poster,
    )


def _mp4_options(fps: int) -> dict[str, str]:
    """The index first, so that a browser plays while it loads.

    The file's clock divides by the frame rate: at the usual thousandths of a second the end of a
    clip with B-frames is cut in the last frame.
    """
    return {"movflags": "+faststart", "movie_timescale": str(1000 * fps)}


def _set_up(stream: VideoStream, width: int, height: int, fps: int) -> None:
    codec: VideoCodecContext = stream.codec_context
    codec.width, codec.height = width, height
    codec.pix_fmt = "yuv420p"
    codec.time_base = Fraction(1, fps)
    # Said aloud: players guess otherwise, and by the size, so that colours differ between them.
    codec.colorspace = Colorspace.ITU709
    codec.color_primaries = ColorPrimaries.BT709
    codec.color_trc = ColorTrc.BT709
    codec.color_range = ColorRange.MPEG


def _even(side: int) -> int:
    return side + side % 2


def _padded(pixels: NDArray[Any]) -> NDArray[Any]:
    height, width = pixels.shape[:2]
    if width % 2 or height % 2:
        return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return pixels


def _frame(pixels: NDArray[Any], index: int, fps: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24").reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )
    frame.pts, frame.time_base, frame.duration = index, Fraction(1, fps), 1
    return frame


def _png(pixels: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
