"""One child, one GPU, one thread that renders: claim → load → loop → decode → hand over.

The rest, encode → put → succeed, happens beside the next job's render (gpu_worker/finisher.py).

Knocks only wake it. Without knocks it looks into Postgres every few seconds by itself.
Loaded in the child only (tasks.py): Celery's parent never imports torch.
"""

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection

from gpu_worker import device, loop
from gpu_worker.attempt import GPU_BROKEN, Attempt
from gpu_worker.engine import RenderError
from gpu_worker.finisher import Finisher, Grace
from gpu_worker.keeper import QueueKeeper, resume
from gpu_worker.residency import Residency
from gpu_worker.scratch import Scratch, free_mb
from gpu_worker.tail import Clip
from gpu_worker.tempo import Tempos
from gpu_worker.worker_name import own_name
from jobs import actions, offer, workers

logger = logging.getLogger(__name__)

IDLE_SECONDS = 5.0  # an idle worker looks for itself this often
NEWS_SECONDS = 15.0  # between two signs of life
GRACE_SECONDS = 20.0  # below the 25 s that Celery's child waits (tasks.STOP_SECONDS)


class Runner:
    """Serves one pool until it drains."""

    def __init__(
        self,
        *,
        name: str,
        pool: str,
        root: Path,
        threads: int,
        on_death: Callable[[], object] = lambda: None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        """on_death is called when a thread hangs, or ends by an error that nobody foresaw, and
        when the GPU has to be left by its process.

        grace_seconds: so long a drain waits for the tail of the clip at hand.
        """
        self.draining = threading.Event()
        self._name, self._pool = name, pool
        self._incarnation = uuid.uuid4()
        self._residency = Residency(root, threads, room_gib=device.room_gib)
        self._finisher = Finisher(Grace(self.draining, grace_seconds), on_death=on_death)
        self._on_death = on_death
        self._tempos = Tempos()
        self._scratch: Scratch | None = None  # for checkpoints; made with the first render
        self._trouble = ""  # why no job is taken now, as operators were told
        self._knocked = threading.Condition()
        self._knocks = self._looks = 0
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def drain(self) -> None:
        """No new job; the one at hand is given back after its step, a finished clip is saved.

        Safe in a signal handler.
        """
        self.draining.set()

    def join(self, seconds: float) -> bool:
        """Whether the threads ended in time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def serve_knock(self) -> None:
        """Returns when the queue was looked at after this knock and nothing was left for us.

        Blocking keeps the Celery child busy, so that later knocks go to idle workers.
        """
        with self._knocked:
            self._knocks += 1
            mine = self._knocks
            self._knocked.notify_all()
            while self._looks < mine and self._thread.is_alive():
                self._knocked.wait(1.0)

    # --- The thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._serve()
        except Exception:
            logger.exception("worker %s dies", self._name)
            self.draining.set()
            self._finisher.close()  # the clip before needs no GPU and no render thread
            self._on_death()
        finally:
            self._finisher.close()
            if self._scratch is not None:
                self._scratch.close()
            connection.close()
            with self._knocked:
                self._looks = self._knocks
                self._knocked.notify_all()

    def _serve(self) -> None:
        holder = self._prepare()
        news_at = time.monotonic()
        while not self.draining.is_set():
            if time.monotonic() - news_at > NEWS_SECONDS:
                self._send_news()
                news_at = time.monotonic()
            with self._knocked:
                heard = self._knocks
            if self._work(holder):
                continue
            with self._knocked:
                self._looks = heard
                self._knocked.notify_all()
                if self._knocks == heard:
                    self._wait()

    def _wait(self) -> None:
        """Until a knock, a drain, or the time to look again. Holds the condition."""
        until = time.monotonic() + IDLE_SECONDS
        heard = self._knocks
        while self._knocks == heard and not self.draining.is_set():
            left = until - time.monotonic()
            if left <= 0:
                return
            self._knocked.wait(
                min(left, 0.5)
            )  # a signal handler cannot notify: look twice a second

    def _prepare(self) -> str:
        """Registers, loads the first model, says that it can render; returns the holder's name."""
        holder = ""
        while not holder:
            try:
                holder = workers.register(
                    name=self._name, incarnation=self._incarnation, pool=self._pool, device=""
                )
            except DatabaseError:
                logger.exception("cannot register; trying again")
                connection.close()
                if self.draining.wait(IDLE_SECONDS):
                    return ""
        entry = next(iter(offer.models().values()))
        try:
            found = self._residency.get(entry).fingerprint().get("device", "")
        except RenderError:
            logger.exception("model %s cannot be loaded", entry.name)
        else:
            logger.info("worker %s is ready: %s on %s", self._name, entry.name, found)
            workers.ready(name=self._name, incarnation=self._incarnation, device=found)
        return holder

    def _send_news(self) -> None:
        try:
            workers.seen(name=self._name, incarnation=self._incarnation, trouble=self._trouble)
        except DatabaseError as error:
            logger.warning("no sign of life given (%s)", type(error).__name__)
            connection.close()

    def _work(self, holder: str) -> bool:
        """Whether a job was claimed; every end of it is handled here or in the tail's thread."""
        if not self._has_room():
            return False
        try:
            claim = actions.claim(worker=holder, pool=self._pool)
        except DatabaseError as error:
            logger.warning("no look into the queue (%s)", type(error).__name__)
            connection.close()
            return False
        if claim is None:
            return False
        logger.info("job %s: attempt %d begins", claim.job, claim.attempt)
        connection.close()  # idle during the render, it would be dead by the end after a fail-over
        attempt = Attempt(claim, tempo=self._tempos.of(claim.spec), on_stall=self._on_death)
        attempt.begin()
        clip = attempt.run(partial(self._render, attempt))
        if clip is not None:
            self._finisher.take(attempt, clip)
        return True

    def _has_room(self) -> bool:
        """Whether a job's temporary files would have room; a full disk would only cost attempts."""
        free = free_mb()
        trouble = ""
        if free < settings.T2V_SCRATCH_MIN_MB:
            trouble = f"The disk for temporary files is full: {free} MB are free."
        if trouble.partition(":")[0] != self._trouble.partition(":")[0]:
            self._trouble = trouble
            logger.warning("%s", trouble or "there is room for temporary files again")
            self._send_news()
        return not trouble

    def _render(self, attempt: Attempt) -> Clip:
        """The clip, as soon as the one before it is out of the way."""
        spec = attempt.claim.spec
        attempt.progress("loading", step=0, steps=spec.steps)
        model = self._residency.get(offer.find(spec.model), spec)
        attempt.note_fingerprint(model.fingerprint())
        self._scratch = self._scratch or Scratch()
        start = resume(attempt.claim, model, self._scratch)
        if start is not None:
            attempt.lease.begins_at(start.step)
        seconds = settings.T2V_CHECKPOINT_SECONDS
        try:
            with QueueKeeper(attempt.claim, model, self._scratch, min_seconds=seconds) as keeper:
                frames = loop.render(
                    model,
                    spec,
                    lease=attempt.lease,
                    draining=self.draining,
                    reporter=attempt,
                    tail_seconds=self._finisher.seconds(spec.model),
                    start=start,
                    keeper=keeper,
                )
                pixels = attempt.collect(frames)
                self._wait_for_the_tail(attempt, keeper)
        except RenderError as error:
            if error.code != GPU_BROKEN:  # after that the model answers nothing any more
                attempt.note_fingerprint(model.fingerprint())
            raise
        attempt.note_fingerprint(model.fingerprint())  # a shortage of memory may have changed it
        return attempt.clip(pixels)

    def _wait_for_the_tail(self, attempt: Attempt, keeper: QueueKeeper) -> None:
        """Of the clip before. A drain meanwhile leaves the last step behind, like any other."""
        try:
            self._finisher.wait_until_free(attempt)
        except loop.Drained:
            keeper.flush()
            raise


def start() -> Runner:
    """The runner of this process."""
    runner = Runner(
        name=own_name(),
        pool=settings.T2V_POOL,
        root=settings.T2V_ROOT,
        threads=settings.T2V_TORCH_THREADS,
        on_death=lambda: os._exit(70),  # a child that renders nothing is replaced, not kept
    )
    runner.start()
    return runner
