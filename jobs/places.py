"""Places to run in: which of a workspace's jobs may be claimed, where there is a quota of them.

A job has a place from the moment that it could be claimed until it has ended. One that is queued
and has none is marked, over_quota, and lies in another index than the queue: a claim never meets
it. Places are given out under the lock of the workspace's row, by a submit and by settle; they are
given back without any lock, and settle comes after that commit. So nobody waits for that lock who
holds the lock of a job, but a retry of one that has ended.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.db import DatabaseError, ProgrammingError, connection, transaction

from accounts.models import Workspace
from jobs import allowances, dispatch
from jobs.lifecycle import State
from jobs.models import Job
from jobs.quotas import Contender, Holder, Places, arrange
from jobs.waiting import held_words

logger = logging.getLogger(__name__)

AT_MOST = 1_000  # jobs that one settling looks at, and that it moves
WORKSPACES = 100  # that one round of the sweep settles

_LOCK = "SELECT max_running FROM accounts_workspace WHERE id = %(workspace)s FOR NO KEY UPDATE"
_MEMBERS = """
SELECT workspace_id, user_id, max_running FROM accounts_membership
WHERE workspace_id = ANY(%(workspaces)s) AND max_running IS NOT NULL
"""
_PLACED = """
SELECT id, owner_id, state = 'running', run_at <= statement_timestamp(), priority * -1, run_at
FROM jobs_job
WHERE workspace_id * 1 = %(workspace)s AND NOT over_quota AND state IN ('queued', 'running')
ORDER BY state <> 'running', priority * -1, run_at, id LIMIT %(at_most)s
"""
# Of each owner the first ones, by the index jobs_over_quota: who has a thousand of them and no
# place of their own must not stand before everybody else.
_HELD = """
WITH RECURSIVE owners AS (
    (SELECT owner_id FROM jobs_job
     WHERE state = 'queued' AND over_quota AND workspace_id = %(workspace)s
     ORDER BY owner_id LIMIT 1)
    UNION ALL
    SELECT next.owner_id FROM owners, LATERAL (
        SELECT owner_id FROM jobs_job
        WHERE state = 'queued' AND over_quota AND workspace_id = %(workspace)s
            AND owner_id > owners.owner_id
        ORDER BY owner_id LIMIT 1) AS next
)
SELECT job.* FROM owners, LATERAL (
    SELECT id, owner_id, false, true, priority * -1 AS rank, run_at FROM jobs_job
    WHERE state = 'queued' AND over_quota AND workspace_id = %(workspace)s
        AND owner_id = owners.owner_id AND run_at <= statement_timestamp()
    ORDER BY priority * -1, run_at, id LIMIT %(each)s) AS job
"""
# At the end of the line, in their order: none of those who wait already comes later for it.
_LET_IN = """
WITH free AS (
    SELECT id FROM jobs_job WHERE id = ANY(%(jobs)s) AND state = 'queued' AND over_quota
    FOR UPDATE SKIP LOCKED
)
UPDATE jobs_job AS job
SET over_quota = false, run_at = statement_timestamp() + line.place * interval '1 microsecond'
FROM free, unnest(%(jobs)s) WITH ORDINALITY AS line (id, place)
WHERE job.id = free.id AND line.id = free.id
RETURNING job.pool
"""
_HOLD_BACK = """
WITH free AS (
    SELECT id FROM jobs_job WHERE id = ANY(%(jobs)s) AND state = 'queued' AND NOT over_quota
    FOR UPDATE SKIP LOCKED
)
UPDATE jobs_job AS job SET over_quota = true FROM free WHERE job.id = free.id RETURNING job.pool
"""
_TAKEN = """
SELECT workspace_id, owner_id, count(*) FROM jobs_job
WHERE workspace_id * 1 = ANY(%(workspaces)s) AND NOT over_quota AND state IN ('queued', 'running')
GROUP BY workspace_id, owner_id
"""
_ANY_HELD = """
SELECT EXISTS (
    SELECT FROM jobs_job WHERE state = 'queued' AND over_quota AND workspace_id = %(workspace)s)
"""


def _next(condition: str, workspace: str) -> str:
    """Workspaces with such jobs after one, ascending: a look into an index for each."""
    first = f"SELECT {workspace} AS id FROM jobs_job WHERE {condition} AND {workspace} > "  # noqa: S608
    return f"""
