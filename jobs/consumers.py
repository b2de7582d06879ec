"""The page's one WebSocket. The protocol is written down in docs/reference/live.md.

Nothing waits in line for a viewer: what is due is kept as sets and newest-wins slots, one for
each watched job, and one task sends it at the viewer's pace. A preview is sent only after the last
one was acknowledged, and then the latest.
"""

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.sessions.backends.db import SessionStore
from django.db import DatabaseError
from redis.exceptions import RedisError

from accounts.models import User
from accounts.roles import Permission
from jobs import stream
from jobs.access import access_job, visible_jobs
from jobs.errors import NotFound
from jobs.events import Previewed, PreviewHeader, Progressed, to_wire
from jobs.hub import Hub, TooManySockets, hub
from jobs.lifecycle import FINAL
from jobs.moves import as_fact
from jobs.serializers import jobs_to_dicts

logger = logging.getLogger(__name__)

MAX_MESSAGE = 4096  # bytes from a viewer
MAX_WATCHED = 50  # jobs a socket may subscribe to
RECENT = 30  # jobs of mine that are sent at once
RECHECK_SECONDS = 30.0  # rights are looked up again this often
SILENT_SECONDS = 90.0  # a viewer pings every 25 s
TICK_SECONDS = 0.2  # at most five ticks a second for a job
AGAIN_SECONDS = 2.0  # between two tries while Postgres is away
PREVIEW_RETRY_SECONDS = 10.0  # an acknowledgement that never came

BAD_MESSAGE, SIGNED_OUT, SILENT, TOO_MANY, BROKEN = 4400, 4401, 4408, 4429, 1011
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError)


@dataclass(slots=True)
class Watch:
    """What one viewer has seen of one job."""

    seq: int = 0
    shown: tuple[int, int] = (0, -1)  # (attempt, step) of the newest preview sent
    newest: tuple[int, int] | None = None  # of the newest preview there is
    unacknowledged_since: float | None = None  # monotonic seconds


