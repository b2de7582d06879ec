"""What runs, waits and is parked now, and who works: for operators, at a bounded cost.

Each list shows SHOWN rows and goes on where a mark says; no statement here reads a whole table,
however long the queue is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from django.db import connection
from django.db.models import Q

from jobs import crew, dead_letters, estimates, line, places
from jobs.crew import Held, Working, by_holder, holder_of, seat_of, working
from jobs.cursors import Cursor
from jobs.dead_letters import Letters, Parked, newest_attempts, to_show
from jobs.durations import about
from jobs.estimates import Estimate, Look
from jobs.lifecycle import State
from jobs.line import Mark
from jobs.models import Job, JobEvent, Worker
from jobs.sieve import Sieve
from jobs.turns import in_turn
from jobs.waiting import Seat, Waiter, why

SHOWN = 50  # rows of each list
LATE = timedelta(seconds=30)  # of a lease, which a worker renews every 10 s of its 60
T = TypeVar("T")
ALL = Sieve()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[T]):
    """The first rows of a list, and how long it is."""

    rows: list[T]
    count: int  # at most `most`
    most: int = crew.COUNTED  # beyond it, a person only wants to know "many"

    @property
    def more(self) -> str:
        """How many are not shown, as words; empty when none is."""
        if self.count >= self.most:
            return f"{self.most - len(self.rows):,} or more"
        return f"{self.count - len(self.rows):,}" if self.count > len(self.rows) else ""

    @property
    def total(self) -> str:
        return f"{self.most:,} or more" if self.count >= self.most else f"{self.count:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    job: Job
    worker: str  # its name, without the incarnation
    steps: int
    lease_left: timedelta  # negative: the sweep takes it back
    resumed_from: int | None  # step; None when this attempt began from noise
    estimate: Estimate

    @property
    def clip_seconds(self) -> float:
        spec = self.job.request.spec
        return float(spec.get("frames", 1)) / float(spec.get("fps", 0) or 1)

    @property
    def lease(self) -> str:
        """good, late or over."""
        if self.lease_left <= timedelta(0):
            return "over"
        return "late" if self.lease_left < LATE else "good"

    @property
    def lease_words(self) -> str:
        """Not to the second: what is well stays the same words."""
        return {
            "good": "Lease renewed in time",
            "late": "Lease not renewed for more than 30 s",
            "over": "Lease is over: it is taken back",
        }[self.lease]

    @property
    def left(self) -> str:
        seconds = self.estimate.eta_seconds
        return "" if seconds is None else f"{about(seconds)} left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    job: Job
    place: int  # from 1, in its pool; 0 of one that is held, and has none
    why: str
    estimate: Estimate

    @property
    def expected(self) -> str:
        """When it begins and ends; empty where nobody knows."""
        wait, eta = self.estimate.wait_seconds, self.estimate.eta_seconds
        if wait is None:
            return ""
        starts = f"Starts in {about(wait)}"
        return starts if eta is None else f"{starts}, done in {about(eta)}"

    @property
    def place_words(self) -> str:
        if not self.place:
            return "–"
        return f"{line.COUNTED:,}+" if self.place > line.COUNTED else f"{self.place:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """From where on each list is shown; None: from its head."""

    running: Mark | None = None
    waiting: Mark | None = None
    parked: Cursor | None = None
    cause: str | None = None  # of the parked ones only these


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    now: datetime  # Postgres' own
    running: Listed[Running]
    running_next: Mark | None
    waiting: Listed[Waiting]
    waiting_next: Mark | None
    waiting_cut: bool  # the sieve found no more in as many as one look goes through
    held: int  # of those who wait: they have no place to run in
    parked: Listed[Parked]  # those that nobody tried again
    letters: Letters
    workers: Listed[Working]
    looks: Mapping[str, Look]  # of each pool, as the sweep saw it lately
    pools: list[str]  # in which somebody works or is known to have worked

    @property
    def up(self) -> list[Working]:
        return [each for each in self.workers.rows if each.lives]

    @property
    def gone(self) -> list[Working]:
        return [each for each in self.workers.rows if not each.lives]


def look(sieve: Sieve = ALL, marks: Marks | None = None) -> Overview:
    """The same number of queries however long the lists are. Raises DatabaseError."""
    marks = marks or Marks()
    now = _now()
    held, known = crew.held(), crew.known()
    holds = by_holder(held, now)
    seats = [seat_of(each, holds=len(holds.get(holder_of(each), []))) for each in known]
    # In the order in which jobs move: whoever moves meanwhile is found twice, not lost.
    waiting = line.page(sieve, after=marks.waiting, shown=SHOWN)
    lengths = line.lengths()
    looks = estimates.looks()
    rows = _waiting(waiting.stands, seats, looks=looks, now=now)
    running, running_next = _running(sieve, marks.running, held, looks=looks, now=now)
    letters = dead_letters.look(sieve, shown=SHOWN, after=marks.parked, cause=marks.cause)
    parked = {each.job.pk for each in letters.rows}
    running = replace(running, rows=[each for each in running.rows if each.job.pk not in parked])
    moved = parked | {each.job.pk for each in running.rows}
    rows = _in_turn(running.rows, [each for each in rows if each.job.pk not in moved], looks)
    return Overview(
        now=now,
        running=running,
        running_next=running_next,
        waiting=Listed(
            rows=rows,
            count=max(min(lengths.line + lengths.held, line.COUNTED), len(rows)),
            most=line.COUNTED,
        ),
        waiting_next=waiting.next,
        waiting_cut=waiting.cut,
        held=lengths.held,
        parked=Listed(rows=letters.rows, count=letters.count, most=dead_letters.COUNTED),
        letters=letters,
        workers=_crew([each for each in known if sieve.pool in {None, each.pool}], holds, now),
        looks=looks,
        pools=sorted({each.pool for each in known})[: line.POOLS],
    )


def workers() -> Listed[Working]:
    """Three queries. Raises DatabaseError."""
    now = _now()
    return _crew(crew.known(), by_holder(crew.held(), now), now)


def look_at(worker: Worker) -> Working:
    """One worker as it is now. Raises DatabaseError."""
    now = _now()
    return _crew([worker], by_holder(crew.held(), now), now).rows[0]


def _crew(known: list[Worker], holds: Mapping[str, list[Held]], now: datetime) -> Listed[Working]:
    """Those seen last, by name, and those that are gone at the end: a sign of life moves nobody."""
    rows = [
        working(each, seat_of(each, holds=len(holds.get(holder_of(each), []))), holds, now)
        for each in known[:SHOWN]
    ]
    rows.sort(key=lambda each: (not each.lives, each.worker.name))
    return Listed(rows=rows, count=len(known))


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def _running(
    sieve: Sieve,
    after: Mark | None,
    held: list[Held],
    *,
    looks: Mapping[str, Look],
    now: datetime,
) -> tuple[Listed[Running], Mark | None]:
    """Those that have run longest first: new ones move nobody's row."""
    jobs = sieve.of(Job.objects.filter(state=State.RUNNING))
    if after is not None:
        same = Q(started_at=after.run_at, pk__gt=after.job)
        jobs = jobs.filter(Q(started_at__gt=after.run_at) | same)
    found = list(to_show(jobs).order_by("started_at", "pk")[: SHOWN + 1])
    rows = found[:SHOWN]
    expected = estimates.for_jobs(rows, known=looks)
    resumed = {
        (event.job_id, event.attempt): int(event.data["step"])
        for event in JobEvent.objects.filter(job__in=[job.pk for job in rows], kind="resumed")
    }
    listed = [
        Running(
            job=job,
            worker=job.worker.partition("/")[0],
            steps=int(job.request.spec.get("steps", 0)),
            lease_left=job.lease_until - now,
            resumed_from=resumed.get((job.pk, job.attempt)),
            estimate=expected[job.pk],
        )
        for job in rows
        if job.lease_until is not None  # as the constraints say
    ]
    mark = None
    if len(found) > SHOWN and rows[-1].started_at is not None:
        mark = Mark(among="running", rank=0, run_at=rows[-1].started_at, job=rows[-1].pk)
    return Listed(rows=listed, count=max(len(held), len(listed))), mark


