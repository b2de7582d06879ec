"""What a workspace and a person in it hold now, read under the lock that submits wait for."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.db import connection

from accounts.errors import NoWorkspace
from accounts.models import User
from jobs import allowances
from jobs.quotas import COLUMNS, Holder, QuotaSet, Use
from jobs.usage import RESERVED

# Three statements in one trip, at a quarter of what the ORM takes to write them. Each has a
# snapshot of its own: the later ones see what was committed while the first one waited.
_LOCK_AND_COUNT = f"""
SELECT {", ".join(COLUMNS)} FROM accounts_workspace WHERE id = %(workspace)s FOR NO KEY UPDATE;
SELECT {", ".join(COLUMNS)} FROM accounts_membership
WHERE workspace_id = %(workspace)s AND user_id = %(owner)s;
"""  # noqa: S608 - our own words
_UNFINISHED = """
SELECT count(*) FROM (SELECT FROM jobs_job
    WHERE owner_id * 1 = %(owner)s AND workspace_id + 0 = %(workspace)s
        AND state IN ('queued', 'running')
    ORDER BY created_at LIMIT %(most)s) AS unfinished
"""  # the words of JobQuerySet.unfinished_of
_IN_WORKSPACE = "workspace_id * 1 = %(workspace)s AND state IN ('queued', 'running')"
# What only some quotas need to know, in one more trip. Whether a job is over_quota divides the
# index jobs_of_workspace_unfinished: so the few places are counted among however many jobs.
_PLACED = f"""
    SELECT 0 AS queued, count(*) AS placed,
        count(*) FILTER (WHERE owner_id = %(owner)s) AS own_placed,
        (SELECT EXISTS (SELECT FROM jobs_job
            WHERE state = 'queued' AND over_quota AND workspace_id = %(workspace)s))::int AS held,
        0 AS reserved, 0 AS own_reserved
    FROM jobs_job WHERE {_IN_WORKSPACE} AND NOT over_quota"""  # noqa: S608 - our own words
_ALL = f"""
    SELECT count(*) AS queued, count(*) FILTER (WHERE NOT over_quota) AS placed,
        count(*) FILTER (WHERE NOT over_quota AND owner_id = %(owner)s) AS own_placed,
        count(*) FILTER (WHERE over_quota) AS held, coalesce(sum(seconds), 0) AS reserved,
        coalesce(sum(seconds) FILTER (WHERE owner_id = %(owner)s), 0) AS own_reserved
    FROM (SELECT owner_id, over_quota, {RESERVED} AS seconds FROM jobs_job
          WHERE {_IN_WORKSPACE} LIMIT %(most)s) AS unfinished"""  # noqa: S608
_SPENT = """
    SELECT coalesce(sum(seconds), 0) AS spent,
        coalesce(sum(seconds) FILTER (WHERE user_id = %(owner)s), 0) AS own_spent
    FROM jobs_gpuseconds WHERE workspace_id = %(workspace)s
        AND month = date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC')::date"""
_STORED = """
    SELECT coalesce(sum(bytes), 0)::bigint AS stored,
        coalesce(sum(bytes) FILTER (WHERE user_id = %(owner)s), 0)::bigint AS own_stored
    FROM jobs_storedbytes WHERE workspace_id = %(workspace)s"""
COUNTED = 1_000_000  # unfinished jobs of one workspace, which no quota is beyond
NOTHING = Use()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """Nothing where no quota asks for it."""

    whole: Use = NOTHING  # of the workspace
    own: Use = NOTHING  # of the person in it, but for the jobs queued
    placed: int = 0
    own_placed: int = 0
    held: int = 0  # jobs that wait for a place, or 1 for some


def lock(owner: User, workspace: int) -> tuple[QuotaSet, QuotaSet, int]:
    """Of the workspace and of the person in it; and how many unfinished jobs the person has."""
    usual = allowances.usual(Holder.PERSON)
    values = {"workspace": workspace, "owner": owner.pk, "most": usual.queued + 1}
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_AND_COUNT + _UNFINISHED, values)
        ours = cursor.fetchone()
        if ours is None:
            raise NoWorkspace
        cursor.nextset()
        theirs = cursor.fetchone()  # None: an operator's, who is no member
        cursor.nextset()
        unfinished = cursor.fetchone()[0]
        mine = usual if theirs is None else allowances.of(Holder.PERSON, theirs)
        if mine.queued > usual.queued:
            cursor.execute(_UNFINISHED, values | {"most": mine.queued + 1})
            unfinished = cursor.fetchone()[0]
    return allowances.of(Holder.WORKSPACE, ours), mine, unfinished


def count(owner: User, workspace: int, ours: QuotaSet, mine: QuotaSet) -> Holdings:
    seconds = ours.gpu_seconds or mine.gpu_seconds
    parts = []
    if ours.queued or seconds:
        parts.append(f"({_ALL}) AS jobs")
    elif ours.running or mine.running:
        parts.append(f"({_PLACED}) AS jobs")
    if seconds:
        parts.append(f"({_SPENT}) AS spent")
    if ours.stored_bytes or mine.stored_bytes:
        parts.append(f"({_STORED}) AS stored")
    if not parts:
        return Holdings()
    values = {"workspace": workspace, "owner": owner.pk, "most": COUNTED}
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {', '.join(parts)}", values)  # noqa: S608 - our own words
        names = [column.name for column in cursor.description]
        found: dict[str, Any] = defaultdict(int, zip(names, cursor.fetchone(), strict=True))
    return Holdings(
        whole=Use(
            queued=found["queued"],
            spent_seconds=found["spent"],
            reserved_seconds=found["reserved"],
            stored_bytes=found["stored"],
        ),
        own=Use(
            spent_seconds=found["own_spent"],
            reserved_seconds=found["own_reserved"],
            stored_bytes=found["own_stored"],
        ),
        placed=found["placed"],
        own_placed=found["own_placed"],
        held=found["held"],
    )
