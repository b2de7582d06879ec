"""One child, one GPU, one thread that renders: claim → load → loop → encode → put → succeed.

Knocks only wake it. Without knocks it looks into Postgres every few seconds by itself.
Loaded in the child only (tasks.py): Celery's parent never imports torch.
"""

import fcntl
import hashlib
import logging
import os
import re
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from gpu_worker import loop
from gpu_worker.encode import encode_video
from gpu_worker.engine import RenderError
from gpu_worker.lease import Lease
from gpu_worker.reporter import Reporter
from gpu_worker.residency import Residency
from jobs import actions, artifacts, offer, workers
from jobs.actions import Claim
from jobs.artifacts import Stored
from jobs.errors import LostClaim

logger = logging.getLogger(__name__)

IDLE_SECONDS = 5.0  # an idle worker looks for itself this often
NEWS_SECONDS = 15.0  # between two signs of life
REPORT_SECONDS = 600.0  # so long the end of an attempt is told again while Postgres is away


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
    ) -> None:
        """on_death is called when the thread hangs, or ends by an error that nobody foresaw."""
        self.draining = threading.Event()
        self._name, self._pool = name, pool
        self._incarnation = uuid.uuid4()
        self._residency = Residency(root, threads)
        self._tail_seconds: dict[str, float] = {}  # by model: decode to saved, the last time
        self._on_death = on_death
        self._knocked = threading.Condition()
        self._knocks = self._looks = 0
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def drain(self) -> None:
        """No new job; the one at hand is given back after its step. Safe in a signal handler."""
        self.draining.set()

    def join(self, seconds: float) -> bool:
        """Whether the thread ended in time."""
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
            self._on_death()
        finally:
            connection.close()
            with self._knocked:
                self._looks = self._knocks
                self._knocked.notify_all()

    def _serve(self) -> None:
        holder = self._prepare()
        news_at = time.monotonic()
        while not self.draining.is_set():
            with self._knocked:
                heard = self._knocks
            if self._work(holder):
                continue
            with self._knocked:
                self._looks = heard
                self._knocked.notify_all()
                if self._knocks == heard:
                    self._wait()
            if time.monotonic() - news_at > NEWS_SECONDS:
                self._send_news()
                news_at = time.monotonic()

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
        device = ""
        try:
            device = self._residency.get(entry).fingerprint().get("device", "")
        except RenderError:
            logger.exception("model %s cannot be loaded", entry.name)
        else:
            logger.info("worker %s is ready: %s on %s", self._name, entry.name, device)
            workers.ready(name=self._name, incarnation=self._incarnation, device=device)
        return holder

    def _send_news(self) -> None:
        try:
            workers.seen(name=self._name, incarnation=self._incarnation)
        except DatabaseError as error:
            logger.warning("no sign of life given (%s)", type(error).__name__)
            connection.close()

    def _work(self, holder: str) -> bool:
        """Whether a job was claimed; every end of it is handled here."""
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
        try:
            with Lease(claim, on_stall=self._on_death) as lease:
                self._report(lease, self._attempt(claim, lease))
        except LostClaim:
            logger.warning("job %s: attempt %d was too late", claim.job, claim.attempt)
        except DatabaseError:
            # The lease runs out by itself and another attempt follows.
            logger.exception("job %s: its end could not be told", claim.job)
            connection.close()
        return True

    def _report(self, lease: Lease, report: Callable[[], object]) -> None:
        """Tells Postgres the end, again while it is away: the work of an hour hangs on it."""
        until = time.monotonic() + REPORT_SECONDS
        while True:
            try:
                report()
            except (OperationalError, InterfaceError) as error:
                connection.close()
                if lease.lost.is_set() or time.monotonic() > until:
                    raise
                logger.warning("the end is not told yet (%s)", type(error).__name__)
                lease.lost.wait(1.0)
            else:
                return

    def _attempt(self, claim: Claim, lease: Lease) -> Callable[[], object]:
        """Renders, and returns what is to be told of the end."""
        try:
            with Reporter(claim) as reporter:
                files = self._render(claim, lease, reporter)
        except loop.Cancelled:
            logger.info("job %s: cancelled", claim.job)
            return partial(actions.obey_cancel, claim)
        except loop.Drained:
            logger.info("job %s: given back", claim.job)
            return partial(actions.release, claim)
        except loop.Lost as stopped:
            raise LostClaim(f"attempt {claim.attempt} lost job {claim.job}") from stopped
        except RenderError as error:
            logger.exception("job %s: %s", claim.job, error.code)
            return partial(
                actions.fail,
                claim,
                code=error.code,
                message=str(error),
                permanent=error.permanent,
            )
        except Exception as error:
            # Whatever it was, the job must not wait for its lease to run out.
            logger.exception("job %s: attempt %d broke", claim.job, claim.attempt)
            message = f"The attempt broke ({type(error).__name__}); see the worker's log."
            return partial(
                actions.fail, claim, code="attempt_broke", message=message, permanent=False
            )
        return partial(self._succeed, claim, files)

    def _succeed(self, claim: Claim, files: list[Stored]) -> None:
        state = actions.succeed(claim, files)
        logger.info("job %s: attempt %d %s", claim.job, claim.attempt, state.value)

    def _note_fingerprint(self, claim: Claim, fingerprint: dict[str, str]) -> None:
        try:
            actions.note_fingerprint(claim, fingerprint)
        except DatabaseError as error:
            logger.warning("job %s: no fingerprint (%s)", claim.job, type(error).__name__)
        finally:
            connection.close()

    def _render(self, claim: Claim, lease: Lease, reporter: Reporter) -> list[Stored]:
        spec = claim.spec
        reporter.progress("loading", step=0, steps=spec.steps)
        model = self._residency.get(offer.find(spec.model))
        self._note_fingerprint(claim, model.fingerprint())
        frames = loop.render(
            model,
            spec,
            lease=lease,
            draining=self.draining,
            reporter=reporter,
            tail_seconds=self._tail_seconds.get(spec.model, 0.0),
        )
        with tempfile.TemporaryDirectory(prefix="t2v-") as folder:
            video, poster = Path(folder) / "video.mp4", Path(folder) / "poster.png"
            metadata = {"comment": f"recipe {spec.digest()}"}
            encoded = encode_video(
                frames, video, fps=spec.fps, frame_count=spec.frames, metadata=metadata
            )
            poster.write_bytes(encoded.poster_png)
            began = time.monotonic()
            loop.obey(lease, self.draining)
            reporter.progress("saving", step=spec.steps, steps=spec.steps, seconds_left=0.0)
            files = [
                artifacts.put(claim.job, claim.attempt, path.name, path) for path in (video, poster)
            ]
            self._tail_seconds[spec.model] = time.monotonic() - began
        return files


