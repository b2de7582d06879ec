"""The queue in its order, page by page, for operators; then those that a quota holds back.

A page begins where the one before ended, at the place of a row and not at its number: it costs the
same wherever it lies. What is looked for among those who wait is looked for in AT_MOST of them; the
page says so, and the next one goes on.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from django.db import connection

from jobs.errors import BadFields
from jobs.sieve import Sieve

AT_MOST = 2_000  # jobs that one page looks through, in each pool
POOLS = 50  # in which somebody waits; more of them share no line anyway
COUNTED = 10_000  # places; beyond it, a person only wants to know "many"
_LONGEST = 400  # characters of a mark; ours have 200 or so

# Of each pool, by a look into the index jobs_queue for each, what comes after the mark. The window
# numbers all of it, the sieve comes after: places are those of the whole line. The last row of a
# walk that was cut off comes along, whatever it is: there the next page goes on.
_WALK = """
WITH RECURSIVE pools AS (
    (SELECT pool, 1 AS n FROM jobs_job
     WHERE state = 'queued' AND NOT over_quota AND {in_pool}
     ORDER BY pool, priority * -1, run_at, id LIMIT 1)
    UNION ALL
    SELECT next.pool, pools.n + 1 FROM pools, LATERAL (
        SELECT job.pool FROM jobs_job AS job
        WHERE state = 'queued' AND NOT over_quota AND job.pool > pools.pool AND {in_pool}
        ORDER BY job.pool, job.priority * -1, job.run_at, job.id LIMIT 1) AS next
    WHERE pools.n < %(pools)s
)
SELECT job.id, job.rank, job.run_at, base.placed + job.at, base.due + job.due_before, job.fits,
    job.at = %(walked)s
FROM pools, LATERAL (
    SELECT count(*) AS placed, count(*) FILTER (WHERE run_at <= statement_timestamp()) AS due
    FROM (SELECT run_at FROM jobs_job
          WHERE state = 'queued' AND NOT over_quota AND pool = pools.pool
            AND (priority * -1, run_at, id) <= (%(rank)s, %(run_at)s, %(job)s)
          ORDER BY priority * -1, run_at, id LIMIT %(counted)s) AS before
) AS base, LATERAL (
    SELECT walk.*, {fits} AS fits FROM (
        SELECT id, pool, owner_id, workspace_id, rank, run_at, row_number() OVER line AS at,
            count(*) FILTER (WHERE run_at <= statement_timestamp()) OVER line
                - (run_at <= statement_timestamp())::int AS due_before
        FROM (SELECT id, pool, owner_id, workspace_id, priority * -1 AS rank, run_at FROM jobs_job
              WHERE state = 'queued' AND NOT over_quota AND pool = pools.pool
                AND (priority * -1, run_at, id) > (%(rank)s, %(run_at)s, %(job)s)
              ORDER BY priority * -1, run_at, id LIMIT %(walked)s) AS part
        WINDOW line AS (ORDER BY rank, run_at, id ROWS UNBOUNDED PRECEDING)
    ) AS walk
) AS job
WHERE job.fits OR job.at = %(walked)s
ORDER BY job.rank, job.run_at, job.id LIMIT %(rows)s
"""
# By the index jobs_over_quota.
_HELD = """
SELECT walk.id, walk.workspace_id, walk.owner_id, walk.rank, walk.run_at, {fits},
    walk.at = %(walked)s