WITH RECURSIVE found AS (
    ({first} %(after)s ORDER BY {workspace} LIMIT 1)
    UNION ALL
    SELECT next.id FROM found, LATERAL ({first} found.id ORDER BY {workspace} LIMIT 1) AS next
)
SELECT id FROM found LIMIT %(workspaces)s
"""  # noqa: S608 - our own words


_WITH_HELD = _next("state = 'queued' AND over_quota", "workspace_id")
_WITH_ANY = _next("state IN ('queued', 'running')", "workspace_id * 1")
_settled_to: dict[str, int] = {}  # where the last round of this process ended


def freed(workspace: int) -> None:
    """After the commit of what gave a place back. What is missed here is the sweep's."""
    try:
        if _rows(_ANY_HELD, workspace=workspace)[0][0]:
            settle(workspace)
    except DatabaseError as error:
        _left(workspace, error)


def quota_changed(workspace: int) -> None:
    """After that commit. Of more than AT_MOST jobs, the sweep moves the others."""
    try:
        settle(workspace)
    except DatabaseError as error:
        _left(workspace, error)


def _left(workspace: int, error: DatabaseError) -> None:
    """A worker with a role of its own (deploy/postgres/roles.sql) may not: that is no news."""
    name = type(error).__name__
    level = logging.DEBUG if isinstance(error, ProgrammingError) else logging.WARNING
    logger.log(level, "the places of workspace %d are left to the sweep (%s)", workspace, name)


def settle(workspace: int) -> int:
    """Gives out and takes back places as the quotas say now; how many. Raises DatabaseError."""
    with transaction.atomic():
        locked = _rows(_LOCK, workspace=workspace)
        if not locked:
            return 0
        members = _rows(_MEMBERS, workspaces=[workspace])
        places = _places(locked[0][0], {user: own for _, user, own in members})
        placed = _contenders(_PLACED, workspace=workspace, at_most=AT_MOST)
        held = _contenders(_HELD, workspace=workspace, each=min(AT_MOST, places.longest or AT_MOST))
        order = arrange(places, placed=placed, held=held)
        moved = _move(_HOLD_BACK, order.held_back)
        pools = _move(_LET_IN, order.let_in)
        for pool in set(pools):
            transaction.on_commit(partial(dispatch.knock, pool))
    return len(moved) + len(pools)


def settle_after_commit(workspace: int) -> None:
    transaction.on_commit(partial(freed, workspace))


def settle_all() -> int:
    """A round of the sweep: what a crash or a changed setting left; how many jobs were moved.

    At most WORKSPACES of them, the next ones in the next round. Raises DatabaseError.
    """
    found = _round(_WITH_HELD)
    if any(allowances.usual(holder).running for holder in Holder):
        found |= _round(_WITH_ANY)
    return sum(settle(workspace) for workspace in sorted(found))


def words(jobs: Iterable[Job]) -> dict[UUID, str]:
    """Of each of these that has no place, why. Three queries, or none where all have one."""
    held = [job for job in jobs if job.over_quota and job.state == State.QUEUED]
    if not held:
        return {}
    asked = {job.workspace_id for job in held}
    most = dict(Workspace.objects.filter(pk__in=asked).values_list("pk", "max_running"))
    others: dict[int, dict[int, int]] = defaultdict(dict)
    for workspace, user, own in _rows(_MEMBERS, workspaces=list(asked)):
        others[workspace][user] = own
    taken: dict[int, dict[int, int]] = defaultdict(dict)
    for workspace, owner, count in _rows(_TAKEN, workspaces=list(asked)):
        taken[workspace][owner] = count
    return {
        job.pk: _held_words(
            job.owner_id,
            _places(most[job.workspace_id], others[job.workspace_id]),
            taken[job.workspace_id],
        )
        for job in held
        if job.workspace_id in most
    }


def _held_words(owner: int, places: Places, taken: Mapping[int, int]) -> str:
    """taken: places, by owner."""
    total, own, mine = sum(taken.values()), places.of(owner), taken.get(owner, 0)
    if own and mine >= own and not (places.most and total >= places.most):
        return held_words(own, mine, whose="its owner's")
    return held_words(places.most, total, whose="the workspace's")


def _round(statement: str) -> set[int]:
    after = _settled_to.get(statement, 0)
    found = [row[0] for row in _rows(statement, after=after, workspaces=WORKSPACES)]
    _settled_to[statement] = found[-1] if len(found) == WORKSPACES else 0
    return set(found)


def _places(most: int | None, others: Mapping[int, int]) -> Places:
    usual = allowances.usual(Holder.WORKSPACE).running
    return Places(
        most=usual if most is None else most,
        each=allowances.usual(Holder.PERSON).running,
        others=others,
    )


def _contenders(statement: str, **values: int) -> list[Contender]:
    return [
        Contender(job=job, owner=owner, running=running, due=due, turn=(rank, run_at, job))
        for job, owner, running, due, rank, run_at in _rows(statement, **values)
    ]


def _move(statement: str, jobs: Sequence[UUID]) -> list[str]:
    """The pools of those that were moved."""
    if not jobs:
        return []
    return [row[0] for row in _rows(statement, jobs=list(jobs))]


def _rows(statement: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
