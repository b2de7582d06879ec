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
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from gpu_worker import device, loop, self_test
from gpu_worker.attempt import Attempt, ChildIsBroken
from gpu_worker.engine import GPU_BROKEN, RenderError
from gpu_worker.finisher import Finisher, Grace
from gpu_worker.gauges import Gauges
from gpu_worker.keeper import QueueKeeper, resume
from gpu_worker.residency import Residency
from gpu_worker.scratch import Scratch, free_mb
from gpu_worker.spans import of_attempt, traced
from gpu_worker.tail import Clip
from gpu_worker.tempo import Tempos
from gpu_worker.worker_name import own_name
from jobs import actions, offer, telling, workers
from jobs.actions import Claim
from jobs.tracing import Span

logger = logging.getLogger(__name__)

IDLE_SECONDS = 5.0  # an idle worker looks for itself this often
NEWS_SECONDS = 15.0  # between two signs of life
STALE_SECONDS = 1.0  # so long a connection may idle between two uses
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0  # after a self-test that failed
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
        spot: bool = False,
    ) -> None:
        """on_death is called when a thread hangs, or ends by an error that nobody foresaw, and
        when the GPU has to be left by its process.

        grace_seconds: so long a drain waits for the tail of the clip at hand. spot: the machine may
        be taken away at any time.
        """
        self.draining = threading.Event()
        self._name, self._pool = name, pool
        self._incarnation = uuid.uuid4()
        self._residency = Residency(root, threads, room_gib=device.room_gib)
        self._finisher = Finisher(Grace(self.draining, grace_seconds), on_death=on_death)
        self._on_death = on_death
        self._tempos = Tempos()
        self._gauges = Gauges(device.uuid)
        self._always: dict[str, Any] = {workers.SPOT: True} if spot else {}  # of its facts
        self._scratch: Scratch | None = None  # for checkpoints; made with the first render
        self._is_ready = False  # its first model is loaded and has passed the self-test
        self._tested: dict[str, Any] = {}  # what became of that, for operators
        self._trouble = ""  # why no job is taken now, as operators were told
        self._told_at = 0.0  # monotonic seconds; when they heard of this worker last
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

    def hindrance(self) -> str:
        """Why it takes no job now; empty when it does. Any thread may ask."""
        if self.draining.is_set():
            return "It drains."
        return self._trouble or ("" if self._is_ready else "It loads its first model.")

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
            self._say_goodbye()
            connection.close()
            with self._knocked:
                self._looks = self._knocks
                self._knocked.notify_all()

    def _say_goodbye(self) -> None:
        """That it ends: nobody has to look for it, as for one that only falls silent."""
        try:
            workers.left(name=self._name, incarnation=self._incarnation)
        except DatabaseError as error:
            logger.warning("the end of this worker is not told (%s)", type(error).__name__)

    def _serve(self) -> None:
        holder = self._prepare()
        self._told_at = time.monotonic()
        while not self.draining.is_set():
            self._send_news_if_due()
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
        """Registers, loads the first model, tries it, says that it can render; the holder's name.

        A worker that cannot render stays, says why and tries again: as one that dies it would be
        started again and again, and as one that takes jobs it would cost each an attempt.
        """
        holder = self._register()
        pause = FIRST_PAUSE_SECONDS
        while not self.draining.is_set() and not self._try_to_render():
            until = time.monotonic() + pause
            while (left := until - time.monotonic()) > 0 and not self.draining.is_set():
                self._send_news_if_due()
                self.draining.wait(min(left, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return holder

    def _register(self) -> str:
        """Empty when it drains before it could."""
        while True:
            try:
                return workers.register(
                    name=self._name,
                    incarnation=self._incarnation,
                    pool=self._pool,
                    device="",
                    facts=self._always,
                )
            except DatabaseError:
                logger.exception("cannot register; trying again")
                connection.close()
                if self.draining.wait(IDLE_SECONDS):
                    return ""

    def _try_to_render(self) -> bool:
        """Whether a model passed the self-test. Raises ChildIsBroken."""
        try:
            entry, model = self._residency.first_of(offer.configured().values())
            seconds = self_test.run(model, entry)
        except Exception as error:  # whatever it is, it would be every job's
            logger.exception("worker %s cannot render", self._name)
            known = isinstance(error, RenderError)
            words = str(error) if known else f"it broke ({type(error).__name__}); see its log."
            self._tested = {"failed": words}
            self._trouble = f"The self-test failed: {words}"
            self._send_news()
            if isinstance(error, RenderError) and error.code == GPU_BROKEN:
                self.draining.wait(LONGEST_PAUSE_SECONDS)  # a new process tries once more, then
                raise ChildIsBroken from error
            return False
        self._trouble, self._tested = "", {"model": entry.name, "seconds": round(seconds, 3)}
        found = model.fingerprint().get("device", "")
        logger.info(
            "worker %s is ready: %s on %s, self-test %.2f s", self._name, entry.name, found, seconds
        )
        try:
            workers.ready(name=self._name, incarnation=self._incarnation, device=found)
        except DatabaseError as error:
            self._trouble = f"It could not say that it is ready ({type(error).__name__})."
            logger.warning("%s", self._trouble)
            connection.close()
            return False
        self._is_ready = True
        self._send_news()
        return True

    def _send_news_if_due(self) -> None:
        """Also by the lease's thread while a render goes on."""
        if time.monotonic() - self._told_at > NEWS_SECONDS:
            self._send_news()

    def _send_news(self) -> None:
        self._told_at = time.monotonic()
        try:
            workers.seen(
                name=self._name,
                incarnation=self._incarnation,
                trouble=self._trouble,
                facts=self._facts(),
            )
        except DatabaseError as error:
            logger.warning("no sign of life given (%s)", type(error).__name__)
            connection.close()

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            **self._always,
            "models": self._residency.names(),
            "self_test": self._tested,
            **self._gauges.facts(),
        }
        try:
            facts["memory_used"], facts["memory_total"] = device.memory()
        except (RuntimeError, OSError) as error:  # a broken GPU is its render's to tell of
            logger.debug("this device tells nothing of its memory (%s)", type(error).__name__)
        return facts

    def _work(self, holder: str) -> bool:
        """Whether a job was claimed; every end of it is handled here or in the tail's thread."""
        if not self._has_room():
            return False
        began = time.monotonic()
        try:
            claim = actions.claim(worker=holder, pool=self._pool)
        except DatabaseError as error:
            logger.warning("no look into the queue (%s)", type(error).__name__)
            connection.close()
            return False
        if claim is None:
            return False
        span = of_attempt(claim, claim_seconds=time.monotonic() - began)
        with telling.about(
            job=str(claim.job),
            attempt=claim.attempt,
            model=claim.spec.model,
            trace=span.trace,
        ):
            self._try(claim, span)
        return True

    def _try(self, claim: Claim, span: Span) -> None:
        logger.info("job %s: attempt %d begins", claim.job, claim.attempt)
        attempt = Attempt(
            claim,
            tempo=self._tempos.of(claim.spec),
            on_stall=self._on_death,
            on_renewed=self._send_news_if_due,
        )
        attempt.span = span
        attempt.begin()
        clip = attempt.run(partial(self._render, attempt))
        if clip is not None:
            self._finisher.take(attempt, clip)

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
        began = time.monotonic()
        with attempt.span.child("load"):
            model = self._residency.get(offer.find(spec.model, among=offer.configured()), spec)
        if time.monotonic() - began > STALE_SECONDS:
            connection.close()  # after a fail-over meanwhile it would be dead
        # The claim's connection: another one would hold up the first preview by 5 to 20 ms.
        attempt.note_fingerprint(model.fingerprint())  # and closes it: a render takes long
        self._scratch = self._scratch or Scratch()
        with attempt.span.child("resume") if attempt.claim.saved else nullcontext():
            start = resume(attempt.claim, model, self._scratch, attempt.previews)
        if start is not None:
            attempt.lease.begins_at(start.step)
        seconds = settings.T2V_CHECKPOINT_SECONDS
        try:
            with QueueKeeper(
                attempt.claim,
                model,
                self._scratch,
                min_seconds=seconds,
                previews=attempt.previews,
                span=attempt.span,
            ) as keeper:
                frames = loop.render(
                    traced(model, attempt.span, every=settings.T2V_TRACES_STEPS),
                    spec,
                    lease=attempt.lease,
                    draining=self.draining,
                    reporter=attempt,
                    tail_seconds=self._finisher.seconds(spec.model),
                    start=start,
                    keeper=keeper,
                )
                pixels = attempt.collect(frames)
                with attempt.span.child("wait for the clip before"):
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
    name = own_name()
    telling.of_process(worker=name)
    runner = Runner(
        name=name,
        pool=settings.T2V_POOL,
        root=settings.T2V_ROOT,
        threads=settings.T2V_TORCH_THREADS,
        on_death=lambda: os._exit(70),  # a child that renders nothing is replaced, not kept
        spot=settings.T2V_WORKER_SPOT,
    )
    runner.start()
    return runner
