"""The processes of the site, each started again within a second of its death, as in production."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.chaos.history import History
from tests.stage import ROOT

PAUSE_SECONDS = 0.5  # between a death and the next life
LOOK_SECONDS = 0.1
STOP_SECONDS = 40.0  # a worker may take 25 s for its drain
WATCHDOG = ROOT / "t2v_site" / "watchdog.py"  # ends the parts when this process is killed


@dataclass(kw_only=True)
class Part:
    """One process and those that it starts; all of them are one process group."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    root: Path = ROOT  # where the code of its next life lies
    process: "subprocess.Popen[bytes] | None" = None
    due: float = 0.0  # monotonic seconds of the next start
    starts: int = 0
    hand: threading.Lock = field(default_factory=threading.Lock)  # held by the fault at work on it

    @property
    def pid(self) -> int:
        """0 between two lives."""
        process = self.process
        return process.pid if process is not None and process.poll() is None else 0

    def family(self) -> list[psutil.Process]:
        """What the process has started and what those have, as of now."""
        try:
            return psutil.Process(self.pid).children(recursive=True) if self.pid else []
        except psutil.NoSuchProcess:
            return []

    def send(self, number: signal.Signals, *, to_all: bool = False) -> None:
        """to_all: to the whole group, also what its process left behind when it died."""
        with suppress(ProcessLookupError):
            if to_all and self.process is not None:
                os.killpg(self.process.pid, number)
            elif self.pid:
                os.kill(self.pid, number)


class Parts:
    """Keeps them alive from `start` until `stop`."""

    def __init__(self, history: History) -> None:
        self.all: list[Part] = []
        self._history = history
        self._bereft: list[int] = []  # groups whose first process has died; none may be left over
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", str(WATCHDOG), "1"],
            stdin=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )

    def start(self, parts: Sequence[Part]) -> None:
        self.all = list(parts)
        self._thread.start()

    def named(self, kind: str) -> list[Part]:
        """Those whose name begins so: "worker", "web", "sweep"."""
        return [part for part in self.all if part.name.startswith(kind)]

    @contextmanager
    def taken(self, candidates: Sequence[Part]) -> Iterator[Part | None]:
        """The first one that lives and that no other fault is at; None when there is none."""
        for part in candidates:
            if part.pid and part.hand.acquire(blocking=False):
                try:
                    yield part
                finally:
                    part.hand.release()
                return
        yield None

    def watch(self, pid: int | None) -> None:
        """So that not even a SIGKILL of this process leaves that one and its group behind."""
        self._tell("+", pid)

    def forget(self, pid: int | None) -> None:
        """Its group is gone: the number is soon another process', perhaps somebody else's."""
        self._tell("-", pid)

    def _tell(self, sign: str, pid: int | None) -> None:
        assert self._watchdog.stdin is not None
        if pid is not None and not self._watchdog.stdin.closed:
            self._watchdog.stdin.write(f"{sign}{pid}\n".encode())

    def _keep(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            for part in self.all:
                self._tend(part)
            self._bury()

    def _bury(self) -> None:
        for group in [group for group in self._bereft if not _lives(group)]:
            self._bereft.remove(group)
            self.forget(group)

    def _tend(self, part: Part) -> None:
        if part.process is None:
            if time.monotonic() >= part.due and not self._stop.is_set():
                self._start(part)
            return
        code = part.process.poll()
        if code is not None:
            self._history.note("died", part=part.name, pid=part.process.pid, code=code)
            self._bereft.append(part.process.pid)
            part.process, part.due = None, time.monotonic() + PAUSE_SECONDS

    def _start(self, part: Part) -> None:
        with part.log.open("ab") as log:
            part.process = subprocess.Popen(
                part.argv,
                cwd=part.root,
                env=dict(part.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        part.starts += 1
        self.watch(part.process.pid)
        self._history.note("started", part=part.name, pid=part.process.pid)

    def stop(self) -> dict[str, int]:
        """Asks all to end, and their exit codes; what does not end in time is killed: -9."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for part in self.all:
            part.send(signal.SIGTERM)
        until = time.monotonic() + STOP_SECONDS
        while any(part.pid for part in self.all) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        codes = {}
        for part in self.all:
            if part.pid:
                part.send(signal.SIGKILL, to_all=True)
            if part.process is not None:
                codes[part.name] = part.process.wait()
                self._bereft.append(part.process.pid)
                part.process = None
        return codes

    def kill(self) -> None:
        """At once, and nothing is asked; harmless when all have ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for part in self.all:
            if part.process is not None:
                part.send(signal.SIGKILL, to_all=True)
                part.process.wait()
                self._bereft.append(part.process.pid)
                part.process = None
        for group in self._bereft:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            self.forget(group)
        self._bereft.clear()

    def dismiss(self) -> None:
        """Ends the watchdog, which kills what is left of all that it watches."""
        assert self._watchdog.stdin is not None
        if not self._watchdog.stdin.closed:
            self._watchdog.stdin.close()
        self._watchdog.wait(10)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
