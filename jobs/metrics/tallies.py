"""Counts the history of jobs, in batches, each exactly once; the sweep calls.

Ids of rows come before their commits: behind a row that is seen, one with a smaller id may still be
in a transaction that somebody holds open. So counting goes only as far as is settled: a round notes
the newest id it sees and the next transaction's number, and counts up to that id when no
transaction before that number is under way any more. A row's transaction has its number before the
row has its id, for it has written or locked the job by then. Nothing here goes by a clock; a
transaction that hangs holds the counters up (t2v_tally_lag_seconds) and loses nothing.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from uuid import UUID

import psycopg
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now

from jobs.metrics import fold
from jobs.metrics.catalogue import metric_of
from jobs.metrics.fold import Counts, Happened, Tried
from jobs.metrics.labels import Known
from jobs.models import DeliveryTry, JobEvent, Tally, TallyMark

logger = logging.getLogger(__name__)

BATCH = 2_000  # rows of one transaction: 60 ms
LEAST = 100  # and where Postgres is so slow that they take longer than a statement may
ROUND_SECONDS = 1.0  # of catching up after an outage, of the 5 that a sweep's round has
TIMEOUT_MS = 3_000  # of one statement
EVENTS, TRIES = JobEvent._meta.db_table, DeliveryTry._meta.db_table

_EVENTS = """
SELECT event.id, event.kind, event.state, event.attempt, event.at,
    coalesce(event.data->>'code', ''), coalesce(before.state, ''), coalesce(before.kind, ''),
    job.pool, coalesce(request.spec->>'model', ''), first.at, job.run_at, attempt.started_at
FROM (SELECT * FROM jobs_jobevent WHERE id > %(after)s AND id <= %(to)s
      ORDER BY id LIMIT %(batch)s) AS event
LEFT JOIN jobs_job AS job ON job.id = event.job_id
LEFT JOIN jobs_jobevent AS first ON first.job_id = event.job_id AND first.seq = 1
LEFT JOIN jobs_jobrequest AS request ON request.job_id = event.job_id
LEFT JOIN jobs_jobevent AS before
    ON before.job_id = event.job_id AND before.seq = event.seq - 1
LEFT JOIN jobs_attempt AS attempt
    ON attempt.job_id = event.job_id AND attempt.number = event.attempt
ORDER BY event.id
"""
_TRIES = """
SELECT try.id, try.error = '', try.number >= delivery.most_tries
FROM (SELECT * FROM jobs_deliverytry WHERE id > %(after)s AND id <= %(to)s
      ORDER BY id LIMIT %(batch)s) AS try
LEFT JOIN jobs_delivery AS delivery ON delivery.id = try.delivery_id
ORDER BY try.id
"""
# Those of other databases of the cluster are in nobody's way, where it is known that they are.
_SETTLED = """
SELECT coalesce(min(xid::text::bigint), xmax), xmax
FROM pg_current_snapshot() AS now
CROSS JOIN LATERAL (SELECT pg_snapshot_xmax(now)::text::bigint AS xmax) AS next
LEFT JOIN LATERAL (
    SELECT xid FROM pg_snapshot_xip(now) AS xid WHERE NOT EXISTS (
        SELECT FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
        WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND transactionid = xid::xid
            AND activity.datname <> current_database())) AS here ON true
