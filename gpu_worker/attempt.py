"""One claim from its first second to the telling of its end.

An attempt begins in the render thread and ends there, or in the tail's thread if there is a clip.
Its lease is kept all the time, until the end is told.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

import numpy as np
from django.db import DatabaseError, Error, InterfaceError, OperationalError, connection
from numpy.typing import NDArray

from gpu_worker import loop
from gpu_worker.engine import GPU_BROKEN, RenderError, Sprite
from gpu_worker.lease import Lease
from gpu_worker.reporter import Reporter
from gpu_worker.sheets import KeptPreviews, Preview
from gpu_worker.tail import Clip
from gpu_worker.tempo import Tempo
from jobs import actions, purge, tracing
from jobs.actions import Claim
from jobs.artifacts import StorageUnavailable, Stored
from jobs.errors import LostClaim

logger = logging.getLogger(__name__)

REPORT_SECONDS = 600.0  # so long the end is told again while Postgres is away
LATER_SECONDS = 30.0  # until a job is tried again that a machine's trouble was in the way of
T = TypeVar("T")


class ChildIsBroken(Exception):
    """The attempt's end is told, but this process can render nothing any more."""


class Attempt:
    """Also the loop's Reporter: passes on what it hears and keeps previews for the strip."""

    def __init__(
        self,
        claim: Claim,
        *,
        tempo: Tempo | None = None,
        on_stall: Callable[[], object],
        on_renewed: Callable[[], object] = lambda: None,
    ) -> None:
        """Both as of Lease."""
        self.claim = claim
        self.lease = Lease(claim, tempo=tempo, on_stall=on_stall, on_renewed=on_renewed)
        self.decode_seconds = 0.0
        self.span = tracing.NONE  # until it has begun, or for good
        self._reporter = Reporter(claim)
        self.previews = KeptPreviews()
        self._fingerprint: dict[str, str] = {}
        self._decoding_since: float | None = None
        self._leased, self._reporting = ExitStack(), ExitStack()

    def begin(self) -> None:
        self._leased.enter_context(self.lease)
        self._reporting.enter_context(self._reporter)

    def run(self, stage: Callable[[], T]) -> T | None:
        """What the stage gave; None when the attempt ended in it, which is told then.

        Raises ChildIsBroken.
        """
        try:
            return stage()
        except loop.Lost:
            self._end(self._lose, error="lost")
        except loop.Cancelled:
            logger.info("job %s: cancelled", self.claim.job)
            self._end(partial(actions.obey_cancel, self.claim), error="cancelled")
        except loop.Drained:
            logger.info("job %s: given back", self.claim.job)
            self._end(partial(actions.release, self.claim), error="released")
        except LostClaim:
            self._end(self._lose, error="lost")
        except RenderError as error:
            logger.exception("job %s: %s", self.claim.job, error.code)
            if error.spends:
                self._fail(error.code, str(error), permanent=error.permanent)
            else:
                self._hand_back(error.code, str(error))
            if error.code == GPU_BROKEN:
                raise ChildIsBroken from error
        except Exception as error:
            # Whatever it was, the job must not wait for its lease to run out.
            logger.exception("job %s: attempt %d broke", self.claim.job, self.claim.attempt)
            message = f"The attempt broke ({type(error).__name__}); see the worker's log."
            self._fail("attempt_broke", message, permanent=False)
        return None

    def succeed(self, files: list[Stored]) -> None:
        """The last word; files lie in storage."""

        def report() -> None:
            state = actions.succeed(self.claim, files)
            logger.info("job %s: attempt %d %s", self.claim.job, self.claim.attempt, state.value)

        self._end(report)

    def note_fingerprint(self, fingerprint: dict[str, str]) -> None:
        """Records on what this attempt renders, if that is news; closes the connection."""
        try:
            if fingerprint != self._fingerprint:
                actions.note_fingerprint(self.claim, fingerprint)
                self._fingerprint = fingerprint
        except DatabaseError as error:
            logger.warning("job %s: no fingerprint (%s)", self.claim.job, type(error).__name__)
        finally:
            connection.close()

    # --- What the loop tells ------------------------------------------------------------------

    def progress(
        self, phase: str, *, step: int, steps: int, seconds_left: float | None = None
    ) -> None:
        if phase == "decoding":
            self._decoding_since = time.monotonic()
        self._reporter.progress(phase, step=step, steps=steps, seconds_left=seconds_left)

    def preview(self, sprite: Sprite, *, step: int, steps: int) -> None:
        self.previews.add(Preview(step=step, sprite=sprite))
        self._reporter.preview(sprite, step=step, steps=steps)

    # --- From frames to a clip ----------------------------------------------------------------

    def collect(self, frames: Iterator[NDArray[Any]]) -> NDArray[Any]:
        """(frames, height, width, 3) uint8. Raises ValueError when they are not as many as asked.

        One piece of memory, because a tail's process that dies needs all of it again.
        """
        wanted = self.claim.spec.frames
        pixels, count = np.empty((0,), np.uint8), 0
        for frame in frames:
            if count == 0:
                pixels = np.empty((wanted, *frame.shape), np.uint8)
            if count < wanted:
                pixels[count] = frame
            count += 1
        if count != wanted:
            raise ValueError(f"{count} frames came, not {wanted}")
        if self._decoding_since is not None:
            self.decode_seconds = time.monotonic() - self._decoding_since
        return pixels

    def clip(self, pixels: NDArray[Any]) -> Clip:
        spec = self.claim.spec
        return Clip(
            pixels=pixels,
            fps=spec.fps,
            steps=spec.steps,
            metadata={"comment": f"recipe {spec.digest()}"},
            previews=tuple(self.previews),
        )

    # --- The end ------------------------------------------------------------------------------

    def _fail(self, code: str, message: str, *, permanent: bool) -> None:
        self._end(
            partial(actions.fail, self.claim, code=code, message=message, permanent=permanent),
            error=code,
        )

    def _hand_back(self, code: str, message: str) -> None:
        self._end(
            partial(
                actions.release,
                self.claim,
                code=code,
                message=message,
                delay_seconds=LATER_SECONDS,
            ),
            error=code,
        )

    def _lose(self) -> None:
        raise LostClaim(f"attempt {self.claim.attempt} lost job {self.claim.job}")

    def _end(self, report: Callable[[], object], *, error: str = "") -> None:
        self._reporting.close()
        try:
            with self.span.child("tell"):
                self._tell(report)
        except LostClaim:
            logger.warning("job %s: attempt %d was too late", self.claim.job, self.claim.attempt)
            self._discard()
        except Error:
            # The lease runs out by itself and another attempt follows.
            logger.exception("job %s: its end could not be told", self.claim.job)
            connection.close()
        finally:
            self._leased.close()
            self.span.end(error)

    def _discard(self) -> None:
        """What it put is nobody's; the sweep would find it tomorrow."""
        try:
            purge.clear(self.claim.job, self.claim.attempt)
        except (Error, StorageUnavailable, OSError) as error:
            logger.warning("job %s: files are left (%s)", self.claim.job, type(error).__name__)
            connection.close()

    def _tell(self, report: Callable[[], object]) -> None:
        """Tells Postgres the end, again while it is away: the work of an hour hangs on it."""
        until = time.monotonic() + REPORT_SECONDS
        while True:
            try:
                report()
            except (OperationalError, InterfaceError) as error:
                connection.close()
                if self.lease.lost.is_set() or time.monotonic() > until:
                    raise
                logger.warning("the end is not told yet (%s)", type(error).__name__)
                self.lease.lost.wait(1.0)
            else:
                return
