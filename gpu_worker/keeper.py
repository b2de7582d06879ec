"""Checkpoints of the queue's renders: to storage and into the job's row, and back from there."""

import logging
import time
from contextlib import suppress
from typing import Any

from django.db import DatabaseError, connection

from gpu_worker import checkpoint
from gpu_worker.checkpoint import Keeper, NotKept
from gpu_worker.engine import Model, RenderError, RenderState
from gpu_worker.scratch import Scratch
from gpu_worker.sheets import KeptPreviews
from gpu_worker.tail import DISK_FULL
from jobs import actions, artifacts, purge, tracing
from jobs.actions import Claim
from jobs.artifacts import StorageConflict, StorageUnavailable
from jobs.errors import DISK_FULL_ERRNOS, LostClaim
from jobs.metrics import instruments
from jobs.tracing import Span

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 8.0  # of the grace that a drain has; the checkpoint before this one has to do then
MUST_BE_EQUAL = frozenset({"model", "weights"})  # or the latents of one mean nothing to the other


class QueueKeeper(Keeper):
    """Each checkpoint has a key of its own; the row points to the newest, the one before goes."""

    def __init__(
        self,
        claim: Claim,
        model: Model[Any],
        scratch: Scratch,
        *,
        min_seconds: float,
        previews: KeptPreviews | None = None,
        span: Span = tracing.NONE,
    ) -> None:
        """previews so far go along, for the strip of whoever goes on. span: of the attempt."""
        super().__init__(self._store, min_seconds=min_seconds, flush_seconds=FLUSH_SECONDS)
        self._claim, self._model, self._scratch = claim, model, scratch
        self._previews, self._span = previews, span

    def _store(self, state: RenderState) -> float:
        with self._span.child("checkpoint", step=state.step):
            return self._put(state)

    def _put(self, state: RenderState) -> float:
        claim, name = self._claim, f"checkpoint-{state.step}.safetensors"
        began = time.perf_counter()
        try:
            path = self._scratch.path / f"{claim.job}-{claim.attempt}-{name}"
            try:
                seen = () if self._previews is None else self._previews.up_to(state.step)
                waited = checkpoint.write(path, self._model, state, claim.spec, seen)
                stored = artifacts.put(claim.job, claim.attempt, name, path)
            finally:
                path.unlink(missing_ok=True)
            seconds = time.perf_counter() - began
            instruments.checkpointed(claim.spec.model, seconds, stored.size)
            try:
                before = actions.save_checkpoint(claim, stored=stored, step=state.step)
            except LostClaim:
                self.close()
                purge.clear(claim.job, claim.attempt)  # but what the row refers to
                return 0.0
            if before is not None:
                with suppress(StorageUnavailable):  # it is cleared away with its attempt
                    artifacts.delete(before)
        except (OSError, StorageUnavailable, StorageConflict, DatabaseError) as error:
            raise NotKept(type(error).__name__) from error
        finally:
            connection.close()  # idle until the next one, a fail-over would leave it dead
        return waited


def resume(
    claim: Claim, model: Model[Any], scratch: Scratch, previews: KeptPreviews
) -> RenderState | None:
    """The state to go on from; None to begin from noise. Its previews are restored.

    What differs between this machine and the one that wrote it is told in the job's events.
    Raises RenderError when the storage is away, and LostClaim.
    """
    saved = claim.saved
    if saved is None:
        return None
    path = scratch.path / f"{claim.job}-{claim.attempt}-resume"
    try:
        artifacts.fetch(saved.key, path, size=saved.size, sha256=saved.sha256)
        read = checkpoint.read(path)
        differs = read.differences(model.fingerprint())
        if read.spec != claim.spec or MUST_BE_EQUAL & set(differs):
            logger.warning("job %s: its checkpoint is of another render (%s)", claim.job, differs)
            return None
        state: RenderState = model.from_tensors(read.spec, read.tensors, read.step)
    except StorageUnavailable as error:
        message = f"The checkpoint cannot be read now ({error})."
        raise RenderError("storage_unavailable", message, permanent=False, spends=False) from error
    except OSError as error:
        if error.errno in DISK_FULL_ERRNOS:
            raise RenderError("disk_full", DISK_FULL, permanent=False, spends=False) from error
        logger.warning("job %s: no way back to step %d (%s)", claim.job, saved.step, error)
        return None
    except (StorageConflict, RenderError) as error:
        logger.warning("job %s: no way back to step %d (%s)", claim.job, saved.step, error)
        return None
    finally:
        path.unlink(missing_ok=True)
    previews.restore(read.previews)
    logger.info("job %s: attempt %d goes on from step %d", claim.job, claim.attempt, read.step)
    _tell(claim, read.step, differs)
    return state


def _tell(claim: Claim, step: int, differs: list[str]) -> None:
    try:
        actions.resumed(claim, step=step, differs=differs)
    except DatabaseError as error:
        logger.warning("job %s: its resume is not told (%s)", claim.job, type(error).__name__)
    finally:
        connection.close()
