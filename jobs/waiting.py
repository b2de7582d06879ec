"""Why a queued job waits, in one sentence for an operator. Pure: no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SEEN = timedelta(
    seconds=60
)  # a worker tells every 15 s that it lives; four times missed, it is gone
LOADING = timedelta(minutes=15)  # the first model may take so long, without a sign of life
LOOKS_SECONDS = 5  # an idle worker looks into the queue this often by itself
NAMED = 3  # workers in one sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A worker, as an operator asks about it."""

    name: str
    pool: str
    seen_at: datetime
    started_at: datetime
    ready: bool  # its first model is loaded
    draining_since: datetime | None
    trouble: str  # why it takes no job now
    holds: int  # jobs under an unbroken lease

    def lives(self, now: datetime) -> bool:
        """Whether it gave a sign lately. One that renders renews leases instead of telling."""
        loads = not self.ready and now - self.started_at < LOADING
        return self.holds > 0 or loads or now - self.seen_at < SEEN

    def hindrance(self, now: datetime) -> str:
        """Why it takes no job; empty when it does, now or after the one at hand."""
        if not self.lives(now):
            return f"{self.name} has given no sign since {clock(self.seen_at, now)}"
        if self.draining_since is not None:
            return f"{self.name} drains since {clock(self.draining_since, now)}"
        if self.trouble:
            return f"{self.name}: {self.trouble.rstrip('.')}"
        if not self.ready:
            return f"{self.name} loads its first model since {clock(self.started_at, now)}"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """A queued job."""

    pool: str
    run_at: datetime
    deadline: datetime | None  # of its first start; None for a job that was begun
    before: int  # jobs of its pool that could start now and come first
    setback: str  # how its newest attempt ended; empty before the first one
    held: str = ""  # why it has no place to run in, by held_words; empty when it has one


def clock(at: datetime, now: datetime) -> str:
    """UTC, with the day where it is another one."""
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%S}"


def held_words(most: int, taken: int, *, whose: str) -> str:
    """whose: as "the workspace's". taken: of most places, which 0 does not limit any more."""
    if not most or taken < most:
        return "A place to run in has become free; it gets one in a moment."
    if most == 1:
        return f"{whose.capitalize()} only place to run in is in use; it starts when that job ends."
    return f"{taken} of {whose} {most} places to run in are in use; it starts when one ends."


def why(job: Waiter, seats: Sequence[Seat], now: datetime) -> str:
    """seats: every known worker, of all pools."""
    if job.deadline is not None and job.deadline <= now:
        return "Its deadline has passed; the sweep ends it."
    if job.run_at > now:
        words = f"Back-off until {clock(job.run_at, now)}"
        return f"{words} after: {job.setback}" if job.setback else f"{words}."
    if job.held:
        return job.held
    return _for_the_pool(job, seats, now)


def _for_the_pool(job: Waiter, seats: Sequence[Seat], now: datetime) -> str:
    mine = [seat for seat in seats if seat.pool == job.pool]
    taking = [seat for seat in mine if not seat.hindrance(now)]
    if not taking:
        return _nobody(job.pool, mine, now)
    if job.before:
        return f"{job.before} before it."
    idle = [seat.name for seat in taking if not seat.holds]
    if idle:
        return f"Next: {idle[0]} takes it within {LOOKS_SECONDS} s."
    verb = "renders" if len(taking) == 1 else "render"
    return f"Next, after what {_names([seat.name for seat in taking])} {verb} now."


def _nobody(pool: str, mine: Sequence[Seat], now: datetime) -> str:
    """Rows of workers that are gone stay: of those only the last one is named."""
    if not mine:
        return f"No worker serves the pool {pool}."
    living = [seat for seat in mine if seat.lives(now)]
    if not living:
        last = max(mine, key=lambda seat: seat.seen_at)
        return f"No worker of the pool {pool} lives: {last.hindrance(now)}."
    return f"{_names([seat.hindrance(now) for seat in living], between='; ')}."


def _names(names: Sequence[str], between: str = ", ") -> str:
    more = len(names) - NAMED
    return between.join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
