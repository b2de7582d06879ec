"""Jobs that ended without a video and may need a person: parked ones, by cause, and failed ones.

Of the parked ones at most COUNTED are looked at, from the newest or from a mark on: those that were
tried again stay parked, and are passed over.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models.functions import Now

from jobs.cursors import Cursor, Wanted, select
from jobs.lifecycle import State
from jobs.models import Attempt, Job, JobQuerySet, JobRequest
from jobs.remedies import Remedy, remedy
from jobs.sieve import Sieve

COUNTED = 1_000  # parked jobs of one look
LOOKED_THROUGH = 10_000  # parked jobs, for those of one cause: 30 ms
CAUSES = 20  # that are named
AGAIN = 10  # tried again lately, to be found again
FAILED = 20  # of the last day
DAY = timedelta(days=1)
ORDERING = "-finished_at"
SHOWN = (
    *("state", "version", "pool", "priority", "attempt", "releases", "max_attempts", "run_at"),
    *("deadline", "lease_until", "worker", "step", "over_quota", "cancel_requested_at"),
    *("created_at", "started_at", "finished_at", "error_code", "error_message"),
    *("owner", "owner__email", "workspace", "workspace__slug", "workspace__name"),
    *("request__prompt", "request__spec"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    job: Job
    worker: str  # of its last attempt
    remedy: Remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Those parked with one error."""

    code: str
    count: int
    remedy: Remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """One that was tried again, and what became of it."""

    old: UUID
    new: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    rows: list[Parked]
    next: Cursor | None
    count: int  # of the newest COUNTED that the sieve lets through
    causes: list[Cause]  # of all of these; the most frequent first
    again: list[Again]
    failed: list[Job]  # of the last day, the newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    job: UUID
    ended: datetime
    code: str
    new: UUID | None  # as which it was tried again

    @property
    def cursor(self) -> Cursor:
        return Cursor(ordering=ORDERING, at=self.ended, row=self.job)


def look(
    sieve: Sieve, *, shown: int, after: Cursor | None = None, cause: str | None = None
) -> Letters:
    """Eight queries at the most. Raises DatabaseError."""
    newest = _keys(sieve, None)
    left = [key for key in newest if key.new is None]
    keys = newest if after is None else _keys(sieve, after)
    wanted = [key for key in keys if key.new is None and cause in {None, key.code}]
    rows = wanted[:shown]
    last = rows[-1] if len(wanted) > shown else None
    if last is None and len(keys) == COUNTED:  # there may be more beyond what was looked at
        last = keys[-1]
    counts = Counter(key.code for key in left)
    return Letters(
        rows=_parked([key.job for key in rows]),
        next=None if last is None else last.cursor,
        count=len(left),
        causes=[
            Cause(code=code, count=count, remedy=remedy(code))
            for code, count in counts.most_common(CAUSES)
        ],
        again=_again(key for key in newest if key.new is not None),
        failed=_failed(sieve),
    )


def like(cause: str, *, at_most: int, sieve: Sieve) -> tuple[list[UUID], int]:
    """The newest of those parked with that error that nobody tried again; and how many are left.

    Of the newest LOOKED_THROUGH of all that are parked.
    """
    keys = _keys(sieve, None, at_most=LOOKED_THROUGH)
    found = [key.job for key in keys if key.new is None and key.code == cause]
    return found[:at_most], len(found[at_most:])


def _keys(sieve: Sieve, after: Cursor | None, *, at_most: int = COUNTED) -> list[_Key]:
    parked = sieve.of(Job.objects.filter(state=State.PARKED).kept())
    asked = Wanted(ordering=ORDERING, limit=at_most - 1, cursor=after)  # and one more, as it reads
    rows = list(select(parked, asked).values_list("pk", "finished_at", "error_code"))
    again = JobRequest.objects.filter(retry_of__in=[row[0] for row in rows])
    new = dict(again.values_list("retry_of", "job"))
    return [
        _Key(job=job, ended=ended, code=code, new=new.get(job))
        for job, ended, code in rows
        if ended is not None  # as the constraints say
    ]


def _parked(keys: list[UUID]) -> list[Parked]:
    jobs = to_show(Job.objects.all()).in_bulk(keys)
    workers = {attempt.job_id: attempt.worker for attempt in newest_attempts(keys)}
    return [
        Parked(
            job=jobs[key],
            worker=workers.get(key, "").partition("/")[0],
            remedy=remedy(jobs[key].error_code),
        )
        for key in keys
        if key in jobs
    ]


def _again(keys: Iterable[_Key]) -> list[Again]:
    """Those whose new job was made last."""
    made: Mapping[UUID, UUID] = {key.new: key.job for key in keys if key.new is not None}
    new = Job.objects.filter(pk__in=list(made)).kept().order_by("-created_at", "-pk")[:AGAIN]
    return [Again(old=made[job.pk], new=job) for job in new]


def _failed(sieve: Sieve) -> list[Job]:
    """By the index jobs_failed."""
    late = Job.objects.filter(state=State.FAILED, finished_at__gt=Now() - DAY).kept()
    return list(to_show(sieve.of(late)).order_by(ORDERING)[:FAILED])


def to_show(jobs: JobQuerySet) -> JobQuerySet:
    """With what a row of the page says of them, and no more: a row has 40 columns else."""
    return jobs.select_related("owner", "request", "workspace").only(*SHOWN)


def newest_attempts(jobs: list[UUID]) -> Iterable[Attempt]:
    """One of each job."""
    return Attempt.objects.filter(job__in=jobs).order_by("job", "-number").distinct("job")
