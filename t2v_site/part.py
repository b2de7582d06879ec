"""One process of the site under the supervisor: its start, its output, its end."""

import contextlib
import functools
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from honcho.printer import Message
from honcho.process import Popen, Process

LINE_BYTES = 8192  # a longer line is printed in pieces
Lines = queue.Queue[Any]  # of honcho's Message


@dataclass(frozen=True, slots=True)
class Part:
    """What to run. env is added to the supervisor's own environment."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None


class _BoundedLines:
    """A pipe that gives no line longer than LINE_BYTES, however long the part goes on."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe

    def readline(self) -> bytes:
        line: bytes = self._pipe.readline(LINE_BYTES)
        return line

    def close(self) -> None:
        self._pipe.close()


class Run(Process):  # type: ignore[misc]  # honcho has no types
    """One life of a part. honcho reads its output in a thread of ours; the rest is asked here."""

    def __init__(self, part: Part, lines: Lines, *, colour: str) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(part.env or {})}
        super().__init__(list(part.argv), name=part.name, colour=colour, env=environment)
        self._child_ctor = self._spawn
        self._lines = lines
        self.failure: str | None = None  # why it could not be started at all
        self.started = time.monotonic()
        self._spawned = threading.Event()
        self._thread = threading.Thread(target=self._read, name=part.name, daemon=True)
        self._thread.start()
        self._spawned.wait()  # bounded: Popen returns or raises

    def _spawn(self, argv: list[str], *, env: dict[str, str], cwd: str | None) -> Any:
        start = functools.partial(Popen, argv, env=env, cwd=cwd, shell=False)
        child = start(stdin=subprocess.DEVNULL)  # in a session of its own
        child.stdout = _BoundedLines(child.stdout)
        self._child = child
        self._spawned.set()
        return child

    def _read(self) -> None:
        try:
            self.run(self._lines, ignore_signals=False)
        except OSError as error:
            self.failure = f"could not be started: {error}"
        finally:
            self._spawned.set()

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def end(self) -> str | None:
        """How the main process ended, in words; None while it lives."""
        if self._child is None:
            return self.failure or "could not be started"
        code: int | None = self._child.poll()
        if code is None:
            return None
        return f"ended with exit code {code}" if code >= 0 else f"was killed by signal {-code}"

    def terminate(self) -> None:
        """Asks the main process alone: Celery's children are its own to drain."""
        if self.end() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child.pid, signal.SIGTERM)

    def kill_group(self) -> None:
        """Ends whatever is left, grandchildren too."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signal.SIGKILL)

    def reading(self) -> bool:
        return self._thread.is_alive()


def message(text: str, *, name: str) -> Any:
    return Message(type="line", data=text, time=datetime.now(), name=name, colour=None)