GROUP BY xmax
"""
POOL, SUBMITTED = 8, 10  # columns; null of what was taken out of the database by hand
_ADD = """
INSERT INTO jobs_tally (name, labels, value) VALUES (%s, %s, %s)
ON CONFLICT (name, labels) DO UPDATE SET value = jobs_tally.value + excluded.value
"""

_sizes: dict[str, int] = {}  # of the next batch, by table; usually BATCH


def count() -> int:
    """One round; how many rows were counted. Raises DatabaseError.

    Any number may call at a time: who finds another at work leaves it to them.
    """
    until = time.monotonic() + ROUND_SECONDS
    counted = 0
    for table in (EVENTS, TRIES, EVENTS, TRIES):  # the first time notes how far the second goes
        while (batch := _batch_of(table)) == BATCH and time.monotonic() < until:
            counted += batch
        counted += batch
    return counted


def uncounted(job: UUID) -> bool:
    """Whether the end of a job that was deleted is still to be counted."""
    mark = TallyMark.objects.filter(table=EVENTS).first()
    if mark is None or mark.next_xid == 0:
        return False  # no sweep has ever counted here: nobody waits for one
    return JobEvent.objects.filter(job=job, id__gt=mark.counted_to).exists()


def _batch_of(table: str) -> int:
    """How many rows were counted; BATCH: there may be more. Raises DatabaseError."""
    size = _sizes.get(table, BATCH)
    try:
        with transaction.atomic():
            counted = _count(table, size)
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise
        _sizes[table] = max(LEAST, size // 2)
        logger.warning("%d of %s took more than %d ms to count", size, table, TIMEOUT_MS)
        TallyMark.objects.filter(table=table).update(looked_at=Now())  # the sweep is at work
        return 0
    _sizes[table] = min(BATCH, size * 2)
    return BATCH if counted == size else counted


def _count(table: str, size: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
    mark = _mark(table)
    if mark is None:
        return 0
    oldest, following = _settled()
    rows: list[int] = []
    if mark.next_xid <= oldest and mark.counted_to < mark.next_to:
        rows, counts = _READ[table](mark.counted_to, mark.next_to, size)
        _add(counts)
        # Ids that no row has any more, or never had, are behind us as well.
        mark.counted_to = rows[-1] if len(rows) == size else mark.next_to
    if mark.counted_to >= mark.next_to or mark.next_xid > following:  # another cluster's number
        mark.next_to, mark.next_xid = max(mark.counted_to, _newest(table)), _settled()[1]
    mark.looked_at = Now()
    mark.save()
    return len(rows)


def _mark(table: str) -> TallyMark | None:
    """Locked; None while another one counts."""
    marks = TallyMark.objects.select_for_update(skip_locked=True)
    mark = marks.filter(table=table).first()
    if mark is None and not TallyMark.objects.filter(table=table).exists():
        TallyMark.objects.bulk_create([TallyMark(table=table)], ignore_conflicts=True)
        mark = marks.filter(table=table).first()
    return mark


def _settled() -> tuple[int, int]:
    """The oldest transaction that is under way, and the next one's number."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTLED)
        oldest, following = cursor.fetchone()
    return int(oldest), int(following)


def _newest(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(max(id), 0) FROM {table}")  # noqa: S608 - ours
        return int(cursor.fetchone()[0])


def _read_events(after: int, to: int, size: int) -> tuple[list[int], Counts]:
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS, {"after": after, "to": to, "batch": size})
        rows = cursor.fetchall()
    names = (
        *("kind", "state", "attempt", "at", "code", "was", "before", "pool", "model"),
        *("submitted_at", "due_at", "claimed_at"),
    )
    whole = [row for row in rows if row[POOL] is not None and row[SUBMITTED] is not None]
    events = (Happened(**dict(zip(names, row[1:], strict=True))) for row in whole)
    return [row[0] for row in rows], fold.of_events(events)


def _read_tries(after: int, to: int, size: int) -> tuple[list[int], Counts]:
    with connection.cursor() as cursor:
        cursor.execute(_TRIES, {"after": after, "to": to, "batch": size})
        rows = cursor.fetchall()
    tries = (Tried(accepted=accepted, last=bool(last)) for _, accepted, last in rows)
    return [row[0] for row in rows], fold.of_tries(tries)


_READ: dict[str, Callable[[int, int, int], tuple[list[int], Counts]]] = {
    EVENTS: _read_events,
    TRIES: _read_tries,
}


def _add(counts: Counts) -> None:
    """Under the lock of a mark; two marks may add to one row, and wait for each other then."""
    pools, models = Known(_pools()), Known(_models())
    bounded: Counts = Counter()
    for (name, labels), value in counts.items():
        bounded[name, _told(name, labels, pools, models)] += value
    rows = [(name, list(labels), value) for (name, labels), value in sorted(bounded.items())]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(_ADD, rows)


def _told(name: str, labels: tuple[str, ...], pools: Known, models: Known) -> tuple[str, ...]:
    names = metric_of(name).labels
    kept = {"pool": pools.told, "model": models.told}
    told = [kept.get(label, str)(value) for label, value in zip(names, labels, strict=False)]
    return (*told, *labels[len(names) :])


def _pools() -> list[str]:
    rows = Tally.objects.filter(name="t2v_jobs_submitted_total")
    rows |= Tally.objects.filter(name="t2v_attempts_started_total")
    return [labels[0] for labels in rows.values_list("labels", flat=True)]


def _models() -> list[str]:
    rows = Tally.objects.filter(name="t2v_render_seconds_sum")
    return [labels[1] for labels in rows.values_list("labels", flat=True)]
