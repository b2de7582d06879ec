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
# decides a little otherwise with another number of them.
X264_OPTIONS = {"crf": "10", "preset": "medium", "threads": "2"}
MP4_OPTIONS = {"movflags": "+faststart"}  # the index first: a browser plays while it loads
METADATA_KEYS = frozenset({"title", "comment", "description", "copyright", "artist", "date"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedVideo:
    frames: int
    width: int  # pixels
    height: int  # pixels
    duration_seconds: float
    poster_png: bytes  # the middle frame


def encode_video(
    frames: Iterator[NDArray[Any]],
    path: Path,
    *,
    fps: int,
    frame_count: int,
    metadata: dict[str, str],
) -> EncodedVideo:
    """Writes path, or leaves it untouched and raises.

    Frames are uint8 (H, W, 3), RGB, all of one even size; two of them are in memory at a time.
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
    width = height = count = 0
    poster = b""
    with av.open(str(part), "w", format="mp4", options=MP4_OPTIONS) as container:
        container.metadata.update(metadata)
        stream = container.add_stream("libx264", rate=Fraction(fps), options=X264_OPTIONS)
        for pixels in frames:
            if count == 0:
                height, width = pixels.shape[:2]
                _set_up(stream, width, height, fps)
            elif pixels.shape[:2] != (height, width):
                raise ValueError(f"frame {count} is {pixels.shape}, the first {height}×{width}")
            if count == frame_count // 2:
                poster = _png(pixels)
            container.mux(stream.encode(_frame(pixels, count, fps)))
            count += 1
        if count != frame_count or count == 0:
            raise ValueError(f"{count} frames came, not {frame_count}")
        container.mux(stream.encode(None))
    return EncodedVideo(
        frames=count, width=width, height=height, duration_seconds=count / fps, poster_png=poster
    )


def _set_up(stream: VideoStream, width: int, height: int, fps: int) -> None:
    if width % 2 or height % 2:
        raise ValueError(f"half-resolution colour needs even sides, not {width}×{height}")
    codec: VideoCodecContext = stream.codec_context
    codec.width, codec.height = width, height
    codec.pix_fmt = "yuv420p"
    codec.time_base = Fraction(1, fps)
    # Said aloud: players guess otherwise, and by the size, so that colours differ between them.
    codec.colorspace = Colorspace.ITU709
    codec.color_primaries = ColorPrimaries.BT709
    codec.color_trc = ColorTrc.BT709
    codec.color_range = ColorRange.MPEG


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
