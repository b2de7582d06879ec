"""What people do to jobs: submit, cancel, retry."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts import audit
from accounts.models import User
from jobs import limits, offer, tracing
from jobs.access import workspace_to_submit_in
from jobs.errors import NotFound, NotPossible
from jobs.lifecycle import FINAL, Move, State
from jobs.models import Checkpoint, Job, JobRequest
from jobs.moves import move, record, record_of
from jobs.spec import RenderSpec

RETRIED_FROM = frozenset({State.PARKED, State.CANCELLED, State.EXPIRED})


@transaction.atomic(savepoint=False)  # inside once() a refusal undoes all anyway: two trips less
def submit(
    *,
    owner: User,
    workspace: int | None = None,
    spec: RenderSpec,
    model_digest: str = "",
    start_within: timedelta | None = None,
    remix_of: Job | None = None,
    priority: int = 0,
) -> Job:
    """A new job in the queue. spec must have passed jobs.spec.check.

    workspace: its id; the one that the owner works in, if None. start_within: if no worker began by
    then, it expires. Raises what limits.admit raises, NoWorkspace, and Forbidden in one where they
    make no videos. That the same request makes one job is accounts.idempotency's part.
    """
    where = workspace_to_submit_in(owner, workspace)
    (admitted,) = limits.admit(owner, [spec], workspace=where)
    job = Job.objects.create(
        owner=owner,
        workspace_id=where,
        pool=settings.T2V_POOL,
        max_attempts=settings.T2V_MAX_ATTEMPTS,
        priority=priority,
        over_quota=admitted.over_quota,
        reserved_seconds=admitted.reserved_seconds,
        deadline=None if start_within is None else Now() + start_within,
    )
    JobRequest.objects.create(
        job=job,
        prompt=spec.prompt,
        spec=spec.as_dict(),
        digest=spec.digest(),
        model_digest=model_digest,
        remix_of=remix_of,
        traceparent=tracing.submitted(),
    )
    record_of(job, "submitted")
    remixed = {} if remix_of is None else {"remix_of": str(remix_of.pk)}
    audit.record("job.submitted", actor=owner, workspace=where, subject=str(job.pk), **remixed)
    return job


@transaction.atomic
def cancel(job_id: UUID, *, by: User | None = None, reason: str = "") -> State:
    """The state after it: CANCELLED at once when it waited, RUNNING until the worker obeys.

    by: who wants it and why, for the audit log. A second cancel changes nothing. Raises NotPossible
    when the job has ended in another way, and NotFound.
    """
    # The lock: a release that is being committed must not let the cancel fall between two states.
    rows = Job.objects.select_for_update().values_list("state", "workspace_id")
    found = rows.filter(pk=job_id).first()
    if found is None:
        raise NotFound  # deleted, and taken away since the caller saw it
    was, workspace = found
    why = {"reason": reason} if reason else {}
    state = State(was)
    if move(job_id, Move.CANCEL, from_states={State.QUEUED}, cancel_requested_at=Now()):
        _audit("job.cancelled", job_id, workspace, by, **why)
        return State.CANCELLED
    asked = Job.objects.filter(
        pk=job_id, state=State.RUNNING, cancel_requested_at__isnull=True
    ).update(cancel_requested_at=Now(), version=F("version") + 1)
    if asked:
        record(job_id, "cancel_requested")
        _audit("job.cancelled", job_id, workspace, by, **why)
        return State.RUNNING
    if state in FINAL and state is not State.CANCELLED:
        raise NotPossible(f"The job has {state.value} already; there is nothing to cancel.")
    return state


def _audit(verb: str, job_id: UUID, workspace: int, by: User | None, **data: str) -> None:
    """Nothing where nobody is named: then whoever calls has more to say, or it is a test."""
    if by is not None:
        audit.record(verb, actor=by, workspace=workspace, subject=str(job_id), **data)


@transaction.atomic
def retry(job_id: UUID, *, limited: bool = False, by: User | None = None) -> Job:
    """The new job that does again what this one did not get done; made once, for all who ask.

    It goes on from the old one's checkpoint if there is one. limited: the owner's limits apply,
    which they do not where an operator repairs what was accepted before. Raises NotPossible for a
    job that is not over, that would come out the same, or that was deleted, as it is or as it was
    tried again; TooManyJobs; ModelOff; and NotFound.
    """
    # no_key: a remix of it, which has its owner's lock already, must not wait for this one.
    old = Job.objects.select_for_update(no_key=True).filter(pk=job_id).first()
    if old is None:
        raise NotFound
    made = Job.objects.filter(request__retry_of=old).first()
    if made is not None and made.deleted_at is not None:
        raise NotPossible(f"It was tried again as job {made.pk}, which was deleted; restore that.")
    if made is not None:
        return made
    if old.state not in RETRIED_FROM:
        raise NotPossible(
            f"The job is {old.state}; only what was parked, cancelled or expired "
            "can be tried again."
        )
    if old.deleted_at is not None:
        raise NotPossible("The job was deleted; restore it before it is tried again.")
    if limited:
        offer.refuse_off(old.request.spec["model"])
    (admitted,) = limits.admit(
        old.owner, [_readable(old.request)], workspace=old.workspace_id, limited=limited
    )
    new = Job.objects.create(
        owner_id=old.owner_id,
        workspace_id=old.workspace_id,
        pool=old.pool,
        priority=old.priority,
        max_attempts=settings.T2V_MAX_ATTEMPTS,
        over_quota=admitted.over_quota,
        reserved_seconds=admitted.reserved_seconds,
    )
    asked = old.request
    JobRequest.objects.create(
        job=new,
        prompt=asked.prompt,
        spec=asked.spec,
        digest=asked.digest,
        model_digest=asked.model_digest,
        retry_of=old,
        traceparent=tracing.submitted(),
    )
    saved = Checkpoint.objects.filter(job=old).first()
    if saved is not None:
        saved.pk = new.pk
        saved.save(force_insert=True)
    record(new.pk, "submitted", retry_of=str(old.pk))
    _audit("job.retried", old.pk, old.workspace_id, by, retried_as=str(new.pk))
    return new


def _readable(asked: JobRequest) -> RenderSpec | None:
    """None when another version wrote it."""
    try:
        return asked.render_spec()
    except TypeError:
        return None
