"""The tail of a job beside the render of the next: encode → put → succeed, in one thread.

It holds one clip at a time. The render thread hands the next one over when it is free, so that
at most two are in memory: one becoming files, one decoded or waiting.
"""

import logging
import queue
import shutil
import threading
import time
from collections.abc import Callable
from functools import partial
from threading import Event

from django.db import connection

from gpu_worker import loop
from gpu_worker.attempt import Attempt
from gpu_worker.engine import RenderError
from gpu_worker.lease import Lease
from gpu_worker.scratch import Scratch
from gpu_worker.tail import DISK_FULL, Clip, Tail
from gpu_worker.tail_process import DISK_FULL_ERRNOS
from jobs import artifacts
from jobs.artifacts import Stored

logger = logging.getLogger(__name__)


class Grace:
    """Orders as the loop obeys them, but a drain only after a while: a tail takes seconds."""

    def __init__(self, draining: Event, seconds: float) -> None:
        self._draining, self._seconds = draining, seconds
        self._over, self._since = Event(), 0.0

    def obey(self, lease: Lease) -> None:
        """Raises the loop.Stopped that applies."""
        if self._draining.is_set() and not self._over.is_set():
            self._since = self._since or time.monotonic()
            if time.monotonic() - self._since > self._seconds:
                self._over.set()
        loop.obey(lease, self._over)


class Finisher:
    """One thread with the side process that makes files; both start with the first clip."""

    def __init__(self, grace: Grace, *, on_death: Callable[[], object]) -> None:
        """on_death is called when the thread ends by an error that nobody foresaw."""
        self._grace, self._on_death = grace, on_death
        # By model: decoding and saving, the last time.
        self._seconds: dict[str, tuple[float, float]] = {}
        self._scratch: Scratch | None = None
        self._clips: queue.SimpleQueue[tuple[Attempt, Clip] | None] = queue.SimpleQueue()
        self._free = Event()
        self._free.set()
        self.tail = Tail()
        self._thread: threading.Thread | None = None

    def seconds(self, model: str) -> float:
        """What decoding and saving took the last time; 0 before there is a last time."""
        return sum(self._seconds.get(model, (0.0, 0.0)))

    def wait_until_free(self, attempt: Attempt) -> None:
        """Raises the loop.Stopped that applies to the attempt that waits."""
        self._grace.obey(attempt.lease)
        while not self._free.wait(0.2):
            attempt.lease.moved(attempt.claim.spec.steps)  # the one before it has its own watch
            self._grace.obey(attempt.lease)

    def take(self, attempt: Attempt, clip: Clip) -> None:
        """Returns at once; the attempt's end is told by the thread. Only when free."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="tail", daemon=True)
            self._thread.start()
        self._free.clear()
        self._clips.put((attempt, clip))

    def close(self) -> None:
        """Returns when the clip at hand has come to its end; a drain bounds that by the grace."""
        if self._thread is not None:
            self._clips.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        try:
            while (taken := self._clips.get()) is not None:
                self._finish(*taken)
                del taken  # the clip, while this waits for the next
                self._free.set()
        except Exception:
            logger.exception("the tail's thread dies")
            self._on_death()
        finally:
            self._free.set()
            self.tail.close()
            if self._scratch is not None:
                self._scratch.close()
                self._scratch = None
            connection.close()

    def _finish(self, attempt: Attempt, clip: Clip) -> None:
        try:
            files = attempt.run(partial(self._save, attempt, clip))
            if files is not None:
                attempt.succeed(files)
        finally:
            connection.close()  # idle until the next clip, a fail-over would leave it dead

    def _save(self, attempt: Attempt, clip: Clip) -> list[Stored]:
        claim, began = attempt.claim, time.monotonic()
        model, steps = claim.spec.model, claim.spec.steps
        _, seconds_left = self._seconds.get(model, (0.0, 0.0))
        attempt.progress("saving", step=steps, steps=steps, seconds_left=seconds_left)
        try:
            files = self._make_and_put(attempt, clip)
        except OSError as error:
            if error.errno not in DISK_FULL_ERRNOS:
                raise
            raise RenderError("disk_full", DISK_FULL, permanent=False) from error
        self._seconds[model] = (attempt.decode_seconds, time.monotonic() - began)
        return files

    def _make_and_put(self, attempt: Attempt, clip: Clip) -> list[Stored]:
        claim, lease = attempt.claim, attempt.lease
        check = partial(self._grace.obey, lease)
        moved = partial(lease.moved, claim.spec.steps)
        check()
        self._scratch = self._scratch or Scratch()
        folder = self._scratch.folder()
        stored = []
        try:
            for made in self.tail.make_files(clip, folder, check=check):
                moved()
                check()
                name, sha256 = made["name"], made["sha256"]
                path = folder / name
                stored.append(
                    artifacts.put(
                        claim.job, claim.attempt, name, path, sha256=sha256, on_read=moved
                    )
                )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return stored
