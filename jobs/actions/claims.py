"""What a worker holds of a job, and the fence before everything that it does with it."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from jobs.errors import LostClaim
from jobs.lifecycle import State
from jobs.models import Job
from jobs.spec import RenderSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A checkpoint that lies in storage."""

    attempt: int  # that wrote it
    step: int  # denoising steps done
    key: str
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to render one job, until its lease ends or another attempt begins."""

    job: UUID
    attempt: int
    worker: str
    spec: RenderSpec
    owner: int
    saved: Saved | None = None  # from where to go on
    traceparent: str = ""  # of the request that submitted it; empty: not traced


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a renewal tells the worker."""

    cancel: bool  # somebody with the right asked for the job's end
    drain: bool  # an operator asked this worker to hand back what it has


def held_row(held: Claim) -> QuerySet[Job]:
    """The job's row, as long as the attempt is its live one; empty after that."""
    return Job.objects.filter(pk=held.job, attempt=held.attempt, state=State.RUNNING)


def lost(held: Claim) -> LostClaim:
    return LostClaim(f"attempt {held.attempt} no longer holds job {held.job}")
