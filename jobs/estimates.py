"""When a job will be done, and what it costs: the forecast, read from one row of each pool.

jobs/load.py writes that row every few seconds. So a request costs the same whether nobody waits or
a million do.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from jobs import forecast, queue
from jobs.forecast import Load, Pace, work_of
from jobs.lifecycle import FINAL, State
from jobs.models import Job
from jobs.spec import EXACT, RenderSpec

STALE = timedelta(seconds=60)  # nothing is said from an older row
# Written by hand: a part of every submit and every list, and by the ORM a tenth of a submit's CPU.
_COLUMNS = (
    *("pool", "queued", "queued_seconds", "running", "running_seconds", "workers"),
    *("took_seconds", "refreshed_at", "now"),
)
_FRESH = f"""
SELECT {", ".join(_COLUMNS[:-1])}, statement_timestamp(), paces::text FROM jobs_poolload
WHERE (%(pools)s::text[] IS NULL OR pool = ANY(%(pools)s))
    AND refreshed_at > statement_timestamp() - make_interval(secs => %(stale)s)
"""  # noqa: S608 - our own words
FAR = 1_000  # places are counted up to this one (jobs/queue.py)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Of one job. None: nobody knows, for there is no past, no worker, or no fresh look."""

    wait_seconds: float | None  # until it begins
    render_seconds: float | None  # of the whole render
    best_seconds: float | None = None  # of the whole render; one in ten is quicker
    worst_seconds: float | None = None  # of the whole render; one in ten is slower
    rendered_seconds: float = 0.0  # since it began

    @property
    def eta_seconds(self) -> float | None:
        """From now until the video is there."""
        if self.wait_seconds is None or self.render_seconds is None:
            return None
        return self.wait_seconds + max(0.0, self.render_seconds - self.rendered_seconds)

    def as_dict(self) -> dict[str, float | None]:
        """In whole tenths of a second: more would be a claim that nobody can keep."""
        values = asdict(self) | {"eta_seconds": self.eta_seconds}
        del values["rendered_seconds"]
        return {name: None if value is None else round(value, 1) for name, value in values.items()}