def start() -> Runner:
    """The runner of this process, under a name that no other living process here has."""
    name, _ = _LOCKS.setdefault("name", _own_name())
    runner = Runner(
        name=name,
        pool=settings.T2V_POOL,
        root=settings.T2V_ROOT,
        threads=settings.T2V_TORCH_THREADS,
        on_death=lambda: os._exit(70),  # a child that renders nothing is replaced, not kept
    )
    runner.start()
    return runner


_LOCKS: dict[str, tuple[str, IO[str]]] = {}  # held until the process ends


def _own_name() -> tuple[str, IO[str]]:
    """host-pool-folder, with -2 and so on while that name's lock is held.

    Two data folders of one host may share a Postgres: their workers must not share a name.
    """
    here = hashlib.sha256(str(settings.T2V_VAR).encode()).hexdigest()[:4]
    wanted = settings.T2V_WORKER_NAME or f"{socket.gethostname()}-{settings.T2V_POOL}-{here}"
    wanted = re.sub(r"[^A-Za-z0-9._-]", "-", wanted)[:100]
    folder = settings.T2V_VAR / "workers"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        name = wanted if number == 1 else f"{wanted}-{number}"
        lock = (folder / f"{name}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return name, lock
    raise RuntimeError("a thousand workers of one name on one machine")
