"""What was used, by one person and in one workspace: from Postgres, at a bounded cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection

from accounts.models import User, Workspace
from accounts.roles import Role
from jobs import allowances
from jobs.lifecycle import State
from jobs.quotas import COLUMNS, Holder, QuotaSet, month_of, renews_at

DAYS = 30
MONTHS = 6  # of the past that a page shows, this one among them
COUNTED = 100_000  # jobs of each question, the newest; who has more knows that it is much
PEOPLE = 500  # of a workspace, which is the most that one has

# What an unfinished job is expected to take, or what it has taken if that is more.
RESERVED = """CASE WHEN state = 'running' THEN
    greatest(reserved_seconds, extract(epoch FROM statement_timestamp() - started_at)::float8)
    ELSE reserved_seconds END"""
_STATES = """
SELECT state, count(*) FROM (
    SELECT state FROM jobs_job WHERE owner_id = %(owner)s
        AND (%(only)s::bigint IS NULL OR workspace_id = %(only)s)
        AND created_at > statement_timestamp() - make_interval(days => %(days)s)
    ORDER BY created_at DESC, id DESC LIMIT %(counted)s) AS newest
GROUP BY state
"""
# Attempts that have ended, and those that are live: of them, what lies in this month.
_OF_ONE = """
SELECT
    (SELECT coalesce(sum(seconds), 0) FROM jobs_gpuseconds
     WHERE user_id = %(owner)s AND month = %(month)s::date
        AND (%(only)s::bigint IS NULL OR workspace_id = %(only)s)),
    (SELECT coalesce(sum(extract(epoch FROM
            statement_timestamp() - greatest(started_at, %(month)s))), 0)::float8
     FROM (SELECT state, started_at FROM jobs_job
           WHERE owner_id * 1 = %(owner)s AND state IN ('queued', 'running')
               AND (%(only)s::bigint IS NULL OR workspace_id + 0 = %(only)s)
           ORDER BY created_at LIMIT %(counted)s) AS mine
     WHERE state = 'running' AND %(month)s <= statement_timestamp()),
    (SELECT coalesce(sum(bytes), 0)::bigint FROM jobs_storedbytes
     WHERE user_id = %(owner)s AND (%(only)s::bigint IS NULL OR workspace_id = %(only)s))
"""
_UNFINISHED = f"""
SELECT owner_id, count(*), count(*) FILTER (WHERE state = 'running'),
    count(*) FILTER (WHERE over_quota), coalesce(sum({RESERVED}), 0)::float8
FROM (SELECT owner_id, state, over_quota, reserved_seconds, started_at FROM jobs_job
      WHERE workspace_id * 1 = %(workspace)s AND state IN ('queued', 'running')
      LIMIT %(counted)s) AS unfinished
GROUP BY owner_id
"""  # noqa: S608 - our own words
_KEPT = """
SELECT user_id, 0, coalesce(sum(bytes), 0)::bigint FROM jobs_storedbytes
WHERE workspace_id = %(workspace)s GROUP BY user_id
UNION ALL
SELECT user_id, coalesce(sum(seconds), 0)::float8, 0 FROM jobs_gpuseconds
WHERE workspace_id = %(workspace)s AND month = %(month)s::date GROUP BY user_id
"""
_MONTHS = """
SELECT month, sum(seconds), coalesce(sum(seconds) FILTER (WHERE user_id = %(user)s), 0)
FROM jobs_gpuseconds
WHERE workspace_id = %(workspace)s AND month BETWEEN %(first)s AND %(last)s GROUP BY month
"""
_MEMBERS = f"""
SELECT person.id, person.email, person.name, member.role,
    {", ".join(f"member.{name}" for name in COLUMNS)}
