"""The program t2v as a person or a script runs it: a process of its own, with a home of its own."""

import fcntl
import json
import os
import pty
import queue
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.stage import ROOT

# A warning in the program would be an error, as in the tests themselves.
PROGRAM = [sys.executable, "-W", "error", "-m", "t2v_cli"]
END_SECONDS = 60.0  # two busy cores
WINDOW = struct.pack("HHHH", 40, 160, 0, 0)  # rows and columns


@dataclass(frozen=True, kw_only=True)
class Done:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        """Of JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class Running:
    """A program that has not ended, and what it said so far on standard output."""

    def __init__(self, process: subprocess.Popen[str], err: Path) -> None:
        self.process = process
        self.said: list[str] = []
        self._err = err
        self._news: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            self._news.put(line)
        self._news.put(None)

    def until(self, what: Callable[[str], bool], seconds: float = END_SECONDS) -> str:
        """The first line from now on of which it is so."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._news.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"it never came: {self.said}; {self.err()}"
            if what(line):
                return line

    def until_message(self, what: Callable[[Any], bool], seconds: float = END_SECONDS) -> Any:
        """The same of JSON lines."""
        return json.loads(self.until(lambda line: what(json.loads(line)), seconds))

    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def until_err(self, what: str, seconds: float = END_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while what not in self.err():
            assert time.monotonic() < deadline, self.err()
            time.sleep(0.02)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self, seconds: float = END_SECONDS) -> Done:
        code = self.process.wait(seconds)
        self._reader.join(10)
        return Done(code=code, out="".join(self.said), err=self.err())


class Program:
    """t2v at one site as one person."""

    def __init__(self, site: str, token: str, home: Path) -> None:
        self.token = token
        self.home = home
        self._site = site
        self._runs = 0
        home.mkdir(exist_ok=True)

    def env(self, **changed: str) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
        own = {"XDG_CONFIG_HOME": str(self.home), "PYTHONPATH": str(ROOT)}
        asked = {"T2V_SITE": self._site, "T2V_TOKEN": self.token}
        return {name: value for name, value in (plain | own | asked | changed).items() if value}

    def run(self, *words: object, stdin: str = "", **changed: str) -> Done:
        """changed: of the environment; an empty one is taken away."""
        return self._run([*PROGRAM, *map(str, words)], stdin, changed)

    def shell(self, script: str) -> Done:
        """A line of bash in which t2v is a command."""
        function = f't2v() {{ {shlex.join(PROGRAM)} "$@"; }}'
        return self._run(["bash", "-c", f"{function}\n{script}"], "", {})

    def _run(self, command: list[str], stdin: str, changed: dict[str, str]) -> Done:
        done = subprocess.run(
            command,
            cwd=self.home,
            env=self.env(**changed),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=END_SECONDS,
            check=False,
        )
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    @contextmanager
    def running(self, *words: object) -> Iterator[Running]:
        self._runs += 1
        err = self.home / f"{self._runs}.err"
        with err.open("w") as sink:
            process = subprocess.Popen(
                [*PROGRAM, *map(str, words)],
                cwd=self.home,
                env=self.env(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
            )
        started = Running(process, err)
        try:
            yield started
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(10)
            started._reader.join(10)
            assert process.stdout is not None
            process.stdout.close()

    @contextmanager
    def terminal(self, *words: object, **changed: str) -> Iterator["Terminal"]:
        """As a person runs it."""
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, WINDOW)
        process = subprocess.Popen(
            [*PROGRAM, *map(str, words)],
            cwd=self.home,
            env=self.env(TERM="xterm-256color", NO_COLOR="", COLUMNS="", **changed),
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
        )
        os.close(its)
        try:
            yield Terminal(process, ours)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(10)
            os.close(ours)


class Terminal:
    def __init__(self, process: subprocess.Popen[bytes], ours: int) -> None:
        self._process, self._ours = process, ours
        self.shown = ""

    def _read(self, seconds: float) -> bool:
        """Whether something may still come."""
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if not ready:
            return True
        try:
            part = os.read(self._ours, 65_536)
        except OSError:  # how Linux says that nobody writes any more
            return False
        self.shown += part.decode(errors="replace")
        return bool(part)

    def until(self, text: str, seconds: float = END_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert self._read(0.1), self.shown
            assert time.monotonic() < deadline, self.shown

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self, seconds: float = END_SECONDS) -> int:
        deadline = time.monotonic() + seconds
        while self._read(0.1):
            assert time.monotonic() < deadline, self.shown
        return self._process.wait(10)
