"""The side process: raw frames in by stdin, four files in a folder, their hashes out by stdout.

Started by gpu_worker/tail.py, one for a worker's child; it knows neither torch nor Django, so it
is there within a second. It ends when its stdin does, whatever it is doing: with its parent.

In, for one clip: a line of JSON (Order), the previews' images, then frames × height × width × 3
bytes. Out: a line of JSON (Answer).
"""

import hashlib
import json
import os
import select
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from gpu_worker.encode import encode_video
from gpu_worker.engine import Sprite
from gpu_worker.sheets import Preview, Thumbnails, make_hover_sprite, make_strip
from jobs.errors import DISK_FULL_ERRNOS

NICE = 5  # the thread that feeds the GPU comes first
FILES = VIDEO, POSTER, SPRITE, STRIP = "video.mp4", "poster.png", "sprite.jpg", "strip.jpg"


class OrderedPreview(TypedDict):
    step: int
    frames: int
    tile_width: int  # pixels
    tile_height: int  # pixels
    codec: str
    size: int  # bytes


class Order(TypedDict):
    folder: str
    frames: int
    height: int  # pixels
    width: int  # pixels
    fps: int
    steps: int
    metadata: dict[str, str]
    previews: list[OrderedPreview]


class MadeFile(TypedDict):
    name: str
    size: int  # bytes
    sha256: str
    facts: dict[str, Any]  # of the grids: their layout


class Answer(TypedDict):
    files: list[MadeFile]
    error: NotRequired[str]  # "disk_full"; there are no files then


class _ParentIsGone(Exception):
    pass


def main() -> int:
    # Ctrl-C and a container's stop reach the whole group; the parent still needs this clip.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICE)
    at_hand: list[Path] = []
    threading.Thread(target=_end_with_parent, args=(at_hand,), daemon=True).start()
    source = sys.stdin.buffer
    while line := source.readline():
        order: Order = json.loads(line)
        at_hand[:] = [Path(order["folder"])]
        try:
            answer: Answer = {"files": make_files(order, source)}
        except _ParentIsGone:
            _remove(at_hand)  # the other thread does so too, unless this ends the process first
            return 1
        except OSError as error:
            if error.errno not in DISK_FULL_ERRNOS:
                raise
            answer = {"files": [], "error": "disk_full"}
        at_hand.clear()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        if "error" in answer:
            return 0  # the rest of the clip lies in the pipe still: another process goes on
    return 0


def make_files(order: Order, source: BinaryIO) -> list[MadeFile]:
    """The files of one clip in the order's folder. Raises OSError."""
    folder, fps = Path(order["folder"]), order["fps"]
    previews = [_read_preview(ordered, source) for ordered in order["previews"]]
    thumbnails = Thumbnails(frames=order["frames"])
    encoded = encode_video(
        _read_frames(order, source, thumbnails),
        folder / VIDEO,
        fps=fps,
        frame_count=order["frames"],
        metadata=order["metadata"],
    )
    sprite = make_hover_sprite(thumbnails, seconds=encoded.duration_seconds)
    strip = make_strip(previews, thumbnails, steps=order["steps"])
    (folder / POSTER).write_bytes(encoded.poster_png)
    (folder / SPRITE).write_bytes(sprite.image)
    (folder / STRIP).write_bytes(strip.image)
    facts = {SPRITE: sprite.facts, STRIP: strip.facts}
    return [_describe(folder / name, facts.get(name, {})) for name in FILES]


def _read_preview(ordered: OrderedPreview, source: BinaryIO) -> Preview:
    image = source.read(ordered["size"])
    if len(image) < ordered["size"]:
        raise _ParentIsGone
    sprite = Sprite(
        image=image,
        codec=ordered["codec"],
        frames=ordered["frames"],
        tile_width=ordered["tile_width"],
        tile_height=ordered["tile_height"],
    )
    return Preview(step=ordered["step"], sprite=sprite)


def _read_frames(order: Order, source: Any, thumbnails: Thumbnails) -> Iterator[NDArray[Any]]:
    shape = (order["height"], order["width"], 3)
    for index in range(order["frames"]):
        pixels = np.empty(shape, np.uint8)
        if source.readinto(pixels.reshape(-1)) < pixels.size:
            raise _ParentIsGone
        thumbnails.add(index, pixels)
        yield pixels


def _describe(path: Path, facts: Mapping[str, Any]) -> MadeFile:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    return {"name": path.name, "size": size, "sha256": sha256, "facts": dict(facts)}


def _end_with_parent(at_hand: list[Path]) -> None:
    """Ends the process at once when nobody holds the other end of stdin any more.

    A hang-up is seen although frames lie in the pipe; reading alone would see it after them.
    """
    poll = select.poll()
    poll.register(sys.stdin.fileno(), 0)  # hang-up and error are told unasked
    poll.poll()
    _remove(at_hand)
    os._exit(0)


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
