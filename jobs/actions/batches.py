"""Many jobs of one person in one transaction: a few statements, however many."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.models import User
from jobs import dispatch, limits, tracing
from jobs.access import workspace_to_submit_in
from jobs.lifecycle import State
from jobs.limits import Admitted
from jobs.models import Job, JobEvent, JobRequest
from jobs.moves import as_fact, knock_after_commit
from jobs.spec import RenderSpec

MOST = 500  # jobs of one batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One job of a batch; spec must have passed jobs.spec.check."""

    spec: RenderSpec
    model_digest: str
    start_within: timedelta | None = None
    remix_of: Job | None = None


@transaction.atomic
def submit_many(
    *, owner: User, wanted: Sequence[Wanted], workspace: int | None = None
) -> list[Job]:
    """New jobs in the queue, in this order; all or none. At most MOST.

    Raises what limits.admit raises, NoWorkspace, and Forbidden.
    """
    assert 0 < len(wanted) <= MOST
    where = workspace_to_submit_in(owner, workspace)
    admitted = limits.admit(owner, [each.spec for each in wanted], workspace=where)
    jobs = [
        _job(owner, where, each, granted, place)
        for place, (each, granted) in enumerate(zip(wanted, admitted, strict=True))
    ]
    Job.objects.bulk_create(jobs)
    traceparent = tracing.submitted()
    JobRequest.objects.bulk_create(
        JobRequest(
            job=job,
            prompt=each.spec.prompt,
            spec=each.spec.as_dict(),
            digest=each.spec.digest(),
            model_digest=each.model_digest,
            remix_of=each.remix_of,
            traceparent=traceparent,
        )
        for job, each in zip(jobs, wanted, strict=True)
    )
    events = JobEvent.objects.bulk_create(
        JobEvent(job=job, seq=1, kind="submitted", state=State.QUEUED, attempt=0) for job in jobs
    )
    audit.record(
        "job.submitted", actor=owner, workspace=where, subject=str(jobs[0].pk), jobs=len(jobs)
    )
    facts = [as_fact(event) for event in events]
    transaction.on_commit(partial(dispatch.announce_all, owner.pk, facts))
    knock_after_commit(settings.T2V_POOL)
    return jobs


def _job(owner: User, workspace: int, wanted: Wanted, admitted: Admitted, place: int) -> Job:
    # A microsecond apart: the queue, and every list, keeps the order of the batch.
    now = Now() + timedelta(microseconds=place)
    return Job(
        owner=owner,
        workspace_id=workspace,
        pool=settings.T2V_POOL,
        max_attempts=settings.T2V_MAX_ATTEMPTS,
        over_quota=admitted.over_quota,
        reserved_seconds=admitted.reserved_seconds,
        run_at=now,
        created_at=now,
        deadline=None if wanted.start_within is None else Now() + wanted.start_within,
    )
