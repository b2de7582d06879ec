"""What runs, waits and is parked now, and who works: for operators, at a bounded cost.

Each list shows SHOWN rows, and counts to COUNTED: no statement here reads a whole table, however
long the queue is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef

from jobs.lifecycle import State
from jobs.models import Attempt, Job, JobEvent, JobRequest, Worker
from jobs.waiting import Seat, Waiter, why

SHOWN = 50  # rows of each list
COUNTED = 1_000  # beyond it, a person only wants to know "many"
T = TypeVar("T")

# The first of each pool, in the order of claims, by a look into the index jobs_queue for each.
_NEXT = """
WITH RECURSIVE pools AS (
    (SELECT pool FROM jobs_job WHERE state = 'queued'
     ORDER BY pool, priority * -1, run_at, id LIMIT 1)
    UNION ALL
    SELECT next.pool FROM pools, LATERAL (
        SELECT job.pool FROM jobs_job AS job WHERE state = 'queued' AND job.pool > pools.pool
        ORDER BY job.pool, job.priority * -1, job.run_at, job.id LIMIT 1) AS next
)
SELECT first.id, first.place, first.before FROM pools, LATERAL (
    SELECT id, row_number() OVER queue AS place,
        count(*) FILTER (WHERE run_at <= statement_timestamp()) OVER queue
            - (run_at <= statement_timestamp())::int AS before
    FROM (SELECT id, priority, run_at FROM jobs_job
          WHERE state = 'queued' AND pool = pools.pool
          ORDER BY priority * -1, run_at, id LIMIT %(shown)s) AS head
    WINDOW queue AS (ORDER BY priority * -1, run_at, id ROWS UNBOUNDED PRECEDING)
) AS first
ORDER BY first.place, pools.pool LIMIT %(shown)s
"""
_COUNT_WAITING = """
SELECT count(*) FROM (SELECT 1 FROM jobs_job WHERE state = 'queued'
    ORDER BY pool, priority * -1, run_at, id LIMIT %(counted)s) AS waiting
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[T]):
    """The first rows of a list, and how long it is."""

    rows: list[T]
    count: int  # at most COUNTED

    @property
    def more(self) -> str:
        """How many are not shown, as words; empty when none is."""
        if self.count >= COUNTED:
            return f"{COUNTED - len(self.rows):,} or more"
        return f"{self.count - len(self.rows)}" if self.count > len(self.rows) else ""

    @property
    def total(self) -> str:
        return f"{COUNTED:,} or more" if self.count >= COUNTED else str(self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    job: Job
    worker: str  # its name, without the incarnation
    steps: int
    lease_left: timedelta  # negative: the sweep takes it back
    resumed_from: int | None  # step; None when this attempt began from noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    job: Job
    place: int  # from 1, in its pool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    job: Job
    worker: str  # of its last attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    worker: Worker
    lives: bool
    holds: list[UUID]  # jobs
    words: str  # what it does, or why it takes no job


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    now: datetime  # Postgres' own
    running: Listed[Running]
    waiting: Listed[Waiting]
    parked: Listed[Parked]  # those that nobody tried again
    workers: Listed[Working]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    job: UUID
    worker: str  # name/incarnation
    started_at: datetime
    lease_until: datetime


def look() -> Overview:
    """Raises DatabaseError."""
    now: datetime = _rows("SELECT statement_timestamp()")[0][0]
    held = _held()
    known = list(Worker.objects.order_by("-seen_at", "name")[:COUNTED])
    holds = _by_holder(held, now)
    seats = {worker.name: _seat(worker, holds) for worker in known}
    return Overview(
        now=now,
        running=_running(held, now),
        waiting=_waiting(list(seats.values()), now),
        parked=_parked(),
        workers=Listed(
            rows=[_working(worker, seats[worker.name], holds, now) for worker in known[:SHOWN]],
            count=len(known),
        ),
    )


def _rows(statement: str, **values: int) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _held() -> list[_Held]:
    rows = Job.objects.filter(state=State.RUNNING).order_by("lease_until")
    return [
        _Held(job=job, worker=worker, started_at=started, lease_until=until)
        for job, worker, started, until in rows.values_list(
            "pk", "worker", "started_at", "lease_until"
        )[:COUNTED]
        if started is not None and until is not None  # as the constraints say
    ]


def _by_holder(held: Iterable[_Held], now: datetime) -> dict[str, list[UUID]]:
    """Under an unbroken lease; the key is name/incarnation."""
    holders: dict[str, list[UUID]] = {}
    for each in held:
        if each.lease_until > now:
            holders.setdefault(each.worker, []).append(each.job)
    return holders


def _holder(worker: Worker) -> str:
    return f"{worker.name}/{worker.incarnation}"


def _seat(worker: Worker, holds: dict[str, list[UUID]]) -> Seat:
    return Seat(
        name=worker.name,
        pool=worker.pool,
        seen_at=worker.seen_at,
        started_at=worker.started_at,
        ready=worker.ready_at is not None,
        draining_since=worker.drain_requested_at,
        trouble=worker.trouble,
        holds=len(holds.get(_holder(worker), [])),
    )


def _working(worker: Worker, seat: Seat, holds: dict[str, list[UUID]], now: datetime) -> Working:
    jobs = holds.get(_holder(worker), [])
    hindrance = seat.hindrance(now).removeprefix(worker.name).lstrip(": ")
    return Working(
        worker=worker,
        lives=seat.lives(now),
        holds=jobs,
        words=hindrance or ("renders" if jobs else "idle"),
    )


def _running(held: list[_Held], now: datetime) -> Listed[Running]:
    newest = sorted(held, key=lambda each: each.started_at, reverse=True)[:SHOWN]
    ids = [each.job for each in newest]
    jobs = Job.objects.filter(state=State.RUNNING).select_related("owner", "request").in_bulk(ids)
    resumed = {
        (event.job_id, event.attempt): int(event.data["step"])
        for event in JobEvent.objects.filter(job__in=ids, kind="resumed")
    }
    rows = [
        Running(
            job=job,
            worker=job.worker.partition("/")[0],
            steps=int(job.request.spec.get("steps", 0)),
            lease_left=job.lease_until - now,
            resumed_from=resumed.get((job.pk, job.attempt)),
        )
        for job in (jobs[key] for key in ids if key in jobs)  # without those that just ended
        if job.lease_until is not None
    ]
    return Listed(rows=rows, count=len(held) - (len(newest) - len(rows)))


def _waiting(seats: list[Seat], now: datetime) -> Listed[Waiting]:
    next_ones = _rows(_NEXT, shown=SHOWN)
    count = _rows(_COUNT_WAITING, counted=COUNTED)[0][0] if next_ones else 0
    queued = Job.objects.filter(state=State.QUEUED).select_related("owner", "request")
    jobs = queued.in_bulk([row[0] for row in next_ones])
    setbacks = {
        attempt.job_id: attempt.error_message or "it was handed back."
        for attempt in _newest_attempts([job.pk for job in jobs.values() if job.run_at > now])
    }
    rows = []
    for key, place, before in next_ones:
        job = jobs.get(key)
        if job is None:  # it has just been claimed
            continue
        waiter = Waiter(
            pool=job.pool,
            run_at=job.run_at,
            deadline=None if job.attempt else job.deadline,
            before=before,
            setback=setbacks.get(job.pk, ""),
        )
        rows.append(Waiting(job=job, place=place, why=why(waiter, seats, now)))
    return Listed(rows=rows, count=max(count, len(rows)))


def _parked() -> Listed[Parked]:
    """Of the newest COUNTED; those that were tried again stay parked, and are done with."""
    retried = Exists(JobRequest.objects.filter(retry_of=OuterRef("pk"), retry_of__isnull=False))
    newest = Job.objects.filter(state=State.PARKED).order_by("-finished_at", "-pk")
    keys = [
        key
        for key, again in newest.annotate(again=retried).values_list("pk", "again")[:COUNTED]
        if not again
    ]
    shown = keys[:SHOWN]
    jobs = Job.objects.select_related("owner", "request").in_bulk(shown)
    workers = {attempt.job_id: attempt.worker for attempt in _newest_attempts(shown)}
    rows = [
        Parked(job=jobs[key], worker=workers.get(key, "").partition("/")[0])
        for key in shown
        if key in jobs
    ]
    return Listed(rows=rows, count=len(keys))


def _newest_attempts(jobs: list[UUID]) -> Iterable[Attempt]:
    """One of each job."""
    return Attempt.objects.filter(job__in=jobs).order_by("job", "-number").distinct("job")
