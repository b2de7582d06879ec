"""Which queued job is next, and the claim of it: one statement."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection

# SKIP LOCKED lets workers pass each other; the state in the outer WHERE is the compare-and-swap.
_CLAIM = """
WITH next AS MATERIALIZED (
    SELECT id FROM jobs_job
    WHERE state = 'queued' AND pool = %(pool)s AND run_at <= statement_timestamp()
      AND (deadline IS NULL OR deadline > statement_timestamp())
    ORDER BY priority DESC, run_at, id
    LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE jobs_job AS job
SET state = 'running', attempt = attempt + 1, version = version + 1, step = 0,
    worker = %(worker)s, started_at = statement_timestamp(),
    lease_until = statement_timestamp() + make_interval(secs => %(lease)s)
FROM next WHERE job.id = next.id AND job.state = 'queued'
RETURNING job.id, job.attempt
"""

# Bounded: beyond 1,000 before it, a person only wants to know "many".
_PLACES = """
SELECT mine.id, (
    SELECT count(*) FROM (
        SELECT 1 FROM jobs_job AS other
        WHERE other.state = 'queued' AND other.pool = mine.pool
          AND (other.priority > mine.priority
               OR other.priority = mine.priority
                  AND (other.run_at, other.id) < (mine.run_at, mine.id))
        LIMIT 1000) AS before)
FROM jobs_job AS mine WHERE mine.id = ANY(%(ids)s) AND mine.state = 'queued'
"""

_WAITING = """
SELECT DISTINCT pool FROM jobs_job WHERE state = 'queued' AND run_at <= statement_timestamp()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    job: UUID
    attempt: int


def claim_next(*, worker: str, pool: str, lease: timedelta) -> Taken | None:
    """Inside the caller's transaction; None when nothing waits."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"worker": worker, "pool": pool, "lease": lease.total_seconds()})
        row = cursor.fetchone()
    return None if row is None else Taken(job=row[0], attempt=row[1])


def places(ids: Iterable[UUID]) -> dict[UUID, int]:
    """How many jobs of the same pool are before each of these that is queued; at most 1,000."""
    wanted = list(ids)
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_PLACES, {"ids": wanted})
        return dict(cursor.fetchall())


def pools_waiting() -> list[str]:
    """Pools in which a job could start now."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING)
        return [row[0] for row in cursor.fetchall()]
