"""What time does to jobs: leases end, workers are replaced, deadlines pass. Any number may call."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from jobs.lifecycle import Move, Outcome, State
from jobs.models import Job
from jobs.moves import give_up, move


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
    # In one order everywhere: each counts into a row of its workspace and owner (jobs/counters.py),
    # and of two that hold each other's row one would be ended.
    for job in sorted(rows, key=lambda row: (row.workspace_id, row.owner_id)):
        give_up(job, Outcome.LOST, code="worker_lost", message=f"The attempt was lost: {why}.")
    return len(rows)


def expire(*, at_most: int = 100) -> int:
    """Ends jobs whose deadline passed before any worker began; how many.

    One that was begun in time and lost its worker goes on: a crash of ours costs nobody a job.
    """
    overdue = Job.objects.filter(state=State.QUEUED, attempt=0, deadline__lt=Now())
    ids = list(overdue.values_list("pk", flat=True)[:at_most])
    return sum(_expire_one(job_id) for job_id in ids)


@transaction.atomic
def _expire_one(job_id: UUID) -> bool:
    return move(
        job_id,
        Move.EXPIRE,
        attempt=0,
        error_code="expired",
        error_message="Its deadline passed while it waited.",
    )
