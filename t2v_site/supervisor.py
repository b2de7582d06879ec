"""Runs the parts of the site side by side: readable logs, restarts, an end that leaves nothing."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from honcho.colour import get_colours
from honcho.printer import Printer

from t2v_site.parent import Parent
from t2v_site.part import Lines, Part, Run, message

__all__ = ["Part", "Supervisor"]

NAME = "t2v"  # of our own lines
HEAL_SECONDS = 2.0
READY_SECONDS = 0.2
TICK_SECONDS = 0.05
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0
CALM_SECONDS = 30.0  # a life this long makes the next pause short again
# A part that dies so early so often, before the site was ever ready, will not come right. (Celery
# needs 4 to 7 s on two cores to find out that it cannot start.)
EARLY_SECONDS, EARLY_DEATHS = 10.0, 5
QUEUED_LINES = 1000  # a part that writes faster than the terminal reads has to wait
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Post:
    """The place of one part: its present life, and when the next one begins."""

    def __init__(self, part: Part, colour: str) -> None:
        self.part, self.colour = part, colour
        self.run: Run | None = None
        self.due = 0.0  # monotonic seconds
        self.pause = FIRST_PAUSE_SECONDS
        self.early_deaths = 0


class _Watchdog:
    """Our end of the pipe to t2v_site/watchdog.py."""

    def __init__(self, grace_seconds: float) -> None:
        script = Path(__file__).with_name("watchdog.py")
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(script), str(grace_seconds)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )

    def tell(self, sign: str, pid: int) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{sign}{pid}\n".encode())
        except BrokenPipeError:
            return  # somebody killed it: the parts run unwatched, which changes nothing for them

    def dismiss(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)


class Supervisor:
    def __init__(
        self,
        parts: Sequence[Part],
        heal: Callable[[], None],
        *,
        stop_seconds: float = 8.0,
        output: TextIO | None = None,
    ) -> None:
        """heal is called every 2 s in a thread of its own; what it raises becomes a line."""
        self._posts = [
            _Post(part, colour) for part, colour in zip(parts, get_colours(), strict=False)
        ]
        self._heal, self._stop_seconds = heal, stop_seconds
        width = max([len(NAME), *(len(part.name) for part in parts)])
        self._printer = Printer(output or sys.stdout, width=width)
        self._lines: Lines = queue.Queue(QUEUED_LINES)
        self._asked_to_stop = 0  # signals received
        self._stopping = threading.Event()
        self._parent = Parent()
        self._was_ready = False  # from then on a part is never given up: outages pass

    def run(
        self, ready: Callable[[], bool] | None = None, on_ready: Callable[[], None] | None = None
    ) -> int:
        """Returns 0 after a signal asked for the end, 1 when a part could never be started.

        ready is asked every 0.2 s until it says yes; then on_ready is called, once.
        """
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        self._watchdog = _Watchdog(self._stop_seconds)
        healer = threading.Thread(target=self._keep_healing, name="heal", daemon=True)
        healer.start()
        try:
            return self._loop(ready, on_ready)
        finally:
            self._stopping.set()
            self._stop()
            self._watchdog.dismiss()
            healer.join(timeout=2)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked_to_stop += 1

    def _loop(self, ready: Callable[[], bool] | None, on_ready: Callable[[], None] | None) -> int:
        next_question = 0.0
        while not self._asked_to_stop and not self._parent.gave_up():
            now = time.monotonic()
            for post in self._posts:
                if not self._tend(post, now):
                    return 1
            if ready is not None and now >= next_question:
                if ready():
                    ready, self._was_ready = None, True
                    if on_ready is not None:
                        self._tell(on_ready)
                next_question = time.monotonic() + READY_SECONDS
            self._print_lines(TICK_SECONDS)
        return 0

    def _tend(self, post: _Post, now: float) -> bool:
        """Starts what is due and notices what has died; False when the part is given up."""
        if post.run is None:
            if now >= post.due:
                post.run = Run(post.part, self._lines, colour=post.colour)
                if post.run.pid is not None:
                    self._watchdog.tell("+", post.run.pid)
            return True
        end = post.run.end()
        if end is None:
            return True
        life = time.monotonic() - post.run.started
        self._bury(post)
        post.early_deaths = post.early_deaths + 1 if life < EARLY_SECONDS else 0
        if post.early_deaths >= EARLY_DEATHS and not self._was_ready:
            self._say(
                f"{post.part.name} {end}: {EARLY_DEATHS} times within its first "
                f"{EARLY_SECONDS:.0f} s. Its lines above say why; everything stops now."
            )
            return False
        if life >= CALM_SECONDS:
            post.pause = FIRST_PAUSE_SECONDS
        self._say(f"{post.part.name} {end}; it starts again in {post.pause:g} s.")
        post.due = time.monotonic() + post.pause
        post.pause = min(post.pause * 2, LONGEST_PAUSE_SECONDS)
        return True

    def _bury(self, post: _Post) -> None:
        """After the main process: what it left behind, its last lines, its name at the watchdog."""
        run, post.run = post.run, None
        assert run is not None
        run.kill_group()
        deadline = time.monotonic() + 1.0
        while run.reading() and time.monotonic() < deadline:
            self._print_lines(0.01)
        self._print_lines(0)
        if run.pid is not None:
            self._watchdog.tell("-", run.pid)

    def _stop(self) -> None:
        living = [post for post in self._posts if post.run is not None]
        for post in living:
            assert post.run is not None
            post.run.terminate()
        deadline = time.monotonic() + self._stop_seconds
        while living and time.monotonic() < deadline and self._asked_to_stop < 2:
            self._print_lines(TICK_SECONDS)
            for post in [post for post in living if post.run and post.run.end() is not None]:
                self._bury(post)
                living.remove(post)
        for post in living:
            self._say(f"{post.part.name} did not stop in time and is killed.")
            self._bury(post)

    def _keep_healing(self) -> None:
        said = ""
        while not self._stopping.wait(HEAL_SECONDS):
            try:
                self._heal()
                said = ""
            except Exception as error:  # any failure becomes a line, and the next try follows
                if str(error) != said and not self._stopping.is_set():
                    said = str(error)
                    self._post_line(said)

    def _post_line(self, text: str) -> None:
        """From a thread; when the queue is full for a second the line is left out."""
        try:
            self._lines.put(message(text, name=NAME), timeout=1)
        except queue.Full:
            return

    def _say(self, text: str) -> None:
        self._print(message(text, name=NAME))

    def _print_lines(self, wait_seconds: float) -> None:
        """Prints what is queued, at most one queue full; waits for the first line."""
        try:
            self._print(self._lines.get(timeout=wait_seconds) if wait_seconds else None)
            for _ in range(QUEUED_LINES):
                self._print(self._lines.get_nowait())
        except queue.Empty:
            return

    def _print(self, line: Any) -> None:
        if line is None or line.type != "line":
            return
        self._tell(partial(self._printer.write, line))

    def _tell(self, say: Callable[[], object]) -> None:
        try:
            say()
            self._printer.output.flush()  # into a pipe Python says things when it has 8 KB of them
        except OSError:
            # The terminal or the pipe behind us is gone; nobody reads, so it ends like a hang-up.
            nobody = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            if self._printer.output is sys.stdout:
                # What waits in its buffer would fail again at the end: exit code 120.
                os.dup2(nobody.fileno(), sys.stdout.fileno())
            self._printer.output = nobody
            self._asked_to_stop = max(self._asked_to_stop, 1)
