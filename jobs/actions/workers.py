"""What a worker does with the job that it holds; every verb is fenced by its attempt number."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Exists, F, Value
from django.db.models.functions import Greatest, Now

from jobs import queue
from jobs.actions.claims import Claim, Orders, Saved, held_row, lost
from jobs.artifacts import VIDEO, Stored
from jobs.lifecycle import Move, Outcome, State
from jobs.models import LEASE, Artifact, Attempt, Checkpoint, Job, JobRequest, Worker
from jobs.moves import KINDS, give_up, hand_back, move, record


@transaction.atomic
def claim(*, worker: str, pool: str) -> Claim | None:
    """The next job of the pool, leased to this worker; None when nothing waits or it drains."""
    if _drains(worker):
        return None
    taken = queue.claim_next(worker=worker, pool=pool, lease=LEASE)
    if taken is None:
        return None
    Attempt.objects.create(job_id=taken.job, number=taken.attempt, worker=worker)
    record(taken.job, KINDS[Move.CLAIM], worker=worker.partition("/")[0])
    request = JobRequest.objects.select_related("job", "job__checkpoint").get(pk=taken.job)
    try:
        spec = request.render_spec()
    except TypeError:
        # Written by another version: it must stop neither this worker nor the next one.
        message = "This version of the site cannot read what was asked for."
        give_up(request.job, Outcome.FAILED, code="bad_spec", message=message, permanent=True)
        return None
    return Claim(
        job=taken.job,
        attempt=taken.attempt,
        worker=worker,
        spec=spec,
        owner=request.job.owner_id,
        saved=_saved(request.job),
        traceparent=request.traceparent,
    )


def _saved(job: Job) -> Saved | None:
    row: Checkpoint | None = getattr(job, "checkpoint", None)
    if row is None:
        return None
    return Saved(attempt=row.attempt, step=row.step, key=row.key, size=row.size, sha256=row.sha256)


def _drains(worker: str) -> bool:
    """Whether an operator asked this worker, name/incarnation, to take nothing more."""
    name = worker.partition("/")[0]
    return Worker.objects.filter(name=name, drain_requested_at__isnull=False).exists()


def renew(held: Claim, *, step: int) -> Orders:
    """A fresh lease. It may revive one that ended, as long as no other attempt began."""
    renewed = held_row(held).update(
        lease_until=Now() + LEASE, step=step, progress=_progress(held, step)
    )
    if not renewed:
        raise lost(held)
    return orders(held)


def _progress(held: Claim, step: int) -> Greatest:
    """Never less than an earlier attempt had; 100 is what only a success has."""
    percent = min(99, 100 * step // held.spec.steps)
    return Greatest(F("progress"), Value(percent))


def orders(held: Claim) -> Orders:
    """Raises LostClaim."""
    name = held.worker.partition("/")[0]
    drains = Worker.objects.filter(name=name, drain_requested_at__isnull=False)
    row = held_row(held).values_list("cancel_requested_at", Exists(drains)).first()
    if row is None:
        raise lost(held)
    return Orders(cancel=row[0] is not None, drain=row[1])


def note_fingerprint(held: Claim, fingerprint: dict[str, str]) -> None:
    """Records on what this attempt renders."""
    Attempt.objects.filter(job=held.job, number=held.attempt, outcome=Outcome.RUNNING).update(
        fingerprint=fingerprint
    )


@transaction.atomic
def save_checkpoint(held: Claim, *, stored: Stored, step: int) -> str | None:
    """From now on the job goes on from this file; the key of its own one before, if any.

    stored must lie in storage already. Repeating it is harmless. Raises LostClaim.
    """
    if held_row(held).select_for_update().first() is None:
        raise lost(held)
    own = Checkpoint.objects.filter(job=held.job, source=held.job).exclude(key=stored.key)
    before = own.values_list("key", flat=True).first()
    Checkpoint.objects.update_or_create(
        job_id=held.job,
        defaults={
            "source_id": held.job,
            "attempt": held.attempt,
            "step": step,
            "key": stored.key,
            "size": stored.size,
            "sha256": stored.sha256,
            "written_at": Now(),
        },
    )
    return before


@transaction.atomic
def resumed(held: Claim, *, step: int, differs: Sequence[str] = ()) -> None:
    """Records that this attempt goes on from a checkpoint, not from noise. Raises LostClaim.

    differs: in what this machine is another than the one that wrote it; empty when the video will
    be, bit for bit, that of an undisturbed render.
    """
    assert held.saved is not None
    if not held_row(held).update(
        version=F("version") + 1, step=step, progress=_progress(held, step)
    ):
        raise lost(held)
    record(
        held.job,
        "resumed",
        step=str(step),
        from_attempt=str(held.saved.attempt),
        differs=", ".join(differs),
    )


@transaction.atomic
def succeed(held: Claim, files: Sequence[Stored]) -> State:
    """SUCCEEDED, or CANCELLED when a cancel was accepted first.

    files must lie in storage already. Repeating it after a lost reply is harmless.
    Raises LostClaim; ValueError when no video is among the files.
    """
    if VIDEO not in {file.name for file in files}:
        raise ValueError(f"a success needs its {VIDEO}")
    done = move(
        held.job, Move.SUCCEED, attempt=held.attempt, outcome=Outcome.SUCCEEDED, uncancelled=True
    )
    if done:
        Artifact.objects.bulk_create(
            Artifact(
                job_id=held.job,
                attempt=held.attempt,
                name=file.name,
                key=file.key,
                content_type=file.content_type,
                size=file.size,
                sha256=file.sha256,
                facts=dict(file.facts),
            )
            for file in files
        )
        return State.SUCCEEDED
    if Job.objects.filter(pk=held.job, state=State.SUCCEEDED, attempt=held.attempt).exists():
        return State.SUCCEEDED
    obey_cancel(held)
    return State.CANCELLED


@transaction.atomic
def fail(held: Claim, *, code: str, message: str, permanent: bool) -> State:
    """Where the job went: FAILED, PARKED, CANCELLED, or QUEUED for another attempt."""
    job = held_row(held).select_for_update().first()
    if job is None:
        raise lost(held)
    return give_up(job, Outcome.FAILED, code=code, message=message, permanent=permanent)


@transaction.atomic
def release(held: Claim, *, code: str = "", message: str = "", delay_seconds: float = 0.0) -> State:
    """Hands the job back without spending the attempt, if that was not done too often already.

    Without a delay its place in the queue stays. Where it went: QUEUED, CANCELLED when somebody
    asked for it, PARKED at the end of all tries. Raises LostClaim.
    """
    job = held_row(held).select_for_update().first()
    if job is None:
        raise lost(held)
    return hand_back(job, code=code, message=message, delay_seconds=delay_seconds)


@transaction.atomic
def obey_cancel(held: Claim) -> None:
    """The worker stopped because it was asked to. Raises LostClaim."""
    done = move(
        held.job,
        Move.CANCEL,
        from_states={State.RUNNING},
        attempt=held.attempt,
        outcome=Outcome.CANCELLED,
    )
    if not done:
        raise lost(held)