FROM accounts_membership AS member JOIN accounts_user AS person ON person.id = member.user_id
WHERE member.workspace_id = %(workspace)s ORDER BY person.email LIMIT %(people)s
"""  # noqa: S608 - our own words


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Of one person, wherever they may look. Deleted jobs count: they lay on a GPU, and lie in
    storage until they are purged."""

    jobs: dict[str, int]  # by state, of the last DAYS
    month: str  # UTC, like 2026-11
    gpu_seconds: float  # of all attempts in that month
    stored_bytes: int  # those that were deleted too, until they are purged


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a workspace, or a person in it, has of what it may have; quotas of 0 are no limit."""

    quotas: QuotaSet
    running: int = 0
    unfinished: int = 0
    held: int = 0  # of those, jobs that wait for a place to run in
    spent_seconds: float = 0.0  # this month
    reserved_seconds: float = 0.0
    stored_bytes: int = 0

    @property
    def seconds_left(self) -> float | None:
        """This month; None: without end."""
        if not self.quotas.gpu_seconds:
            return None
        return max(0.0, self.quotas.gpu_seconds - self.spent_seconds - self.reserved_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    user: int
    email: str
    name: str  # empty: they gave none
    role: Role
    share: Share

    @property
    def shown_as(self) -> str:
        return self.name or self.email


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Of one workspace."""

    whole: Share
    members: Sequence[Member]  # by address; what people used who have left is in the whole alone
    month: datetime  # when it began
    renews_at: datetime

    def of(self, user: User) -> Share:
        """An operator may look in who is no member."""
        mine = (each.share for each in self.members if each.user == user.pk)
        return next(mine, Share(quotas=allowances.usual(Holder.PERSON)))


def of(owner: User, *, now: datetime) -> Usage:
    """By a token of one workspace, only what was in that one."""
    month = month_of(now)
    values = {
        "owner": owner.pk,
        "only": owner.only_in,
        "days": DAYS,
        "counted": COUNTED,
        "month": month,
    }
    counts = dict(_rows(_STATES, values))
    spent, live, stored = _rows(_OF_ONE, values)[0]
    return Usage(
        jobs={state.value: counts.get(state.value, 0) for state in State},
        month=f"{month:%Y-%m}",
        gpu_seconds=spent + live,
        stored_bytes=stored,
    )


def in_workspace(workspace: Workspace, *, now: datetime) -> Shared:
    """Three queries, however many people and jobs."""
    month = month_of(now)
    values = {
        "workspace": workspace.pk,
        "month": month,
        "counted": COUNTED,
        "people": PEOPLE,
    }
    used: dict[int, dict[str, Any]] = {}
    for owner, unfinished, running, held, reserved in _rows(_UNFINISHED, values):
        used[owner] = {
            "unfinished": unfinished,
            "running": running,
            "held": held,
            "reserved_seconds": reserved,
        }
    for owner, seconds, stored in _rows(_KEPT, values):
        kept = used.setdefault(owner, {})
        kept["spent_seconds"] = kept.get("spent_seconds", 0.0) + seconds
        kept["stored_bytes"] = kept.get("stored_bytes", 0) + stored
    members = [
        Member(
            user=user,
            email=email,
            name=name,
            role=Role(role),
            share=Share(quotas=allowances.of(Holder.PERSON, columns), **used.get(user, {})),
        )
        for user, email, name, role, *columns in _rows(_MEMBERS, values)
    ]
    columns = [getattr(workspace, name) for name in COLUMNS]
    return Shared(
        whole=Share(quotas=allowances.of(Holder.WORKSPACE, columns), **_sum(used)),
        members=members,
        month=month,
        renews_at=renews_at(now),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """GPU seconds of the attempts that ended in it."""

    month: date  # its first day, UTC
    whole: float  # of the workspace
    mine: float


def months(workspace: Workspace, user: User, *, now: datetime) -> list[Month]:
    """The last MONTHS, oldest first, those without any too. One query, along its index."""
    this = month_of(now).date()
    wanted = [_back(this, by) for by in reversed(range(MONTHS))]
    values = {"workspace": workspace.pk, "user": user.pk, "first": wanted[0], "last": this}
    found = {month: (whole, mine) for month, whole, mine in _rows(_MONTHS, values)}
    return [
        Month(month=month, whole=found.get(month, (0, 0))[0], mine=found.get(month, (0, 0))[1])
        for month in wanted
    ]


def _back(month: date, by: int) -> date:
    year, index = divmod(month.year * 12 + month.month - 1 - by, 12)
    return date(year, index + 1, 1)


def _sum(used: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    names = {name for each in used.values() for name in each}
    return {name: sum(each.get(name, 0) for each in used.values()) for name in names}


def _rows(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