UNKNOWN = Estimate(wait_seconds=None, render_seconds=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A pool as the sweep saw it lately."""

    pool: str
    queued: int
    queued_seconds: float | None  # None: no render of the past to judge by
    running: int
    running_seconds: float | None
    workers: int
    paces: Mapping[str, Pace]  # by kind_of
    took_seconds: float
    refreshed_at: datetime
    now: datetime  # Postgres' own

    @property
    def age_seconds(self) -> float:
        return (self.now - self.refreshed_at).total_seconds()

    def wait(self, *, ahead: int | None = None, each: float | None = None) -> float | None:
        """Seconds until a job begins that has so many before it, or comes behind all of them.

        each: seconds that a job takes where none waited when this was looked at, so that those
        before it all came since: in the first seconds of a burst.
        """
        before = self.queued if ahead is None else ahead
        if self.workers and before < self.workers - self.running:
            return 0.0
        if self.queued_seconds is None or self.running_seconds is None:
            return None
        came_since = before if not self.queued and each is not None else 0
        load = Load(
            queued=self.queued + came_since,
            queued_seconds=self.queued_seconds + came_since * (each or 0.0),
            running=self.running,
            running_seconds=self.running_seconds,
            workers=self.workers,
        )
        return forecast.wait_seconds(load, ahead=ahead)

    def estimate(
        self, spec: RenderSpec, *, wait: float | None, rendered_seconds: float = 0.0
    ) -> Estimate:
        pace = pace_of(spec, self.paces)
        if pace is None:
            return Estimate(wait_seconds=wait, render_seconds=None)
        span = pace.span(work_of(spec))
        return Estimate(
            wait_seconds=wait,
            render_seconds=span.expected,
            best_seconds=span.best,
            worst_seconds=span.worst,
            rendered_seconds=rendered_seconds,
        )


def kind_of(spec: RenderSpec) -> str:
    """What has a pace of its own: a model, and each of its approximate qualities."""
    return spec.model if spec.quality == EXACT else f"{spec.model}/{spec.quality}"


def pace_of(spec: RenderSpec, paces: Mapping[str, Pace]) -> Pace | None:
    """That of the exact renders where there is none of the quality: the quality is no slower."""
    return paces.get(kind_of(spec)) or paces.get(spec.model)


def look_at(pool: str) -> Look | None:
    """The newest look, if it is fresh. One query."""
    return _looks({pool}).get(pool)


def looks() -> dict[str, Look]:
    """The newest one of every pool, as far as they are fresh. One query."""
    return _looks(None)


def _looks(pools: Collection[str] | None) -> dict[str, Look]:
    """None: of all. One query, or none; pools that nobody looked at lately are left out."""
    if pools is not None and not pools:
        return {}
    asked = {"pools": None if pools is None else list(pools), "stale": STALE.total_seconds()}
    with connection.cursor() as cursor:
        cursor.execute(_FRESH, asked)
        return {look.pool: look for look in map(_look, cursor.fetchall())}


def _look(row: tuple[Any, ...]) -> Look:
    known: dict[str, dict[str, Any]] = json.loads(row[-1])
    paces = {kind: Pace.from_dict(values) for kind, values in known.items()}
    return Look(**dict(zip(_COLUMNS, row[:-1], strict=True)), paces=paces)


def for_jobs(
    jobs: Sequence[Job],
    *,
    places: Mapping[UUID, int] | None = None,
    counted: int = FAR,
    known: Mapping[str, Look] | None = None,
) -> dict[UUID, Estimate]:
    """Of each of these, which must come with its request. Two queries, whatever their number.

    places: those of jobs.queue.places, where the caller has them already; counted: up to where.
    known: what looks() said a moment ago.
    A job that has ended, or that this version cannot read, has nothing to be estimated: UNKNOWN.
    """
    unended = [job for job in jobs if State(job.state) not in FINAL]
    looks = _looks({job.pool for job in unended}) if known is None else known
    if places is None:
        places = queue.places(job.pk for job in unended if job.state == State.QUEUED)
    return {job.pk: _of_job(job, looks.get(job.pool), places, counted) for job in jobs}


def _of_job(job: Job, look: Look | None, places: Mapping[UUID, int], counted: int) -> Estimate:
    if look is None or State(job.state) in FINAL:
        return UNKNOWN
    try:
        spec = job.request.render_spec()
    except TypeError:  # another version wrote it
        return UNKNOWN
    if job.state == State.RUNNING and job.started_at is not None:
        rendered = max(0.0, (look.now - job.started_at).total_seconds())
        return look.estimate(spec, wait=0.0, rendered_seconds=rendered)
    if job.over_quota:  # it waits for others of its workspace, not for the pool
        return look.estimate(spec, wait=None)
    place = places.get(job.pk, 0)  # none: it was claimed since it was read
    if place >= counted:
        place = max(place, look.queued)  # where in the rest it stands, nobody counts: not later
    each = look.estimate(spec, wait=None).render_seconds
    return look.estimate(spec, wait=look.wait(ahead=place, each=each))


def for_spec(spec: RenderSpec, pool: str | None = None) -> Estimate:
    """Of a job that were submitted now. One query."""
    look = look_at(settings.T2V_POOL if pool is None else pool)
    return UNKNOWN if look is None else look.estimate(spec, wait=look.wait())


def cost(of: Estimate | Job) -> dict[str, Any]:
    """GPU seconds and what they are worth: those expected, or of a job's last attempt.

    {"gpu_seconds": float or None, "amount": "0.012375" or None, "currency": "USD"}.
    """
    if isinstance(of, Estimate):
        seconds = of.render_seconds
    elif of.started_at is not None and of.finished_at is not None:
        seconds = (of.finished_at - of.started_at).total_seconds()
    else:
        seconds = None if of.finished_at is None else 0.0
    return cost_of(seconds)


def cost_of(seconds: float | None) -> dict[str, Any]:
    """So many GPU seconds, in the same shape."""
    amount = (
        None if seconds is None else forecast.money(seconds, price=settings.T2V_GPU_SECOND_PRICE)
    )
    return {
        "gpu_seconds": None if seconds is None else round(seconds, 3),
        "amount": amount,
        "currency": settings.T2V_CURRENCY,
    }
