"""How every verb of jobs/actions writes: one compare-and-swap, its event, its announcement.

Only jobs/actions calls these.
"""

import random
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from jobs import dispatch, places
from jobs.events import Fact
from jobs.lifecycle import (
    FINAL,
    Move,
    Outcome,
    State,
    move_after_failure,
    move_after_release,
    sources,
    target,
)
from jobs.models import Attempt, Checkpoint, Job, JobEvent
from jobs.webhooks import outbox

LONGEST_DELAY_SECONDS = 900.0
RELEASED_TOO_OFTEN = (
    "released_too_often",
    "Its workers handed it back again and again; this time it counts as an attempt.",
)

KINDS = {
    Move.CLAIM: "claimed",
    Move.SUCCEED: "succeeded",
    Move.FAIL: "failed",
    Move.REQUEUE: "requeued",
    Move.RELEASE: "released",
    Move.PARK: "parked",
    Move.CANCEL: "cancelled",
    Move.EXPIRE: "expired",
}


def give_up(
    job: Job, outcome: Outcome, *, code: str, message: str, permanent: bool = False
) -> State:
    """Ends the live attempt of a locked row without a video and moves the job on."""
    chosen = move_after_failure(
        permanent=permanent,
        cancel_requested=job.cancel_requested_at is not None,
        spent=job.spent,
        max_attempts=job.max_attempts,
    )
    return _end(job, chosen, outcome, code=code, message=message)


def hand_back(job: Job, *, code: str, message: str, delay_seconds: float) -> State:
    """Ends the live attempt of a locked row, unspent if it was not handed back too often.

    Without a delay its place in the queue stays; a delay doubles with each release, to 15 minutes:
    a storage may be away for hours, and 20 releases must last that long.
    """
    chosen = move_after_release(
        cancel_requested=job.cancel_requested_at is not None,
        releases=job.releases,
        spent=job.spent,
        max_attempts=job.max_attempts,
    )
    columns: dict[str, Any] = {}
    if chosen is Move.RELEASE:
        columns["releases"] = F("releases") + 1
        if delay_seconds:
            delay = min(LONGEST_DELAY_SECONDS, delay_seconds * 2.0**job.releases)
            columns["run_at"] = Now() + timedelta(seconds=delay * random.uniform(0.5, 1.0))
        return _end(job, chosen, Outcome.RELEASED, code=code, message=message, **columns)
    code, message = code or RELEASED_TOO_OFTEN[0], message or RELEASED_TOO_OFTEN[1]
    return _end(job, chosen, Outcome.FAILED, code=code, message=message)


def _end(
    job: Job, chosen: Move, outcome: Outcome, *, code: str, message: str, **columns: Any
) -> State:
    if chosen is Move.REQUEUE:
        columns["run_at"] = Now() + timedelta(seconds=backoff_seconds(job.spent))
    elif target(chosen) in FINAL and chosen is not Move.CANCEL:
        columns |= {"error_code": code, "error_message": message[:500]}
    moved = move(
        job.pk,
        chosen,
        from_states={State.RUNNING},
        attempt=job.attempt,
        outcome=Outcome.CANCELLED if chosen is Move.CANCEL else outcome,
        error=(code, message[:500]),
        **columns,
    )
    assert moved, "the row was locked"
    return target(chosen)


def backoff_seconds(spent: int) -> float:
    """1 to 2 s after the first lost attempt, doubling, at most 5 minutes, with jitter."""
    return min(300.0, 2.0**spent) * random.uniform(0.5, 1.0)


def move(
    job_id: UUID,
    how: Move,
    *,
    from_states: set[State] | None = None,
    attempt: int | None = None,
    uncancelled: bool = False,
    outcome: Outcome | None = None,
    error: tuple[str, str] = ("", ""),
    **columns: Any,
) -> bool:
    """One compare-and-swap with its event; False when the job is not where the move begins."""
    to = target(how)
    rows = Job.objects.filter(pk=job_id, state__in=from_states or sources(how))
    if attempt is not None:
        rows = rows.filter(attempt=attempt)
    if uncancelled:
        rows = rows.filter(cancel_requested_at__isnull=True)
    if to in FINAL:
        columns["finished_at"] = Now()
    moved = rows.update(state=to, version=F("version") + 1, lease_until=None, worker="", **columns)
    if not moved:
        return False
    if outcome is not None:
        Attempt.objects.filter(job_id=job_id, outcome=Outcome.RUNNING).update(
            outcome=outcome, ended_at=Now(), error_code=error[0], error_message=error[1]
        )
    if to in FINAL and to is not State.PARKED:  # a parked one may be tried again from there
        Checkpoint.objects.filter(job_id=job_id).delete()
    record(job_id, KINDS[how], code=error[0], message=error[1])
    return True


_TOLD = (
    *("version", "state", "attempt", "owner_id", "workspace_id"),
    *("pool", "finished_at", "error_code"),
)
# These wait for a time to come, and need no place to run in until then.
_GIVE_BACK = {KINDS[Move.REQUEUE], KINDS[Move.RELEASE]}


def record(job_id: UUID, kind: str, **data: str) -> None:
    """The event of the row as it stands in this transaction, announced after the commit."""
    job = Job.objects.only(*_TOLD).get(pk=job_id)
    record_of(job, kind, **data)


def record_of(job: Job, kind: str, **data: str) -> None:
    """The same of a row that this transaction has just written or locked, and not changed since."""
    event = JobEvent.objects.create(
        job_id=job.pk,
        seq=job.version,
        kind=kind,
        state=job.state,
        attempt=job.attempt,
        data={key: value for key, value in data.items() if value},
    )
    transaction.on_commit(partial(dispatch.announce, job.owner_id, as_fact(event)))
    if job.state in FINAL:
        outbox.tell(job)
    if job.state in FINAL or kind in _GIVE_BACK:
        places.settle_after_commit(job.workspace_id)
    if job.state == State.QUEUED:
        knock_after_commit(job.pool)


def as_fact(event: JobEvent) -> Fact:
    return Fact(
        job=event.job_id,
        seq=event.seq,
        kind=event.kind,
        state=event.state,
        attempt=event.attempt,
        at=event.at.isoformat(),
        data=event.data,
    )


def knock_after_commit(pool: str) -> None:
    transaction.on_commit(partial(dispatch.knock, pool))
