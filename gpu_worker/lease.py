"""The thread that keeps an attempt's right to its job, while the render moves on."""

import logging
import threading
import time
from collections.abc import Callable

from django.db import Error, connection

from gpu_worker.tempo import LOADING_SECONDS, Tempo
from jobs import actions, telling
from jobs.actions import Claim
from jobs.errors import LostClaim
from jobs.metrics import instruments
from jobs.models import LEASE

logger = logging.getLogger(__name__)

RENEW_SECONDS = 10.0
# Programs poll the row and not the live side: so much more of the steps is worth a renewal before
# its time. At the most 20 in a render, and one a second, in place of a look that is due anyway.
NEWS_SHARE = 0.05
NEWS_SECONDS = 1.0
LOOK_SECONDS = 0.5  # how late a cancel can be noticed
PAUSE_SECONDS = 45.0  # between two looks: longer than Postgres can hold one up


class Lease:
    """Renews while steps move; tells the loop, between two steps, to stop.

    lost: another attempt has begun, or this one hangs: nothing may be published.
    cancelled: somebody with the right asked for the end.
    draining: an operator wants the job handed back.
    """

    def __init__(
        self,
        claim: Claim,
        *,
        tempo: Tempo | None = None,
        on_stall: Callable[[], object] = lambda: None,
        on_renewed: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """on_stall is called when the render hangs: no order reaches it between two steps.

        on_renewed is called after each renewal, in the lease's thread; it may use its connection.
        """
        self.claim = claim
        self._tempo = tempo or Tempo()
        self._on_stall = on_stall
        self._on_renewed = on_renewed
        self.lost = threading.Event()
        self.cancelled = threading.Event()
        self.draining = threading.Event()
        self._clock = clock
        self._step = 0
        self._told_step = 0  # by the last renewal
        self._steps_seen = 0  # in this attempt
        self._denoising_since = 0.0  # the end of its first step
        self._hard_seconds: float | None = None  # for all its steps, once the pace is known
        self._moved_at = self._stepped_at = self._renewed_at = self._looked_at = clock()
        self._stop = threading.Event()
        self._thread = telling.thread(self._run, name="lease")

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def begins_at(self, step: int) -> None:
        """The render goes on from a checkpoint."""
        self._step = self._told_step = step

    def moved(self, step: int) -> None:
        """The render got on: a step, or a frame of the end."""
        now = self._clock()
        if step > self._step:
            self._stepped(step, now)
        self._step = step
        self._moved_at = now

    def _stepped(self, step: int, now: float) -> None:
        """The first step is none to measure: it waits for the model and warms it up."""
        self._steps_seen += 1
        if self._steps_seen == 1:
            self._denoising_since = now
        else:
            self._tempo.stepped(now - self._stepped_at)
            instruments.stepped(self.claim.spec.model, now - self._stepped_at)
        if self._hard_seconds is None:  # once: a pace that slows down must not move its own limit
            self._hard_seconds = self._tempo.hard_seconds(self.claim.spec.steps)
        self._stepped_at = now

    def _hangs(self, now: float) -> str:
        """In what, as words; empty when it does not."""
        denoising = self._steps_seen > 1 and self._step < self.claim.spec.steps
        stall = self._tempo.stall_seconds() if denoising else LOADING_SECONDS
        if now - self._moved_at > stall:
            return f"nothing moved for {stall:.0f} s"
        hard = self._hard_seconds
        if denoising and hard is not None and now - self._denoising_since > hard:
            return f"its steps should have taken {hard:.0f} s at the most"
        return ""

    @property
    def certain(self) -> bool:
        """Whether the lease surely holds, with ten seconds to spare."""
        held = self._clock() - self._renewed_at < LEASE.total_seconds() - RENEW_SECONDS
        return held and not self.lost.is_set()

    def _renewal_is_due(self, now: float, step: int) -> bool:
        since = now - self._renewed_at
        news = step - self._told_step >= NEWS_SHARE * self.claim.spec.steps
        return since >= RENEW_SECONDS or (news and since >= NEWS_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stop.wait(LOOK_SECONDS) and not self.lost.is_set():
                self._look()
        except Exception:
            # Nobody else renews or watches: better another process than a render without both.
            logger.exception("job %s: the lease's thread dies", self.claim.job)
            self.lost.set()
            self._on_stall()
        finally:
            connection.close()  # this thread's own

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked_at > PAUSE_SECONDS:  # this process was stopped; it did not hang
            self._denoising_since += now - self._looked_at
            self._moved_at = now
        self._looked_at = now
        try:
            if why := self._hangs(now):
                logger.error("job %s: %s; letting go", self.claim.job, why)
                self.lost.set()
                self._on_stall()
                return
            step = self._step
            if self._renewal_is_due(now, step):
                orders = actions.renew(self.claim, step=step)
                self._renewed_at, self._told_step = now, step
                self._on_renewed()
            else:
                orders = actions.orders(self.claim)
        except LostClaim:
            logger.warning("job %s: attempt %d lost it", self.claim.job, self.claim.attempt)
            self.lost.set()
        except Error as error:
            # The lease may be revived later if no other attempt began, so rendering goes on.
            logger.warning("job %s: no renewal (%s)", self.claim.job, type(error).__name__)
            connection.close()
        else:
            if orders.cancel:
                self.cancelled.set()
            if orders.drain:
                self.draining.set()
