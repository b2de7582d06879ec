"""What people do to jobs: submit, cancel, retry."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import User
from jobs import limits
from jobs.errors import KeyReused, NotPossible
from jobs.lifecycle import FINAL, Move, State
from jobs.models import Checkpoint, Job, JobRequest
from jobs.moves import move, record
from jobs.spec import RenderSpec

RETRIED_FROM = frozenset({State.PARKED, State.CANCELLED, State.EXPIRED})


def submit(
    *,
    owner: User,
    spec: RenderSpec,
    seed_drawn: bool = False,
    model_digest: str = "",
    idempotency_key: str | None = None,
    start_within: timedelta | None = None,
) -> Job:
    """A new job in the queue. spec must have passed jobs.spec.check.

    seed_drawn: the person left the seed blank, so a repeat of the request has another one.
    start_within: if no worker began by then, it expires.
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
            deadline=None if start_within is None else Now() + start_within,
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


@transaction.atomic
def retry(job_id: UUID) -> Job:
    """The new job that does again what this one did not get done; made once, for all who ask.

    It goes on from the old one's checkpoint if there is one. Nobody's limits apply: an operator
    repairs what was accepted before. Raises NotPossible for a job that is not over, or that would
    come out the same.
    """
    old = Job.objects.select_for_update().get(pk=job_id)
    made = Job.objects.filter(request__retry_of=old).first()
    if made is not None:
        return made
    if old.state not in RETRIED_FROM:
        raise NotPossible(
            f"The job is {old.state}; only what was parked, cancelled or expired "
            "can be tried again."
        )
    new = Job.objects.create(
        owner_id=old.owner_id,
        pool=old.pool,
        priority=old.priority,
        max_attempts=settings.T2V_MAX_ATTEMPTS,
    )
    asked = old.request
    JobRequest.objects.create(
        job=new,
        prompt=asked.prompt,
        spec=asked.spec,
        digest=asked.digest,
        model_digest=asked.model_digest,
        retry_of=old,
    )
    saved = Checkpoint.objects.filter(job=old).first()
    if saved is not None:
        saved.pk = new.pk
        saved.save(force_insert=True)
    record(new.pk, "submitted", retry_of=str(old.pk))
    return new
