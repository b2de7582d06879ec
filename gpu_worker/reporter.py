"""Sends ticks and previews to the ring; a frozen Redis never stalls a render.

A thread of its own, one slot for the newest tick and one for the newest preview; what is
overwritten was worth nothing. A preview goes out at once: the loop makes at most five a second.
"""

import logging
import threading
import time

from redis.exceptions import RedisError

from gpu_worker.engine import Sprite
from jobs import stream, telling
from jobs.actions import Claim
from jobs.events import PreviewHeader, Progressed
from jobs.metrics import instruments

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1  # at most ten ticks a second
LAST_SECONDS = 10.0  # longer than the time-outs of one tick and one preview


class Reporter:
    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._slots = threading.Condition()  # guards the next three
        self._tick: Progressed | None = None
        self._preview: tuple[PreviewHeader, bytes] | None = None
        self._ending = False
        self._warned = False
        self._thread = telling.thread(self._run, name="reporter")

    def __enter__(self) -> "Reporter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """What is in the slots is tried once more; a dead Redis holds this up for some seconds."""
        with self._slots:
            self._ending = True
            self._slots.notify()
        self._thread.join(LAST_SECONDS)

    def progress(
        self, phase: str, *, step: int, steps: int, seconds_left: float | None = None
    ) -> None:
        tick = Progressed(
            job=self._claim.job,
            attempt=self._claim.attempt,
            phase=phase,
            step=step,
            steps=steps,
            seconds_left=None if seconds_left is None else round(seconds_left, 1),
        )
        with self._slots:
            self._tick = tick
            self._slots.notify()

    def preview(self, sprite: Sprite, *, step: int, steps: int) -> None:
        header = PreviewHeader(
            job=self._claim.job,
            attempt=self._claim.attempt,
            step=step,
            steps=steps,
            frames=sprite.frames,
            tile_width=sprite.tile_width,
            tile_height=sprite.tile_height,
            server_us=time.time_ns() // 1000,
            codec=sprite.codec,
            size=len(sprite.image),
        )
        with self._slots:
            self._preview = (header, sprite.image)
            self._slots.notify()

    def _run(self) -> None:
        ending, ticks_from = False, 0.0
        while not ending:
            tick, preview, ending = self._next(ticks_from)
            try:
                self._send(tick, preview)
            except RedisError as error:
                instruments.redis_failed("reporter")
                if not self._warned:
                    self._warned = True
                    logger.warning("no live view (%s); the render goes on", type(error).__name__)
            if tick is not None:
                ticks_from = time.monotonic() + TICK_SECONDS

    def _next(
        self, ticks_from: float
    ) -> tuple[Progressed | None, tuple[PreviewHeader, bytes] | None, bool]:
        """What to send, as soon as there is something; last, whether it is the last.

        A tick waits until ticks_from (monotonic clock), a preview for nothing.
        """
        with self._slots:
            while True:
                wait = ticks_from - time.monotonic()
                ticks = self._tick is not None and (wait <= 0 or self._ending)
                if ticks or self._preview is not None or self._ending:
                    break
                self._slots.wait(None if self._tick is None else wait)
            tick, preview = self._tick if ticks else None, self._preview
            if ticks:
                self._tick = None
            self._preview = None
            return tick, preview, self._ending

    def _send(self, tick: Progressed | None, preview: tuple[PreviewHeader, bytes] | None) -> None:
        if tick is not None:
            stream.announce(self._claim.owner, tick)
        if preview is not None:
            stream.put_preview(self._claim.owner, *preview)
