"""The only writer of jobs: one verb, one short transaction, one compare-and-swap.

Every verb of a worker carries its attempt number. When another attempt has begun, or the job has
ended, no row matches and LostClaim is raised: the worker stops and discards what it made.
What a verb changed is announced, and knocked for, after the commit and outside the request.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import User
from jobs import limits, queue
from jobs.artifacts import Stored
from jobs.errors import KeyReused, LostClaim, NotPossible
from jobs.lifecycle import FINAL, Move, Outcome, State
from jobs.models import LEASE, Artifact, Attempt, Job, JobRequest
from jobs.moves import KINDS, give_up, knock_after_commit, move, record
from jobs.spec import RenderSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to render one job, until its lease ends or another attempt begins."""

    job: UUID
    attempt: int
    worker: str
    spec: RenderSpec
    owner: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a renewal tells the worker."""

    cancel: bool


# --- People ---------------------------------------------------------------------------------


def submit(
    *,
    owner: User,
    spec: RenderSpec,
    seed_drawn: bool = False,
    model_digest: str = "",
    idempotency_key: str | None = None,
) -> Job:
    """A new job in the queue. spec must have passed jobs.spec.check.

    seed_drawn: the person left the seed blank, so a repeat of the request has another one.
    With a key that the owner has used before: the job made then. Raises KeyReused when that was
    another request, and TooManyJobs when the owner has too many unfinished ones.
    """
    if idempotency_key is not None:
        earlier = _earlier(owner, idempotency_key, spec, seed_drawn=seed_drawn)
        if earlier is not None:
            return earlier
    with transaction.atomic():
        limits.admit(owner)
        job = Job(
            owner=owner,
            pool=settings.T2V_POOL,
            max_attempts=settings.T2V_MAX_ATTEMPTS,
            idempotency_key=idempotency_key,
        )
        # ON CONFLICT DO NOTHING waits for the other transaction with this key, if there is one.
        Job.objects.bulk_create([job], ignore_conflicts=idempotency_key is not None)
        made = Job.objects.filter(pk=job.pk).first()
        if made is not None:
            JobRequest.objects.create(
                job=made,
                prompt=spec.prompt,
                spec=spec.as_dict(),
                digest=spec.digest(),
                model_digest=model_digest,
            )
            record(made.pk, "submitted")
            knock_after_commit(made.pool)
            return made
    earlier = _earlier(owner, str(idempotency_key), spec, seed_drawn=seed_drawn)
    assert earlier is not None, "a conflict on the key without a job that has it"
    return earlier


def _earlier(owner: User, key: str, spec: RenderSpec, *, seed_drawn: bool) -> Job | None:
    job = Job.objects.filter(owner=owner, idempotency_key=key).select_related("request").first()
    if job is None:
        return None
    # By way of RenderSpec: what a stored spec is too old to say is what it meant.
    asked, had = spec.as_dict(), job.request.render_spec().as_dict()
    if seed_drawn:
        asked["seed"] = had["seed"]
    if asked != had:
        raise KeyReused
    return job


@transaction.atomic
def cancel(job_id: UUID) -> State:
    """The state after it: CANCELLED at once when it waited, RUNNING until the worker obeys.

    A second cancel changes nothing. Raises NotPossible when the job has ended in another way.
    """
    # The lock: a release that is being committed must not let the cancel fall between two states.
    state = State(Job.objects.select_for_update().values_list("state", flat=True).get(pk=job_id))
    if move(job_id, Move.CANCEL, from_states={State.QUEUED}, cancel_requested_at=Now()):
        return State.CANCELLED
    asked = Job.objects.filter(
        pk=job_id, state=State.RUNNING, cancel_requested_at__isnull=True
    ).update(cancel_requested_at=Now(), version=F("version") + 1)
    if asked:
        record(job_id, "cancel_requested")
        return State.RUNNING
    if state in FINAL and state is not State.CANCELLED:
        raise NotPossible(f"The job has {state.value} already; there is nothing to cancel.")
    return state


# --- Workers --------------------------------------------------------------------------------


@transaction.atomic
def claim(*, worker: str, pool: str) -> Claim | None:
    """The next job of the pool, leased to this worker; None when nothing waits."""
    taken = queue.claim_next(worker=worker, pool=pool, lease=LEASE)
    if taken is None:
        return None
    Attempt.objects.create(job_id=taken.job, number=taken.attempt, worker=worker)
    record(taken.job, KINDS[Move.CLAIM], worker=worker.partition("/")[0])
    request = JobRequest.objects.select_related("job").get(pk=taken.job)
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
    )


def renew(held: Claim, *, step: int) -> Orders:
    """A fresh lease. It may revive one that ended, as long as no other attempt began."""
    renewed = _mine(held).update(lease_until=Now() + LEASE, step=step)
    if not renewed:
        raise LostClaim(f"attempt {held.attempt} no longer holds job {held.job}")
    return orders(held)


def orders(held: Claim) -> Orders:
    """Raises LostClaim."""
    row = _mine(held).values_list("cancel_requested_at", flat=True).first()
    if row is None and not _mine(held).exists():
        raise LostClaim(f"attempt {held.attempt} no longer holds job {held.job}")
    return Orders(cancel=row is not None)


def note_fingerprint(held: Claim, fingerprint: dict[str, str]) -> None:
    """Records on what this attempt renders."""
    Attempt.objects.filter(job=held.job, number=held.attempt, outcome=Outcome.RUNNING).update(
        fingerprint=fingerprint
    )


@transaction.atomic
def succeed(held: Claim, files: Iterable[Stored]) -> State:
    """SUCCEEDED, or CANCELLED when a cancel was accepted first.

    files must lie in storage already. Repeating it after a lost reply is harmless.
    """
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
    job = _mine(held).select_for_update().first()
    if job is None:
        raise LostClaim(f"attempt {held.attempt} no longer holds job {held.job}")
    return give_up(job, Outcome.FAILED, code=code, message=message, permanent=permanent)


@transaction.atomic
def release(held: Claim) -> None:
    """Hands the job back without spending the attempt; its place in the queue stays."""
    released = move(
        held.job,
        Move.RELEASE,
        attempt=held.attempt,
        outcome=Outcome.RELEASED,
        uncancelled=True,
        releases=F("releases") + 1,
    )
    if not released:
        obey_cancel(held)


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
        raise LostClaim(f"attempt {held.attempt} no longer holds job {held.job}")


# --- Time -----------------------------------------------------------------------------------


def reap(*, at_most: int = 100) -> int:
    """Takes jobs back whose lease has ended; how many. Any number of these may run at once."""
    return _lose(Job.objects.filter(lease_until__lt=Now()), at_most, "its lease ended")


def reap_predecessors(*, worker: str, at_most: int = 100) -> int:
    """Takes back what an earlier process under this worker's name still held; how many.

    worker is name/incarnation. Should that process be alive after all, the fence stops it.
    """
    name = worker.partition("/")[0]
    held = Job.objects.filter(worker__startswith=f"{name}/").exclude(worker=worker)
    return _lose(held, at_most, "its worker was replaced")


@transaction.atomic
def _lose(jobs: Any, at_most: int, why: str) -> int:
    rows = jobs.filter(state=State.RUNNING).select_for_update(skip_locked=True)[:at_most]
    for job in rows:
        give_up(job, Outcome.LOST, code="worker_lost", message=f"The attempt was lost: {why}.")
    return len(rows)


def expire(*, at_most: int = 100) -> int:
    """Ends jobs whose deadline passed while they waited; how many."""
    overdue = Job.objects.filter(state=State.QUEUED, deadline__lt=Now())
    ids = list(overdue.values_list("pk", flat=True)[:at_most])
    return sum(_expire_one(job_id) for job_id in ids)


@transaction.atomic
def _expire_one(job_id: UUID) -> bool:
    return move(
        job_id,
        Move.EXPIRE,
        error_code="expired",
        error_message="Its deadline passed while it waited.",
    )


def _mine(held: Claim) -> Any:
    return Job.objects.filter(pk=held.job, attempt=held.attempt, state=State.RUNNING)
