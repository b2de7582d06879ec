"""The tail of a job beside the render of the next: encode → put → succeed, in one thread.

It holds one clip at a time. The render thread hands the next one over when it is free, so that
at most two are in memory: one becoming files, one decoded or waiting.
"""

import logging
import queue
import random
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
from jobs import artifacts, telling
from jobs.artifacts import StorageUnavailable, Stored
from jobs.errors import DISK_FULL_ERRNOS

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 600.0  # with a storage that takes nothing
LONGEST_PAUSE_SECONDS = 15.0  # between two tries


class Grace:
    """Orders as the loop obeys them, but a drain only after a while: a tail takes seconds."""

    def __init__(self, draining: Event, seconds: float) -> None:
        self._draining, self._seconds = draining, seconds
        self._since = 0.0  # when the drain was seen

    def obey(self, lease: Lease) -> None:
        """Raises the loop.Stopped that applies."""
        loop.obey_the_end(lease)
        if not (self._draining.is_set() or lease.draining.is_set()):
            self._since = 0.0
            return
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since > self._seconds:
            raise loop.Drained


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
        claim = attempt.claim
        try:
            with telling.about(
                job=str(claim.job),
                attempt=claim.attempt,
                model=claim.spec.model,
                trace=attempt.span.trace,
            ):
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
            raise RenderError("disk_full", DISK_FULL, permanent=False, spends=False) from error
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
            with attempt.span.child("encode"):
                files = self.tail.make_files(clip, folder, check=check)
            for made in files:
                moved()
                check()
                name, sha256 = made["name"], made["sha256"]
                put = partial(
                    artifacts.put,
                    claim.job,
                    claim.attempt,
                    name,
                    folder / name,
                    sha256=sha256,
                    facts=made["facts"],
                    on_read=moved,
                )
                with attempt.span.child("put", file=name, bytes=made["size"]):
                    stored.append(_patiently(put, check=check, moved=moved))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return stored


def _patiently(
    put: Callable[[], Stored], *, check: Callable[[], object], moved: Callable[[], object]
) -> Stored:
    """Again and again while the storage is away: the work of an hour hangs on it.

    check raises the loop.Stopped that applies. Raises what put raises, and RenderError at the end
    of the patience.
    """
    until, pause = time.monotonic() + PATIENCE_SECONDS, 0.5
    while True:
        try:
            return put()
        except StorageUnavailable as error:
            logger.warning("the storage took no file (%s)", error)
            if time.monotonic() > until:
                message = f"The storage did not take the video ({error})."
                raise RenderError(
                    "storage_unavailable", message, permanent=False, spends=False
                ) from error
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        again = time.monotonic() + pause * random.uniform(0.5, 1.0)
        while (left := again - time.monotonic()) > 0:
            moved()
            check()
            time.sleep(min(left, 0.2))
