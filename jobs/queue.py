"""Which queued job is next, and the claim of it: one statement that no depth slows.

A claim leaves a dead entry at the head of the index, and until the oldest snapshot of the whole
database has ended (a dump, a report, an admin who went to lunch in a transaction) nothing may
remove it: the next claim walks over all of them. So a process remembers for each pool how far it
has seen the queue without anything to claim, its mark, and begins there.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection, transaction

HEAD_SECONDS = 1.0  # between two readings of the queue from its head, at most

# SKIP LOCKED lets workers pass each other. The row comparison is a range of the index jobs_queue,
# which is ascending for its sake.
_NEXT = """
    SELECT id FROM jobs_job
    WHERE state = 'queued' AND NOT over_quota
      AND pool = %(pool)s AND run_at <= statement_timestamp()
      AND (attempt > 0 OR coalesce(deadline, 'infinity') > statement_timestamp())
      AND (priority * -1, run_at, id) >= (%(rank)s, %(run_at)s, %(job)s)
    ORDER BY priority * -1, run_at, id
    LIMIT 1 FOR UPDATE SKIP LOCKED
"""
# The lock is the compare-and-swap: Postgres asks the conditions again of the row that it locked.
# As a scalar subquery it runs once; joined, and with the state asked again outside, the planner
# takes so much longer that a fifth of the claims is lost.
_CLAIM = f"""
UPDATE jobs_job AS job
SET state = 'running', attempt = attempt + 1, version = version + 1, step = 0,
    worker = %(worker)s, started_at = statement_timestamp(),
    lease_until = statement_timestamp() + make_interval(secs => %(lease)s)
WHERE job.id = ({_NEXT})
RETURNING job.id, job.attempt, job.priority * -1, job.run_at::text
"""  # noqa: S608 - both parts are ours

# Bounded: beyond 1,000 before it, a person only wants to know "many". Without ORDER BY the planner
# reads the whole table: 410 ms for five of 1,000,000 jobs, against 0.1 ms.
_PLACES = """
SELECT mine.id, (
    SELECT count(*) FROM (
        SELECT 1 FROM jobs_job AS other
        WHERE other.state = 'queued' AND NOT other.over_quota AND other.pool = mine.pool
          AND (other.priority * -1, other.run_at, other.id)
              < (mine.priority * -1, mine.run_at, mine.id)
        ORDER BY other.priority * -1 DESC, other.run_at DESC, other.id DESC
        LIMIT 1000) AS before)
FROM jobs_job AS mine
WHERE mine.id = ANY(%(ids)s) AND mine.state = 'queued' AND NOT mine.over_quota
"""

_DEPTH = """
SELECT count(*) FROM (
    SELECT 1 FROM jobs_job
    WHERE state = 'queued' AND NOT over_quota AND pool = %(pool)s LIMIT 1000) AS waiting
"""

# The first job of each pool and priority, from one to the next: a look into the index for each.
# DISTINCT reads the whole queue.
_FIRST = """
WITH RECURSIVE first AS (
    (SELECT pool, priority * -1 AS rank, run_at FROM jobs_job
     WHERE state = 'queued' AND NOT over_quota ORDER BY pool, priority * -1, run_at LIMIT 1)
    UNION ALL
    SELECT next.* FROM first, LATERAL (
        SELECT job.pool, job.priority * -1, job.run_at FROM jobs_job AS job
        WHERE state = 'queued' AND NOT over_quota
            AND (job.pool, job.priority * -1) > (first.pool, first.rank)
        ORDER BY job.pool, job.priority * -1, job.run_at LIMIT 1) AS next
)
"""
_WAITING = f"{_FIRST}SELECT DISTINCT pool FROM first WHERE run_at <= statement_timestamp()"  # noqa: S608
# For jobs/metrics/readings.py: since when the one that is due longest waits, in each pool.
OLDEST_DUE = f"""
{_FIRST}SELECT pool, extract(epoch FROM statement_timestamp() - min(run_at))::float8 AS seconds
FROM first WHERE run_at <= statement_timestamp() GROUP BY pool
"""  # noqa: S608 - both parts are ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    job: UUID
    attempt: int


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place in the queue, and when the queue was last read from its head (monotonic clock)."""

    read_at: float
    rank: int  # minus the priority
    run_at: str  # as Postgres writes it: a datetime would cost 25 of a claim's 130 µs in Python
    job: UUID

    @classmethod
    def head(cls) -> "_Mark":
        """Before everything, now."""
        return cls(time.monotonic(), -(2**15), "-infinity", UUID(int=0))

    def bounds(self) -> dict[str, Any]:
        return {"rank": self.rank, "run_at": self.run_at, "job": self.job}


class _Marks:
    """What this process knows of each pool; its threads share it.

    Only a hint. What comes to lie before a mark (a job handed back, one of a higher priority, one
    whose run_at has come) is found as soon as nothing is left behind it, and within HEAD_SECONDS
    while something is: that is how exact the order is. The head is read again so often.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._marks: dict[str, _Mark] = {}

    def get(self, pool: str) -> _Mark | None:
        """None when it is time for the head."""
        mark = self._marks.get(pool)
        fresh = mark is not None and time.monotonic() - mark.read_at < HEAD_SECONDS
        return mark if fresh else None

    def move(self, pool: str, mark: _Mark) -> None:
        """Unless the head was read again since: what that found lies before this mark."""
        with self._lock:
            known = self._marks.get(pool)
            if known is None or mark.read_at >= known.read_at:
                self._marks[pool] = mark


_marks = _Marks()


def claim_next(*, worker: str, pool: str, lease: timedelta) -> Taken | None:
    """Inside the caller's transaction; None when nothing waits."""
    mark = _marks.get(pool)
    taken = mark and _claim(mark, worker=worker, pool=pool, lease=lease)
    return taken or _claim(_Mark.head(), worker=worker, pool=pool, lease=lease)


def _claim(mark: _Mark, *, worker: str, pool: str, lease: timedelta) -> Taken | None:
    """The first job from the mark on. A claim that is rolled back moves no mark."""
    values: dict[str, Any] = {"worker": worker, "pool": pool, "lease": lease.total_seconds()}
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, values | mark.bounds())
        row = cursor.fetchone()
    if row is None:
        return None
    job, attempt, rank, run_at = row
    moved = replace(mark, rank=rank, run_at=run_at, job=job)
    transaction.on_commit(partial(_marks.move, pool, moved))
    return Taken(job=job, attempt=attempt)


def places(ids: Iterable[UUID]) -> dict[UUID, int]:
    """How many jobs of the same pool are before each of these that is queued; at most 1,000.

    None of one that has no place in the queue yet: jobs/places.py.
    """
    wanted = list(ids)
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_PLACES, {"ids": wanted})
        return dict(cursor.fetchall())


def depth(pool: str) -> int:
    """How many jobs wait in this pool now; at most 1,000."""
    with connection.cursor() as cursor:
        cursor.execute(_DEPTH, {"pool": pool})
        return int(cursor.fetchone()[0])


def pools_waiting() -> list[str]:
    """Pools in which a job could start now."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING)
        return [row[0] for row in cursor.fetchall()]