def _in_turn(
    running: list[Running], waiting: list[Waiting], looks: Mapping[str, Look]
) -> list[Waiting]:
    every: list[Running | Waiting] = [*running, *waiting]
    known = {each.job.pk: each.estimate for each in every}
    turns = in_turn([each.job for each in every], known, looks)
    return [replace(each, estimate=turns[each.job.pk]) for each in waiting]


def _waiting(
    stands: list[line.Stand], seats: list[Seat], *, looks: Mapping[str, Look], now: datetime
) -> list[Waiting]:
    queued = to_show(Job.objects.filter(state=State.QUEUED))
    jobs = queued.in_bulk([stand.job for stand in stands])
    later = [job.pk for job in jobs.values() if job.run_at > now]
    setbacks = {
        attempt.job_id: attempt.error_message or "it was handed back."
        for attempt in newest_attempts(later)
    }
    before = {stand.job: max(0, stand.place - 1) for stand in stands}
    expected = estimates.for_jobs(
        list(jobs.values()), places=before, counted=line.COUNTED, known=looks
    )
    held = places.words(jobs.values())
    rows = []
    for stand in stands:
        job = jobs.get(stand.job)
        if job is None:  # it has just been claimed
            continue
        waiter = Waiter(
            pool=job.pool,
            run_at=job.run_at,
            deadline=None if job.attempt else job.deadline,
            before=stand.before,
            setback=setbacks.get(job.pk, ""),
            held=held.get(job.pk, ""),
        )
        rows.append(
            Waiting(
                job=job,
                place=stand.place,
                why=why(waiter, seats, now),
                estimate=expected[job.pk],
            )
        )
    return rows
