"""The few numbers that say how the queue stands, with words for what each means."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from jobs.durations import rough
from jobs.estimates import Estimate, Look
from jobs.overview import Overview
from jobs.sieve import Sieve

# The first one of each pool and priority, from one to the next: a look into the index for each.
_OLDEST = """
WITH RECURSIVE first AS (
    (SELECT id, pool, priority * -1 AS rank, run_at FROM jobs_job
     WHERE state = 'queued' AND NOT over_quota
     ORDER BY pool, priority * -1, run_at, id LIMIT 1)
    UNION ALL
    SELECT next.* FROM first, LATERAL (
        SELECT job.id, job.pool, job.priority * -1, job.run_at FROM jobs_job AS job
        WHERE state = 'queued' AND NOT over_quota
            AND (job.pool, job.priority * -1) > (first.pool, first.rank)
        ORDER BY job.pool, job.priority * -1, job.run_at, job.id LIMIT 1) AS next
)
SELECT id, run_at FROM first
WHERE run_at <= statement_timestamp() AND (%(pool)s::text IS NULL OR pool = %(pool)s)
ORDER BY run_at LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    name: str  # of the part of the page that it leads to
    label: str
    value: str
    words: str
    tone: str = ""  # warning where somebody should look


def tiles(seen: Overview, sieve: Sieve) -> list[Tile]:
    """Of the pool that the sieve lets through, else of all; of people and models they say nothing.

    One query.
    """
    looks = [look for name, look in seen.looks.items() if sieve.pool in {None, name}]
    takers = sum(look.workers for look in looks)
    return [
        _running(seen, takers),
        _waiting(seen),
        _oldest(sieve, seen.now),
        _empty(seen, looks),
        _seconds(seen, looks),
        _parked(seen),
    ]


def _running(seen: Overview, takers: int) -> Tile:
    words = f"on {_counted(len(seen.up), 'worker')} up" if seen.up else "no worker is up"
    if seen.up and not takers and not seen.running.count:
        words = "no worker takes jobs"
    tone = "" if seen.up else "warning"
    return Tile(name="running", label="Running", value=seen.running.total, words=words, tone=tone)


def _waiting(seen: Overview) -> Tile:
    words = f"{seen.held:,} of them held by quota" if seen.held else "none is held by quota"
    words = words if seen.waiting.count else "whatever comes begins at once"
    return Tile(name="waiting", label="Waiting", value=seen.waiting.total, words=words)


def _oldest(sieve: Sieve, now: datetime) -> Tile:
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST, {"pool": sieve.pool})
        row: tuple[UUID, datetime] | None = cursor.fetchone()
    value, words = "–", "nobody waits for a worker"
    if row is not None:
        value, words = rough((now - row[1]).total_seconds()), f"job {str(row[0])[:8]}"
    return Tile(name="waiting", label="Longest wait", value=value, words=words)


def _each(seen: Overview) -> list[Estimate]:
    """Of those who wait for a worker, if all of them are on the page; what came since the last look
    at the pool is among them.
    """
    rows = seen.waiting.rows
    if len(rows) < seen.waiting.count:
        return []
    return [row.estimate for row in rows if row.place]


def _empty(seen: Overview, looks: Collection[Look]) -> Tile:
    """When the last of those who wait now begins."""
    label, name = "Empty in", "waiting"
    if not seen.waiting.count:
        return Tile(name=name, label=label, value="–", words="nothing waits")
    each = _each(seen)
    waits = [one.wait_seconds for one in each] or [look.wait() for look in looks if look.queued]
    known = [wait for wait in waits if wait is not None]
    if len(known) < len(waits) or not waits:
        takers = any(look.workers for look in looks)
        words = "no render of the past to judge by" if takers else "no worker takes jobs"
        if takers and not waits:
            words = "what waits has just come: known in a moment"
        words = words if looks else "nobody has looked lately: does the sweep run?"
        return Tile(name=name, label=label, value="?", words=words)
    return Tile(name=name, label=label, value=rough(max(known)), words="if nothing new comes")


def _seconds(seen: Overview, looks: Collection[Look]) -> Tile:
    each = _each(seen)
    known = [one.render_seconds for one in each] or [look.queued_seconds for look in looks]
    total = sum(seconds for seconds in known if seconds is not None)
    unknown = not known or None in known
    if not seen.waiting.count or not (unknown or total):
        words = "none that has a place" if seen.waiting.count else "nothing waits"
        return Tile(name="waiting", label="GPU time waiting", value="–", words=words)
    value = "?" if unknown else rough(total)
    words = "nobody knows yet" if unknown else "to render what waits, on one worker"
    return Tile(name="waiting", label="GPU time waiting", value=value, words=words)


def _parked(seen: Overview) -> Tile:
    words = "need you: see why, and try again" if seen.parked.count else "none used up its attempts"
    tone = "warning" if seen.parked.count else ""
    return Tile(name="parked", label="Parked", value=seen.parked.total, words=words, tone=tone)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
