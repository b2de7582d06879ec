"""Whether a child still lives in itself: it writes the time every second, its parent reads it.

A thread of the child that watches its own render is no help when the whole process stands still:
stopped by a signal, or in C code that keeps the interpreter's lock. The parent kills such a child
and Celery starts another one. A child whose parent is gone drains and ends. Knows no torch.
"""

import logging
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
LOOK_SECONDS = 5.0
SILENT_SECONDS = 120.0  # loading weights may keep the interpreter's lock for tens of seconds
_TIME = struct.Struct("<d")  # CLOCK_MONOTONIC, the same for all processes of a machine


def _file(folder: Path, parent: int, child: int) -> Path:
    """Containers that share the folder count their processes alike, so the host's name is in it."""
    return folder / f"{socket.gethostname()}-{parent}-{child}.pulse"


class Pulse:
    """In the child."""

    def __init__(
        self,
        folder: Path,
        *,
        on_orphaned: Callable[[], object],
        on_beat: Callable[[], object] = lambda: None,
    ) -> None:
        """on_orphaned is called, once, when the parent has died."""
        self._parent = os.getppid()
        self._on_orphaned, self._on_beat = on_orphaned, on_beat
        folder.mkdir(parents=True, exist_ok=True)
        self._path = _file(folder, self._parent, os.getpid())

    def start(self) -> None:
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    def _run(self) -> None:
        while os.getppid() == self._parent:
            try:
                self._path.write_bytes(_TIME.pack(time.monotonic()))
            except OSError:  # a full disk: nobody is killed for a pulse that cannot be written
                with suppress(OSError):
                    self._path.unlink(missing_ok=True)
            self._on_beat()
            time.sleep(BEAT_SECONDS)
        self._path.unlink(missing_ok=True)
        logger.error("the parent of this child is gone; it hands back what it has and ends")
        self._on_orphaned()


class Watch:
    """In the parent."""

    def __init__(
        self,
        folder: Path,
        children: Callable[[], Iterable[int]],
        *,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        """children: the process ids of the children that live."""
        self._folder, self._children, self._silent = folder, children, silent_seconds
        self._looked_at = time.monotonic()

    def start(self) -> None:
        """Before the first child is made: a container that starts again has all numbers again."""
        self._forget(set())
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                self.look()
            except OSError:  # it died between two lines, or the disk of the folder is in trouble
                logger.exception("no look after the children")

    def look(self) -> list[int]:
        """Kills the children that have been silent for too long; which."""
        now = time.monotonic()
        slept, self._looked_at = now - self._looked_at, now
        if slept > self._silent / 2:
            return []  # this process was stopped as well: let the children beat first
        living = set(self._children())
        killed = [pid for pid in living if self._silent_for(pid, now) > self._silent]
        for pid in killed:
            logger.error("child %d gave no sign for %.0f s and is killed", pid, self._silent)
            os.kill(pid, signal.SIGKILL)
        self._forget(living - set(killed))
        return killed

    def _silent_for(self, pid: int, now: float) -> float:
        """0 for a child that has not begun to beat: it is being made."""
        try:
            beat = _file(self._folder, os.getpid(), pid).read_bytes()
        except FileNotFoundError:
            return 0.0
        return now - float(_TIME.unpack(beat)[0]) if len(beat) == _TIME.size else 0.0

    def _forget(self, living: set[int]) -> None:
        """Removes the files of children that are gone."""
        mine = f"{socket.gethostname()}-{os.getpid()}-"
        for path in self._folder.glob(f"{mine}*.pulse"):
            number = path.stem.removeprefix(mine)
            if not number.isdecimal() or int(number) not in living:
                path.unlink(missing_ok=True)
