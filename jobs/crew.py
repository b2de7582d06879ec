"""Workers as operators see them: what each is, does and holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from jobs.lifecycle import State
from jobs.models import LEASE, Job, Worker
from jobs.waiting import Seat

COUNTED = 1_000  # workers, and jobs that they hold
GIB = 1 << 30
# What a worker does, and the colour of that.
TONES = {
    "renders": "accent",
    "idle": "success",
    "loads": "",
    "drains": "warning",
    "stuck": "warning",
    "gone": "error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A job under a lease."""

    job: UUID
    worker: str  # name/incarnation
    started_at: datetime
    lease_until: datetime
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of the device, as of the worker's last sign."""

    used: int  # bytes
    total: int  # bytes

    @property
    def words(self) -> str:
        return f"{self.used / GIB:.1f} of {self.total / GIB:.1f} GiB"

    @property
    def percent(self) -> int:
        return min(100, 100 * self.used // self.total) if self.total else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    worker: Worker
    lives: bool
    holds: list[Held]
    words: str  # what it does, or why it takes no job
    does: str  # the same as one word: one of TONES
    seen_at: datetime  # its last sign of life, or of its lease

    @property
    def tone(self) -> str:
        return TONES[self.does]

    @property
    def models(self) -> list[str]:
        """Those that are loaded, as far as it told."""
        told = self.worker.facts.get("models", [])
        return [str(name) for name in told] if self.lives else []

    @property
    def memory(self) -> Memory | None:
        """None of one that is gone, or told nothing, as those of an older release."""
        told = self.worker.facts
        used, total = told.get("memory_used"), told.get("memory_total")
        if not self.lives or not isinstance(used, int) or not isinstance(total, int):
            return None
        return Memory(used=used, total=total)


def known() -> list[Worker]:
    """Those seen last first."""
    return list(Worker.objects.order_by("-seen_at", "name")[:COUNTED])


def held() -> list[Held]:
    rows = Job.objects.filter(state=State.RUNNING).order_by("lease_until")
    return [
        Held(job=job, worker=worker, started_at=started, lease_until=until, step=step)
        for job, worker, started, until, step in rows.values_list(
            "pk", "worker", "started_at", "lease_until", "step"
        )[:COUNTED]
        if started is not None and until is not None  # as the constraints say
    ]


def by_holder(jobs: Iterable[Held], now: datetime) -> dict[str, list[Held]]:
    """Under an unbroken lease; the key is name/incarnation."""
    holders: dict[str, list[Held]] = {}
    for each in jobs:
        if each.lease_until > now:
            holders.setdefault(each.worker, []).append(each)
    return holders


def holder_of(worker: Worker) -> str:
    """As it stands in the rows of the jobs that it holds."""
    return f"{worker.name}/{worker.incarnation}"


def seat_of(worker: Worker, *, holds: int) -> Seat:
    """holds: jobs under an unbroken lease."""
    return Seat(
        name=worker.name,
        pool=worker.pool,
        seen_at=worker.seen_at,
        started_at=worker.started_at,
        ready=worker.ready_at is not None,
        draining_since=worker.drain_requested_at,
        trouble=worker.trouble,
        holds=holds,
    )


def working(worker: Worker, seat: Seat, holds: Mapping[str, list[Held]], now: datetime) -> Working:
    jobs = holds.get(holder_of(worker), [])
    hindrance = seat.hindrance(now).removeprefix(worker.name).lstrip(": ")
    return Working(
        worker=worker,
        lives=seat.lives(now),
        holds=jobs,
        words=hindrance or ("renders" if jobs else "idle"),
        does=_does(seat, now),
        seen_at=max([worker.seen_at, *(each.lease_until - LEASE for each in jobs)]),
    )


def _does(seat: Seat, now: datetime) -> str:
    if not seat.lives(now):
        return "gone"
    if seat.draining_since is not None:
        return "drains"
    if seat.trouble:
        return "stuck"
    if not seat.ready:
        return "loads"
    return "renders" if seat.holds else "idle"
