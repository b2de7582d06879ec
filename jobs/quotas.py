"""What a workspace and each person in it may use: four quotas, and what refuses. Pure: no I/O.

docs/reference/limits.md. Who counts is jobs/limits.py; who gives out the places to run in is
jobs/places.py.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from jobs.errors import GpuSecondsUsedUp, Refusal, StorageFull, TooManyJobs

GB = 10**9  # bytes
UNKNOWN_SECONDS = 60.0  # reserved for a render of which no past tells how long it takes


class Holder(StrEnum):
    """Whose a quota is, in the words of a refusal."""

    WORKSPACE = "workspace"
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaSet:
    """The most that one holder may have; 0 is no limit."""

    running: int = 0  # jobs that render, or could begin to now
    queued: int = 0  # unfinished jobs, those that render among them
    gpu_seconds: int = 0  # of a calendar month, UTC
    stored_bytes: int = 0

    def overridden(self, columns: Mapping[str, int | None]) -> "QuotaSet":
        """columns: max_running and so on, as in the rows; None leaves the site's default."""
        if not any(value is not None for value in columns.values()):
            return self
        mine = {each.name: columns.get(f"max_{each.name}") for each in fields(self)}
        return QuotaSet(**{k: getattr(self, k) if v is None else v for k, v in mine.items()})


COLUMNS = tuple(f"max_{each.name}" for each in fields(QuotaSet))


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What one holder has now."""

    queued: int = 0  # unfinished jobs; counted to one more than its quota
    spent_seconds: float = 0.0  # of attempts that ended this month
    reserved_seconds: float = 0.0  # for unfinished jobs
    stored_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a submit would add."""

    count: int
    gpu_seconds: float = 0.0  # expected


def month_of(now: datetime) -> datetime:
    """When the month began."""
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def renews_at(now: datetime) -> datetime:
    """When the GPU seconds are as new: the first of next month."""
    month = month_of(now)
    if month.month == 12:
        return month.replace(year=month.year + 1, month=1)
    return month.replace(month=month.month + 1)


def refusal(
    asked: Asked, quotas: QuotaSet, use: Use, *, holder: Holder, now: datetime, deleted_hours: int
) -> Refusal | None:
    """Why so much is not accepted; None when it is. deleted_hours: as long deleted files stay."""
    if quotas.queued and use.queued + asked.count > quotas.queued:
        return TooManyJobs(quotas.queued, unfinished=use.queued, count=asked.count, holder=holder)
    spoken_for = use.spent_seconds + use.reserved_seconds
    if quotas.gpu_seconds and spoken_for + asked.gpu_seconds > quotas.gpu_seconds:
        return GpuSecondsUsedUp(
            holder=holder,
            most=quotas.gpu_seconds,
            spent=use.spent_seconds,
            reserved=use.reserved_seconds,
            needed=asked.gpu_seconds,
            now=now,
            renews_at=renews_at(now),
        )
    if quotas.stored_bytes and use.stored_bytes >= quotas.stored_bytes:
        return StorageFull(
            holder=holder,
            most=quotas.stored_bytes,
            stored=use.stored_bytes,
            deleted_hours=deleted_hours,
        )
    return None


# --- Places to run in ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """An unfinished job of a workspace, as it stands for a place."""

    job: UUID
    owner: int
    running: bool
    due: bool  # its time has come: it could begin now
    turn: tuple[Any, ...]  # ascending in the order of the queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """How many jobs of a workspace, and of each person in it, may run; 0 is no limit."""

    most: int
    each: int  # of a person who is not among the others
    others: Mapping[int, int]  # by user

    @property
    def limited(self) -> bool:
        return bool(self.most or self.each or any(self.others.values()))

    def of(self, owner: int) -> int:
        return self.others.get(owner, self.each)

    @property
    def longest(self) -> int:
        """The most that one person could be given; 0: there is no bound."""
        bounds = {self.most} - {0}
        if self.each and all(self.others.values()):
            bounds.add(max(self.each, *self.others.values(), 0))
        return min(bounds, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    let_in: Sequence[UUID]  # in the order in which they may begin
    held_back: Sequence[UUID]


def arrange(
    places: Places, *, placed: Iterable[Contender], held: Iterable[Contender]
) -> Arrangement:
    """Which of a workspace's jobs may be claimed. placed have a place now, held have none.

    Nobody who runs loses it. Who waits for a time to come needs none until then. All others keep
    theirs, or get one, in the order of the queue while there are any.
    """
    taken: Counter[int] = Counter()

    def takes(each: Contender) -> bool:
        if not each.running:
            own = places.of(each.owner)
            full = places.most and taken.total() >= places.most
            if full or (own and taken[each.owner] >= own) or (places.limited and not each.due):
                return False
        taken[each.owner] += 1
        return True

    first = sorted(placed, key=lambda one: (not one.running, one.turn))
    back = [each.job for each in first if not takes(each)]
    inside = [each.job for each in sorted(held, key=lambda one: one.turn) if takes(each)]
    return Arrangement(let_in=inside, held_back=back)
