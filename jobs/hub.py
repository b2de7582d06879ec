"""One reader of the ring for each web process, whatever the number of viewers.

The ring is the fast way; a slow look into Postgres at the watched jobs covers a dead Redis.
Viewers are told what is due; they fetch it themselves at their own pace and keep no backlog.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol
from uuid import UUID
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from django.db import DatabaseError
from django.db.models import Q
from redis.exceptions import RedisError

from jobs import queue, stream
from jobs.events import Fact, Previewed, Progressed
from jobs.lifecycle import FINAL
from jobs.models import Job

logger = logging.getLogger(__name__)

POLL_SECONDS = 5.0  # how late a fact can be while Redis is away
PLACES_SECONDS = 1.0  # at most one look at queue places in this time
RECONNECT_SECONDS = 1.0
MAX_SOCKETS = 50  # of one person, in one process
REMEMBERED = 1000  # newest ticks, for viewers that come in the middle


class TooManySockets(Exception):
    """One person has as many pages open on this process as one may have."""


class Viewer(Protocol):
    """A page's socket, as the hub sees it. None of these may block or wait."""

    owner: int  # the user's id

    def watched(self) -> Iterable[UUID]: ...
    def wants(self, job: UUID, owner: int) -> bool: ...
    def shown(self, job: UUID) -> int: ...
    def fact_due(self, job: UUID) -> None: ...
    def ticked(self, tick: Progressed) -> None: ...
    def preview_due(self, previewed: Previewed) -> None: ...
    def placed(self, job: UUID, place: int) -> None: ...


class Hub:
    def __init__(self) -> None:
        self.client = stream.follower()
        self._viewers: set[Viewer] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._ticks: OrderedDict[UUID, tuple[int, Progressed]] = OrderedDict()
        self._previews: OrderedDict[UUID, Previewed] = OrderedDict()
        self._queue_moved = asyncio.Event()

    def join(self, viewer: Viewer) -> None:
        """Raises TooManySockets."""
        if sum(other.owner == viewer.owner for other in self._viewers) >= MAX_SOCKETS:
            raise TooManySockets
        self._viewers.add(viewer)
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(_for_ever(self._follow), name="ring"),
                asyncio.create_task(_for_ever(self._poll), name="poll"),
                asyncio.create_task(_for_ever(self._places), name="places"),
            ]

    async def leave(self, viewer: Viewer) -> None:
        """The last viewer out ends the reading."""
        self._viewers.discard(viewer)
        if self._viewers or not self._tasks:
            return
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not self._viewers:
            self._ticks.clear()
            self._previews.clear()
            await self.client.aclose()

    def catch_up(self, viewer: Viewer, job: UUID) -> None:
        """Tells a new viewer of a job what passed just before."""
        if job in self._ticks:
            viewer.ticked(self._ticks[job][1])
        if job in self._previews:
            viewer.preview_due(self._previews[job])
        self._queue_moved.set()

    # --- The fast way -------------------------------------------------------------------

    async def _follow(self) -> None:
        last = ""
        while True:
            try:
                if not last:
                    last, entries = await stream.recent(self.client, 200)
                else:
                    last, entries = await stream.after(self.client, last)
            except (RedisError, OSError) as error:
                logger.warning("the ring cannot be read (%s); trying again", type(error).__name__)
                await asyncio.sleep(RECONNECT_SECONDS)
                last = ""  # a Redis that came back empty counts from the start again
                continue
            for entry in entries:
                self._take(entry)

    def _take(self, entry: stream.Entry) -> None:
        event = entry.event
        if isinstance(event, Fact):
            self._queue_moved.set()
            if event.state in FINAL:
                self._ticks.pop(event.job, None)
                self._previews.pop(event.job, None)
        elif isinstance(event, Progressed):
            _remember(self._ticks, event.job, (entry.owner, event))
        else:
            _remember(self._previews, event.job, event)
        for viewer in self._viewers:
            if not viewer.wants(event.job, entry.owner):
                continue
            if isinstance(event, Fact):
                viewer.fact_due(event.job)
            elif isinstance(event, Progressed):
                viewer.ticked(event)
            else:
                viewer.preview_due(event)

    # --- The sure way -------------------------------------------------------------------

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            watched = {job for viewer in self._viewers for job in viewer.watched()}
            owners = {viewer.owner for viewer in self._viewers}
            try:
                rows = await database_sync_to_async(_versions_now)(watched, owners)
            except DatabaseError as error:
                logger.warning("Postgres did not answer (%s); trying again", type(error).__name__)
                continue
            for job, owner, version in rows:
                for viewer in self._viewers:
                    if viewer.wants(job, owner) and viewer.shown(job) < version:
                        viewer.fact_due(job)
            self._queue_moved.set()

    async def _places(self) -> None:
        while True:
            await self._queue_moved.wait()
            self._queue_moved.clear()
            watched = {job for viewer in self._viewers for job in viewer.watched()}
            try:
                places = await database_sync_to_async(queue.places)(watched)
            except DatabaseError as error:
                logger.warning("Postgres did not answer (%s); trying again", type(error).__name__)
                places = {}
            for viewer in self._viewers:
                for job in viewer.watched():
                    if job in places:
                        viewer.placed(job, places[job])
            await asyncio.sleep(PLACES_SECONDS)


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """A bug in one of the three must not leave every page of this process dead but open."""
    while True:
        try:
            await work()
        except Exception:
            logger.exception("the live side stumbled; it goes on")
            await asyncio.sleep(RECONNECT_SECONDS)


def _remember(known: OrderedDict[UUID, Any], job: UUID, value: Any) -> None:
    known[job] = value
    known.move_to_end(job)
    while len(known) > REMEMBERED:
        known.popitem(last=False)


def _versions_now(watched: set[UUID], owners: set[int]) -> list[tuple[UUID, int, int]]:
    """(job, owner, version) of the watched jobs and of the owners' unfinished ones."""
    live = Q(owner__in=owners) & ~Q(state__in=FINAL)
    rows = Job.objects.filter(Q(pk__in=watched) | live)
    return list(rows.values_list("pk", "owner_id", "version")[:5000])


_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
