"""What waits, renders and works in each pool, looked at by the sweep and kept in one row a pool."""

import json
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now

from jobs import forecast, queue
from jobs.crew import holder_of, seat_of
from jobs.estimates import kind_of, pace_of
from jobs.forecast import Pace, Sample, work_of
from jobs.models import JobRequest, PoolLoad, Worker
from jobs.spec import RenderSpec

logger = logging.getLogger(__name__)

EVERY_SECONDS = 4.0  # between two looks at a pool, at least: the sweep comes every 5
AT_LATEST_SECONDS = 40.0  # jobs/estimates.py believes a look for 60
SHARE = 50  # times as long as a look took, nobody looks again: 2 % of a core
COUNTED = 1_000_000  # queued jobs, 0.25 s; a longer queue is taken to be so long
SAMPLED = 300  # queued jobs whose work is looked at, evenly over the queue; twice as many at most
RENDERS = 1_000  # past renders, which all pools and models share: a look reads so many, 8 ms
SEATS = 1_000  # workers of a pool, and jobs that they render
TIMEOUT_MS = 3_000  # of one statement
LOCK = 0x743276  # "t2v": of the advisory lock; the pool's hash is its second half

_DUE = """
SELECT coalesce(
    (SELECT refreshed_at + make_interval(
        secs => least(greatest(took_seconds * %(share)s, %(every)s), %(at_latest)s))
        <= statement_timestamp() FROM jobs_poolload WHERE pool = %(pool)s), true)
    AND pg_try_advisory_xact_lock(%(lock)s, hashtext(%(pool)s))
"""
# One walk over the index jobs_queue, which nothing sorts. The bound on n: a queue that has grown a
# hundredfold since the last look must not come as a hundred times the sample.
_QUEUED = """
SELECT count(*), array_agg(id) FILTER (WHERE n %% %(each)s = 0 AND n <= %(last)s) FROM (
    SELECT id, row_number() OVER (ORDER BY priority * -1, run_at, id) AS n
    FROM jobs_job WHERE state = 'queued' AND NOT over_quota AND pool = %(pool)s
    ORDER BY priority * -1, run_at, id LIMIT %(counted)s) AS numbered
"""
# The newest of all pools first: of a pool that seldom renders, the index would be read to its end.
_RENDERS = """
SELECT request.spec, extract(epoch FROM attempt.ended_at - attempt.started_at)::float8
FROM (SELECT job_id, started_at, ended_at FROM jobs_attempt
      WHERE outcome = 'succeeded' AND number = 1
      ORDER BY ended_at DESC LIMIT %(renders)s) AS attempt
JOIN jobs_jobrequest AS request ON request.job_id = attempt.job_id AND request.retry_of_id IS NULL
JOIN jobs_job AS job ON job.id = attempt.job_id AND job.pool = %(pool)s
ORDER BY attempt.ended_at DESC
"""
_RUNNING = """
SELECT job.worker, extract(epoch FROM statement_timestamp() - job.started_at)::float8,
    job.lease_until > statement_timestamp(), request.spec
FROM jobs_job AS job JOIN jobs_jobrequest AS request ON request.job_id = job.id
WHERE job.state = 'running' AND job.pool = %(pool)s ORDER BY job.lease_until LIMIT %(seats)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    worker: str  # name/incarnation
    rendered_seconds: float
    leased: bool  # under an unbroken lease
    spec: RenderSpec | None


def refresh() -> list[str]:
    """Looks at every pool whose row is due; which it was. Raises DatabaseError.

    Any number may call: a pool that somebody looks at now, or did a moment ago, is left out.
    """
    return [pool for pool in _pools() if _refresh(pool)]


def rest_seconds(took_seconds: float) -> float:
    """After a look that took so long, until the next one is due."""
    return min(max(took_seconds * SHARE, EVERY_SECONDS), AT_LATEST_SECONDS)


def _pools() -> list[str]:
    known = set(PoolLoad.objects.values_list("pool", flat=True))
    known |= set(Worker.objects.values_list("pool", flat=True).distinct())
    return sorted(known | set(queue.pools_waiting()) | {settings.T2V_POOL})


def _refresh(pool: str) -> bool:
    try:
        with transaction.atomic():
            return _look(pool)
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise
        logger.warning("the load of the pool %s took more than %d ms to see", pool, TIMEOUT_MS)
        return False


def _look(pool: str) -> bool:
    times = {"every": EVERY_SECONDS, "at_latest": AT_LATEST_SECONDS, "share": SHARE}
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
    for _ in range(2):  # the first answer may be older than the lock: somebody may just have looked
        if not _rows(_DUE, **times, lock=LOCK, pool=pool)[0][0]:
            return False
    queued, sample = _queued(pool)
    paces = _paces(pool)
    running = _running(pool)
    PoolLoad.objects.update_or_create(
        pool=pool,
        defaults={
            "queued": queued,
            "queued_seconds": _queued_seconds(queued, sample or [], paces),
            "running": len(running),
            "running_seconds": _running_seconds(running, paces),
            "workers": _workers(pool, running),
            "paces": {kind: pace.as_dict() for kind, pace in paces.items()},
            "took_seconds": time.monotonic() - began,
            "refreshed_at": Now(),
        },
    )
    return True


def _queued(pool: str) -> tuple[int, list[UUID]]:
    """How many wait, and some of them, evenly from the first to the last."""
    before = PoolLoad.objects.filter(pool=pool).values_list("queued", flat=True).first() or 0
    count, sample = _walk(pool, each=max(1, before // SAMPLED))
    if len(sample) < min(count, SAMPLED) // 2:  # it has shrunk: this walk is a short one
        count, sample = _walk(pool, each=max(1, count // SAMPLED))
    return count, sample


def _walk(pool: str, *, each: int) -> tuple[int, list[UUID]]:
    bounds = {"each": each, "last": each * 2 * SAMPLED, "counted": COUNTED}
    count, sample = _rows(_QUEUED, pool=pool, **bounds)[0]
    return count, sample or []


def _queued_seconds(count: int, sample: list[UUID], paces: Mapping[str, Pace]) -> float | None:
    """Of rendering, on one worker; None where there is no past to judge by."""
    specs = JobRequest.objects.filter(pk__in=sample).values_list("spec", flat=True)
    return _total(count, (_expected(_spec(values), paces) for values in specs))


def _running_seconds(running: list[Running], paces: Mapping[str, Pace]) -> float | None:
    """Until all of it is done, on one worker; None where there is no past to judge by."""
    return _total(len(running), (_left(each, paces) for each in running))


def _total(count: int, known: Iterable[float | None]) -> float | None:
    """count times the mean of those that are known."""
    seconds = [each for each in known if each is not None]
    if seconds:
        return count * mean(seconds)
    return None if count else 0.0


def _left(render: Running, paces: Mapping[str, Pace]) -> float | None:
    expected = _expected(render.spec, paces)
    return None if expected is None else max(0.0, expected - render.rendered_seconds)


def _expected(spec: RenderSpec | None, paces: Mapping[str, Pace]) -> float | None:
    pace = None if spec is None else pace_of(spec, paces)
    return None if spec is None or pace is None else pace.span(work_of(spec)).expected


def _spec(values: dict[str, Any]) -> RenderSpec | None:
    """None for one that another version wrote and this one cannot read."""
    try:
        return RenderSpec.from_dict(values)
    except TypeError:
        return None


def _paces(pool: str) -> dict[str, Pace]:
    """By kind, of kinds that were rendered."""
    samples: dict[str, list[Sample]] = defaultdict(list)
    for text, seconds in _rows(_RENDERS, pool=pool, renders=RENDERS):
        spec = _spec(json.loads(text))
        if spec is not None:
            samples[kind_of(spec)].append(Sample(work=work_of(spec), seconds=seconds))
    fitted = {kind: forecast.fit(found) for kind, found in samples.items()}
    return {kind: pace for kind, pace in fitted.items() if pace is not None}


def _running(pool: str) -> list[Running]:
    return [
        Running(
            worker=worker,
            rendered_seconds=seconds,
            leased=leased,
            spec=_spec(json.loads(text)),
        )
        for worker, seconds, leased, text in _rows(_RUNNING, pool=pool, seats=SEATS)
    ]


def _workers(pool: str, running: list[Running]) -> int:
    """Those that live and take jobs, or will as soon as they have loaded their model."""
    holds = Counter(each.worker for each in running if each.leased)
    known = Worker.objects.filter(pool=pool).order_by("-seen_at").annotate(now=Now())[:SEATS]
    return sum(_takes(worker, holds[holder_of(worker)]) for worker in known)


def _takes(worker: Any, holds: int) -> bool:
    seat = seat_of(worker, holds=holds)
    return seat.lives(worker.now) and seat.draining_since is None and not seat.trouble


def _rows(statement: str, **values: str | float) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
