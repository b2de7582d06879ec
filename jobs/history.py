"""What Postgres tells the live view: facts, snapshots, places, rights. Each is one short look.

All of it runs in threads (for_all, for_one), on connections that are closed again or pooled.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import ParamSpec, TypeVar
from uuid import UUID

from django.db import DatabaseError, close_old_connections
from django.db.models import Q

from accounts.models import User
from accounts.sessions import Credential, Standing, standing, user_of
from jobs import queue
from jobs.access import seen_workspaces, visible_jobs
from jobs.events import Snapshot, to_text
from jobs.lifecycle import State
from jobs.models import Job, JobEvent, JobQuerySet
from jobs.moves import as_fact
from jobs.serializers import jobs_to_dicts

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

FACTS = 100  # of one look
RECENT = 50  # of somebody's newest jobs, whatever their state
UNFINISHED = 500  # of somebody's own; as many again come when these have ended

Places = frozenset[int] | None  # ids of workspaces; None: all of them
POSTGRES_AWAY = (DatabaseError,)


# Of their own, so that what all viewers wait for never stands behind what newcomers ask.
_FOR_ALL = ThreadPoolExecutor(4, thread_name_prefix="live-hub")
_FOR_ONE = ThreadPoolExecutor(8, thread_name_prefix="live-viewer")


async def for_all(look: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In a thread, for the hub: what it finds out serves every viewer."""
    return await _in_thread(_FOR_ALL, partial(look, *args, **kwargs))