FROM (
    SELECT id, pool, workspace_id, owner_id, rank, run_at, row_number() OVER (
        ORDER BY workspace_id, owner_id, rank, run_at, id) AS at
    FROM (SELECT id, pool, workspace_id, owner_id, priority * -1 AS rank, run_at FROM jobs_job
          WHERE state = 'queued' AND over_quota
            AND (workspace_id, owner_id, priority * -1, run_at, id)
                > (%(after_workspace)s, %(after_owner)s, %(rank)s, %(run_at)s, %(job)s)
          ORDER BY workspace_id, owner_id, priority * -1, run_at, id LIMIT %(walked)s) AS part
) AS walk
WHERE {fits} OR walk.at = %(walked)s
ORDER BY walk.at LIMIT %(rows)s
"""
_COUNT = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM jobs_job WHERE state = 'queued' AND NOT over_quota
            ORDER BY pool, priority * -1, run_at, id LIMIT %(counted)s) AS waiting),
    (SELECT count(*) FROM (SELECT 1 FROM jobs_job WHERE state = 'queued' AND over_quota
            ORDER BY workspace_id, owner_id, priority * -1, run_at, id LIMIT %(counted)s) AS held)
"""
_HEAD = (-(2**15), "-infinity", UUID(int=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place between two jobs: behind this one."""

    among: Literal["line", "held", "running"]
    rank: int  # minus the priority
    run_at: datetime  # of one that runs, its start
    job: UUID
    workspace: int = 0  # of those that are held
    owner: int = 0

    def encode(self) -> str:
        parts = [self.among, self.rank, self.run_at.isoformat(), self.job.hex]
        text = json.dumps([*parts, self.workspace, self.owner])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Mark":
        """Raises BadFields for what encode did not make."""
        try:
            if len(text) > _LONGEST:
                raise ValueError
            padded = text + "=" * (-len(text) % 4)
            parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            among, rank, run_at, job, workspace, owner = parts
            when = datetime.fromisoformat(run_at)
            small = all(
                type(number) is int and abs(number) < 2**bits
                for number, bits in ((rank, 31), (workspace, 63), (owner, 63))
            )
            if among not in {"line", "held", "running"} or when.tzinfo is None or not small:
                raise ValueError
            return cls(
                among=among,
                rank=rank,
                run_at=when.astimezone(UTC),
                job=UUID(job),
                workspace=workspace,
                owner=owner,
            )
        except (
            *(ValueError, TypeError, AttributeError, OverflowError),
            *(binascii.Error, RecursionError),
        ) as error:
            raise BadFields({"after": "Use one that the page gave you."}) from error


_BEHIND_THE_LINE = Mark(
    among="held", rank=_HEAD[0], run_at=datetime.min.replace(tzinfo=UTC), job=_HEAD[2]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """One who waits."""

    job: UUID
    place: int  # from 1, in its pool; 0 of one that is held, and has none
    before: int  # jobs of its pool that could start now and come first


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    stands: list[Stand]
    next: Mark | None  # where the next page begins; None: this is the last one
    cut: bool  # not all rows that were wanted were found in so many jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    line: int  # COUNTED at the most
    held: int


def lengths() -> Lengths:
    line, held = next(_rows(_COUNT, {"counted": COUNTED}))
    return Lengths(line=line, held=held)


def page(sieve: Sieve, *, after: Mark | None, shown: int) -> Page:
    """So many rows at the most, behind the mark. Two queries. Raises DatabaseError."""
    if after is not None and after.among == "held":
        return _held(sieve, after, shown)
    line = _line(sieve, after, shown)
    if line.next is not None:
        return line
    left = shown - len(line.stands)
    held = _held(sieve, None, max(1, left))
    if left:
        return Page(stands=line.stands + held.stands, next=held.next, cut=held.cut)
    # The page is full, and the line has ended with it.
    more = bool(held.stands) or held.next is not None
    return Page(stands=line.stands, next=_BEHIND_THE_LINE if more else None, cut=False)


def _line(sieve: Sieve, after: Mark | None, shown: int) -> Page:
    wanted = sieve.condition("walk")
    walked = AT_MOST if wanted != "true" else shown + 1
    in_pool = "true" if sieve.pool is None else "pool = %(pool)s"
    values = sieve.values | _from(after) | {"pools": POOLS, "counted": COUNTED}
    statement = _WALK.format(in_pool=in_pool, fits=wanted)  # our own words
    rows = list(_rows(statement, values | {"walked": walked, "rows": shown + 1 + POOLS}))
    stands: list[Stand] = []
    mark: Mark | None = None
    for key, rank, run_at, place, before, fits, last in rows:
        if fits and len(stands) == shown:
            return Page(stands=stands, next=mark, cut=False)
        mark = Mark(among="line", rank=rank, run_at=run_at, job=key)
        if fits:
            stands.append(Stand(job=key, place=place, before=before))
        if last:  # of that pool nobody knows what follows
            return Page(stands=stands, next=mark, cut=len(stands) < shown)
    return Page(stands=stands, next=None, cut=False)


def _held(sieve: Sieve, after: Mark | None, shown: int) -> Page:
    wanted = sieve.condition("walk")
    walked = AT_MOST if wanted != "true" else shown + 1
    values = sieve.values | _from(after) | {"walked": walked, "rows": shown + 2}
    values["after_workspace"] = 0 if after is None else after.workspace
    values["after_owner"] = 0 if after is None else after.owner
    stands: list[Stand] = []
    mark: Mark | None = None
    statement = _HELD.format(fits=wanted)  # our own words, of Sieve.condition
    for key, workspace, owner, rank, run_at, fits, last in _rows(statement, values):
        if fits and len(stands) == shown:
            return Page(stands=stands, next=mark or after, cut=False)
        mark = Mark(
            among="held", rank=rank, run_at=run_at, job=key, workspace=workspace, owner=owner
        )
        if fits:
            stands.append(Stand(job=key, place=0, before=0))
        if last:
            return Page(stands=stands, next=mark, cut=len(stands) < shown)
    return Page(stands=stands, next=None, cut=False)


def _from(after: Mark | None) -> dict[str, Any]:
    rank, run_at, job = _HEAD if after is None else (after.rank, after.run_at, after.job)
    return {"rank": rank, "run_at": run_at, "job": job}


def _rows(statement: str, values: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        yield from cursor.fetchall()
