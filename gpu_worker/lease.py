"""The thread that keeps an attempt's right to its job, while the render moves on."""

import logging
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, connection

from jobs import actions
from jobs.actions import Claim
from jobs.errors import LostClaim
from jobs.models import LEASE

logger = logging.getLogger(__name__)

RENEW_SECONDS = 10.0
LOOK_SECONDS = 0.5  # how late a cancel can be noticed
STALL_SECONDS = 900.0  # without a step for so long (loading a large model counts), it hangs


class Lease:
    """Renews while steps move; tells the loop, between two steps, to stop.

    lost: another attempt has begun, or the lease ran out unrenewed: nothing may be published.
    cancelled: somebody with the right asked for the end.
    """

    def __init__(
        self,
        claim: Claim,
        *,
        on_stall: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """on_stall is called when the render hangs: no order reaches it between two steps."""
        self.claim = claim
        self._on_stall = on_stall
        self.lost = threading.Event()
        self.cancelled = threading.Event()
        self._clock = clock
        self._step = 0
        self._moved_at = self._renewed_at = clock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def moved(self, step: int) -> None:
        """The render got on: a step, or a frame of the end."""
        self._step = step
        self._moved_at = self._clock()

    @property
    def certain(self) -> bool:
        """Whether the lease surely holds, with ten seconds to spare."""
        held = self._clock() - self._renewed_at < LEASE.total_seconds() - RENEW_SECONDS
        return held and not self.lost.is_set()

    def _run(self) -> None:
        try:
            while not self._stop.wait(LOOK_SECONDS) and not self.lost.is_set():
                self._look()
        finally:
            connection.close()  # this thread's own

    def _look(self) -> None:
        now = self._clock()
        try:
            if now - self._renewed_at < RENEW_SECONDS:
                orders = actions.orders(self.claim)
            elif now - self._moved_at > STALL_SECONDS:
                logger.error(
                    "job %s: no step for %.0f s; letting go", self.claim.job, STALL_SECONDS
                )
                self.lost.set()
                self._on_stall()
                return
            else:
                orders = actions.renew(self.claim, step=self._step)
                self._renewed_at = now
        except LostClaim:
            logger.warning("job %s: attempt %d lost it", self.claim.job, self.claim.attempt)
            self.lost.set()
        except DatabaseError as error:
            # The lease may be revived later if no other attempt began, so rendering goes on.
            logger.warning("job %s: no renewal (%s)", self.claim.job, type(error).__name__)
            connection.close()
        else:
            if orders.cancel:
                self.cancelled.set()