async def for_one(look: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In a thread, for one viewer or for somebody at the door."""
    return await _in_thread(_FOR_ONE, partial(look, *args, **kwargs))


async def _in_thread(threads: ThreadPoolExecutor, look: Callable[[], T]) -> T:
    def looks() -> T:
        try:
            return look()
        finally:
            close_old_connections()

    return await asyncio.get_running_loop().run_in_executor(threads, looks)


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A job as it stands, and facts of its history."""

    job: UUID
    owner: int  # the user's id
    workspace: int  # its id
    version: int
    state: str
    attempt: int
    snapshot: str  # as a viewer gets it
    facts: list[tuple[int, str]]  # (seq, as a viewer gets it), ascending; FACTS at most
    first: int = 1  # seq of the oldest fact that is kept
    at: float | None = None  # of the newest of these facts, seconds since 1970; None: of none


def read_news(seen: Mapping[UUID, int | None]) -> dict[UUID, News]:
    """Of each job the facts after that seq; none where it is None. Raises DatabaseError.

    Not of a clip that was deleted: the ring may still announce it, and nobody is to see it. Of
    others that were deleted the end is news: a page that shows them at work learns of it.
    """
    clips = Job.objects.filter(deleted_at__isnull=False, state=State.SUCCEEDED)
    return _read(Job.objects.exclude(pk__in=clips.filter(pk__in=list(seen))), seen)


def read_for(viewer: Credential, seen: Mapping[UUID, int]) -> dict[UUID, News]:
    """The same of those jobs that the viewer may see now, with `first`. Raises DatabaseError."""
    found = _read(visible_jobs(_user(viewer)), seen)
    behind = [job for job, news in found.items() if not _continues(news, seen[job])]
    for job in behind:  # next to never: something was pruned or restored
        events = JobEvent.objects.filter(job=job).order_by("seq")[:FACTS]
        facts = [(event.seq, to_text(as_fact(event))) for event in events]
        news = found[job]
        first = facts[0][0] if facts else news.version + 1
        found[job] = replace(news, facts=facts, first=first)
    return found


def _continues(news: News, after: int) -> bool:
    """Whether the facts go on where the viewer's end."""
    if after >= news.version:
        return after == news.version
    return bool(news.facts) and news.facts[0][0] == after + 1


def read_mine(viewer: Credential) -> tuple[list[News], Places]:
    """The viewer's newest jobs and unfinished ones, without facts; and where they may see theirs.

    Raises DatabaseError.
    """
    user = _user(viewer)
    mine = visible_jobs(user).filter(owner=viewer.user)
    newest = mine.newest_first().values_list("pk", flat=True)[:RECENT]
    unfinished = mine.unfinished_of(viewer.user).values_list("pk", flat=True)[:UNFINISHED]
    found = _read(Job.objects.all(), dict.fromkeys([*newest, *unfinished]))
    return list(found.values()), _places(user)


def versions(jobs: Sequence[UUID]) -> list[tuple[UUID, int, str]]:
    """(job, version, state). Raises DatabaseError."""
    return list(Job.objects.filter(pk__in=jobs).values_list("pk", "version", "state"))


def unfinished(owners: Sequence[int]) -> list[tuple[UUID, int]]:
    """(job, owner) of those owners' unfinished jobs. Raises DatabaseError."""
    jobs = Job.objects.unfinished_of_any(owners).values_list("pk", "owner_id")
    return list(jobs[: UNFINISHED * len(owners)])


def places(jobs: Sequence[UUID]) -> dict[UUID, int]:
    """Raises DatabaseError."""
    return queue.places(jobs)


@dataclass(frozen=True, slots=True)
class Rights:
    standing: Standing
    lost: bool  # one of the jobs is no longer theirs to see
    places: Places = frozenset()


def rights(asked: Iterable[tuple[Credential, frozenset[UUID]]]) -> list[Rights | None]:
    """Of each whether they are who they were, and may see these jobs. Raises DatabaseError.

    None where one cannot be looked up, which must not keep the others from it.
    """
    answers: list[Rights | None] = []
    for credential, jobs in asked:
        try:
            answers.append(_rights(credential, jobs))
        except POSTGRES_AWAY:
            raise
        except Exception as error:
            name = type(error).__name__
            logger.warning("the rights of user %s cannot be told (%s)", credential.user, name)
            answers.append(None)
    return answers


def _rights(credential: Credential, jobs: frozenset[UUID]) -> Rights:
    stands = standing(credential)
    if stands is not Standing.GOOD:
        return Rights(stands, False)
    user = _user(credential)
    lost = bool(jobs) and visible_jobs(user).filter(pk__in=jobs).count() < len(jobs)
    return Rights(stands, lost, _places(user))


def _places(user: User) -> Places:
    return seen_workspaces(user) if user.is_active else frozenset()


def _user(viewer: Credential) -> User:
    """One that sees nothing where the credential opens nothing any more."""
    return user_of(viewer) or User(is_active=False)


def _read(jobs: JobQuerySet, seen: Mapping[UUID, int | None]) -> dict[UUID, News]:
    rows = list(jobs.to_show().filter(pk__in=list(seen)))
    dicts = {row["id"]: row for row in jobs_to_dicts(rows)}
    asked = [
        Q(job=row.pk, seq__gt=after, seq__lte=min(row.version, after + FACTS))
        for row in rows
        if (after := seen[row.pk]) is not None and after < row.version
    ]
    facts: dict[UUID, list[tuple[int, str]]] = {}
    newest: dict[UUID, float] = {}
    if asked:
        wanted = Q()
        for each in asked:
            wanted |= each
        # A commit between the two looks changes nothing: no fact beyond the row's version.
        for event in JobEvent.objects.filter(wanted).order_by("job", "seq"):
            text = to_text(as_fact(event))
            facts.setdefault(event.job_id, []).append((event.seq, text))
            newest[event.job_id] = event.at.timestamp()
    return {
        row.pk: News(
            job=row.pk,
            owner=row.owner_id,
            workspace=row.workspace_id,
            version=row.version,
            state=row.state,
            attempt=row.attempt,
            snapshot=to_text(Snapshot(job=dicts[str(row.pk)])),
            facts=facts.get(row.pk, []),
            at=newest.get(row.pk),
        )
        for row in rows
    }
