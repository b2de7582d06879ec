"""Sends ticks and previews to the ring; a frozen Redis never stalls a render.

A thread of its own, one slot for the newest tick and one for the newest preview; what is
overwritten was worth nothing.
"""

import logging
import threading
import time

from redis.exceptions import RedisError

from gpu_worker.engine import Sprite
from jobs import stream
from jobs.actions import Claim
from jobs.events import PreviewHeader, Progressed

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1  # at most ten ticks a second
LAST_SECONDS = 10.0  # longer than the time-outs of one tick and one preview


class Reporter:
    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._tick: Progressed | None = None
        self._preview: tuple[PreviewHeader, bytes] | None = None
        self._due = threading.Event()
        self._stop = threading.Event()
        self._warned = False
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def __enter__(self) -> "Reporter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """What is in the slots is tried once more; a dead Redis holds this up for some seconds."""
        self._stop.set()
        self._due.set()
        self._thread.join(LAST_SECONDS)

    def progress(
        self, phase: str, *, step: int, steps: int, seconds_left: float | None = None
    ) -> None:
        self._tick = Progressed(
            job=self._claim.job,
            attempt=self._claim.attempt,
            phase=phase,
            step=step,
            steps=steps,
            seconds_left=None if seconds_left is None else round(seconds_left, 1),
        )
        self._due.set()

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
        self._preview = (header, sprite.image)
        self._due.set()

    def _run(self) -> None:
        ending = False
        while not ending:
            self._due.wait()
            self._due.clear()
            ending = self._stop.is_set()  # then this is the last try
            tick, self._tick = self._tick, None
            preview, self._preview = self._preview, None
            try:
                self._send(tick, preview)
            except RedisError as error:
                if not self._warned:
                    self._warned = True
                    logger.warning("no live view (%s); the render goes on", type(error).__name__)
            self._stop.wait(TICK_SECONDS)

    def _send(self, tick: Progressed | None, preview: tuple[PreviewHeader, bytes] | None) -> None:
        if tick is not None:
            stream.announce(self._claim.owner, tick)
        if preview is not None:
            stream.put_preview(self._claim.owner, *preview)
