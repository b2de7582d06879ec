"""From decoded frames to files, in a process beside the one that renders.

The process is a plain child (gpu_worker/tail_process.py) over pipes: Celery's children are
daemonic, and multiprocessing refuses those children of their own.
"""

import json
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from gpu_worker.engine import RenderError
from gpu_worker.sheets import Preview
from gpu_worker.tail_process import Answer, MadeFile, Order

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.2  # how late an order to stop is obeyed
HANG_SECONDS = 120.0  # no byte taken and none given for so long: it hangs
END_SECONDS = 5.0  # for an idle process to end by itself
WRITE_BYTES = 1 << 20
CHANCES = 2  # a process that dies may have been killed for memory; twice is no accident

DISK_FULL = (
    "A disk of this worker is full: the one for temporary files, or the one that keeps videos."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A finished render before it is a file. 199 MB for 163 frames of 848×480."""

    pixels: NDArray[Any]  # (frames, height, width, 3) uint8 RGB, contiguous
    fps: int
    steps: int  # denoising steps of the whole render
    metadata: dict[str, str]
    previews: tuple[Preview, ...]

    def order(self, folder: Path) -> Order:
        frames, height, width, _ = self.pixels.shape
        return {
            "folder": str(folder),
            "frames": frames,
            "height": height,
            "width": width,
            "fps": self.fps,
            "steps": self.steps,
            "metadata": self.metadata,
            "previews": [
                {
                    "step": preview.step,
                    "frames": preview.sprite.frames,
                    "tile_width": preview.sprite.tile_width,
                    "tile_height": preview.sprite.tile_height,
                    "codec": preview.sprite.codec,
                    "size": len(preview.sprite.image),
                }
                for preview in self.previews
            ],
        }


class _Died(Exception):
    pass


class Tail:
    """The side process, started when it is needed. For one thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def make_files(
        self, clip: Clip, folder: Path, *, check: Callable[[], object] = lambda: None
    ) -> list[MadeFile]:
        """video.mp4, poster.png, sprite.jpg and strip.jpg in folder, with size and hash.

        A process that dies or hangs is replaced and the clip made again, once.
        check is called five times a second; what it raises stops the work and comes out here.
        Raises RenderError disk_full or tail_broken.
        """
        for _ in range(CHANCES):
            try:
                return self._make_once(clip, folder, check)
            except _Died as error:
                logger.warning("the tail's process was lost: %s", error)
                for path in folder.iterdir():
                    path.unlink()
        message = "The process that makes the video file died twice; see the worker's log."
        raise RenderError("tail_broken", message, permanent=False)

    def close(self) -> None:
        """Ends the process; the next clip would start another one."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return None if self._process is None else self._process.pid

    def _make_once(self, clip: Clip, folder: Path, check: Callable[[], object]) -> list[MadeFile]:
        talk = _Talk(self._running(), check)
        try:
            talk.send(json.dumps(clip.order(folder)).encode() + b"\n")
            for preview in clip.previews:
                talk.send(preview.sprite.image)
            talk.send(clip.pixels.reshape(-1).data)
            answer = talk.receive()
        except BaseException:
            self._kill()  # in the middle of a clip it understands no other
            raise
        if answer.get("error") == "disk_full":
            self.close()
            raise RenderError("disk_full", DISK_FULL, permanent=False, spends=False)
        return answer["files"]

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        root = str(Path(__file__).resolve().parents[1])
        secretless = {name: value for name, value in os.environ.items() if name[:4] != "T2V_"}
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gpu_worker.tail_process"],
            env={**secretless, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        return self._process

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self.close()


class _Talk:
    """One clip's way through the pipes; neither direction blocks for longer than a look."""

    def __init__(self, process: "subprocess.Popen[bytes]", check: Callable[[], object]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._in, False)
        self._check = check
        self._moved_at = time.monotonic()

    def send(self, content: "bytes | memoryview") -> None:
        """Returns when the pipe took it, or the process took its leave: receive knows why."""
        left = memoryview(content)
        while left:
            self._wait(self._in, select.POLLOUT)
            try:
                left = left[os.write(self._in, left[:WRITE_BYTES]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                return
            self._moved_at = time.monotonic()

    def receive(self) -> Answer:
        line = b""
        while not line.endswith(b"\n"):
            self._wait(self._out, select.POLLIN)
            part = os.read(self._out, 65_536)
            if not part:
                raise _Died("it ended without an answer")
            line += part
        answer: Answer = json.loads(line)
        return answer

    def _wait(self, pipe: int, event: int) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        self._check()
        while not poll.poll(LOOK_SECONDS * 1000):
            self._check()
            if time.monotonic() - self._moved_at > HANG_SECONDS:
                raise _Died(f"it took nothing for {HANG_SECONDS:.0f} s")