class PageConsumer(AsyncWebsocketConsumer):
    owner: int
    _sender: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """However the socket ends, also by an error of ours: the hub lets go of it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self._sender is not None:
                self._sender.cancel()
                await asyncio.gather(self._sender, return_exceptions=True)
                await self._hub.leave(self)

    async def connect(self) -> None:
        user: Any = self.scope["user"]  # a lazy object, which the type stubs do not know
        if not (user.is_authenticated and user.is_active):
            await self.accept()  # so that the page learns the reason from the close code
            await self.close(SIGNED_OUT)
            return
        self.owner = user.pk
        self._mine = False
        self._watches: dict[UUID, Watch] = {}
        self._versions: dict[UUID, int] = {}  # as shown; of unfinished and of watched jobs
        self._facts: set[UUID] = set()
        self._snapshots: set[UUID] = set()
        self._ticks: dict[UUID, Progressed] = {}
        self._places: dict[UUID, int] = {}
        self._due = asyncio.Event()
        self._heard = self._checked = time.monotonic()
        await self.accept()
        self._hub: Hub = hub()
        try:
            self._hub.join(self)
        except TooManySockets:
            await self.close(TOO_MANY)
            return
        self._sender = asyncio.create_task(self._send_what_is_due(), name="viewer")

    # --- From the viewer ------------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._sender is None:
            return
        self._heard = time.monotonic()
        try:
            if text_data is None or len(text_data.encode()) > MAX_MESSAGE:
                raise ValueError("a message is JSON text of at most 4 KB")
            await self._obey(json.loads(text_data))
        except (*_NONSENSE, OverflowError, RecursionError):
            await self.close(BAD_MESSAGE)

    async def _obey(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "ping":
                await self._say({"type": "pong"})
            case "subscribe" if message.get("mine"):
                self._mine = True
                self._snapshots |= set(await database_sync_to_async(self._my_recent)())
                self._due.set()
            case "subscribe":
                await self._subscribe(UUID(message["job"]), int(message.get("after", 0)))
            case "unsubscribe":
                self._watches.pop(UUID(message["job"]), None)
                self._versions.pop(UUID(message["job"]), None)
            case "ack":
                watch = self._watches.get(UUID(message["job"]))
                if watch is not None:
                    watch.unacknowledged_since = None
                    self._due.set()
            case unknown:
                raise ValueError(f"unknown message {unknown!r}")

    async def _subscribe(self, job: UUID, after: int) -> None:
        if len(self._watches) >= MAX_WATCHED and job not in self._watches:
            raise ValueError(f"at most {MAX_WATCHED} jobs")
        try:
            await database_sync_to_async(self._allowed)(job)
        except NotFound as refusal:
            await self._say(
                {
                    "type": "refused",
                    "job": str(job),
                    "code": refusal.code,
                    "status": refusal.status,
                    "message": str(refusal),
                }
            )
            return
        # Subscribing again asks for facts again; the credit for previews stays as it was.
        self._watches.setdefault(job, Watch()).seq = max(0, after)
        self._facts.add(job)
        self._snapshots.add(job)
        self._hub.catch_up(self, job)
        self._due.set()

    def _allowed(self, job: UUID) -> None:
        access_job(User.objects.get(pk=self.owner), job, Permission.SEE)

    def _my_recent(self) -> list[UUID]:
        mine = visible_jobs(User.objects.get(pk=self.owner)).filter(owner=self.owner)
        newest = list(mine.newest_first().values_list("pk", flat=True)[:RECENT])
        live = list(mine.exclude(state__in=FINAL).values_list("pk", flat=True)[:RECENT])
        return newest + live

    # --- From the hub: note it, wake the sender, never wait -----------------------------------

    def watched(self) -> Iterable[UUID]:
        return self._watches.keys() | self._versions.keys()

    def shown(self, job: UUID) -> int:
        """The version of the job that this page shows; 0 for none."""
        return self._versions.get(job, 0)

    def wants(self, job: UUID, owner: int) -> bool:
        return job in self._watches or (self._mine and owner == self.owner)

    def fact_due(self, job: UUID) -> None:
        if job in self._watches:
            self._facts.add(job)
        self._snapshots.add(job)
        self._due.set()

    def ticked(self, tick: Progressed) -> None:
        self._ticks[tick.job] = tick
        self._due.set()

    def preview_due(self, previewed: Previewed) -> None:
        watch = self._watches.get(previewed.job)
        if watch is not None:
            watch.newest = (previewed.attempt, previewed.step)
            self._due.set()

    def placed(self, job: UUID, place: int) -> None:
        self._places[job] = place
        self._due.set()

    # --- To the viewer --------------------------------------------------------------------------

    async def _send_what_is_due(self) -> None:
        try:
            await self._send_on_and_on()
        except Exception:
            logger.exception("a viewer's socket broke; its page will open another")
            await self.close(BROKEN)

    async def _send_on_and_on(self) -> None:
        while True:
            with suppress(TimeoutError):  # nothing is due: only the clocks below
                await asyncio.wait_for(self._due.wait(), timeout=5.0)
            self._due.clear()
            now = time.monotonic()
            if now - self._heard > SILENT_SECONDS:
                await self.close(SILENT)
                return
            try:
                if now - self._checked > RECHECK_SECONDS and not await self._still_allowed():
                    await self.close(SIGNED_OUT)
                    return
                await self._send_facts()
            except DatabaseError as error:
                logger.warning("Postgres did not answer (%s); trying again", type(error).__name__)
                await asyncio.sleep(AGAIN_SECONDS)
                self._due.set()
                continue
            ticks, self._ticks = self._ticks, {}
            for tick in ticks.values():
                await self._say(to_wire(tick))
            places, self._places = self._places, {}
            for job, place in places.items():
                await self._say({"type": "place", "job": str(job), "place": place})
            await self._send_previews(now)
            await asyncio.sleep(TICK_SECONDS)  # what comes meanwhile is merged: newest wins

    async def _still_allowed(self) -> bool:
        """As a new request with the same cookie would be answered; a new password ends it too."""
        session = SessionStore(self.scope["session"].session_key)
        user: Any = await get_user({"session": session})  # type: ignore[typeddict-item]
        if not user.is_authenticated or not user.is_active or user.pk != self.owner:
            return False
        self._checked = time.monotonic()
        for job in list(self._watches):
            try:
                await database_sync_to_async(self._allowed)(job)
            except NotFound:
                del self._watches[job]
        return True

    async def _send_facts(self) -> None:
        facts, snapshots = set(self._facts), set(self._snapshots)
        if not snapshots:
            return
        seen = {job: self._watches[job].seq for job in facts if job in self._watches}
        self._facts -= facts  # what becomes due from here on is for the next round
        self._snapshots -= snapshots
        try:
            news, rows = await database_sync_to_async(self._read_facts)(seen, snapshots)
        except DatabaseError:
            self._facts |= facts
            self._snapshots |= snapshots
            raise
        for job, events in news.items():
            for event in events:
                await self._say(event)
                if job in self._watches:
                    self._watches[job].seq = event["seq"]
        for row in rows:
            await self._say({"type": "snapshot", "job": row})
            job = UUID(row["id"])
            if row["state"] in FINAL and job not in self._watches:
                self._versions.pop(job, None)
            else:
                self._versions[job] = row["version"]

    def _read_facts(
        self, seen: dict[UUID, int], snapshots: set[UUID]
    ) -> tuple[dict[UUID, list[dict[str, Any]]], list[dict[str, Any]]]:
        visible = visible_jobs(User.objects.get(pk=self.owner))
        jobs = list(visible.with_request().filter(pk__in=snapshots))
        news = {
            job.pk: [
                to_wire(as_fact(event))
                for event in job.events.filter(seq__gt=seen[job.pk]).order_by("seq")[:500]
            ]
            for job in jobs
            if job.pk in seen
        }
        return news, jobs_to_dicts(jobs)

    async def _send_previews(self, now: float) -> None:
        for job, watch in list(self._watches.items()):
            waiting = watch.unacknowledged_since
            if waiting is not None and now - waiting < PREVIEW_RETRY_SECONDS:
                continue
            if watch.newest is None or watch.newest <= watch.shown:
                continue
            try:
                message = await stream.get_preview(self._hub.client, job)
            except (RedisError, OSError):
                continue  # a preview is worth nothing later; the hub logs that Redis is away
            if message is None:
                continue
            try:
                header = PreviewHeader.unpack(message)
            except ValueError:
                continue  # another version's, in the middle of an update
            if (header.attempt, header.step) > watch.shown:
                watch.shown = (header.attempt, header.step)
                watch.unacknowledged_since = now
                await self.send(bytes_data=message)

    async def _say(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message))
