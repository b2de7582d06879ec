"""What one page or program is due, whatever it is connected by (consumers.py, sse.py).

Nothing waits in line: what is due is kept as references to topics, where newest wins, and a task
that lives only while something is due sends it at the viewer's own pace.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar
from uuid import UUID

from accounts.sessions import Credential, Standing
from jobs import history
from jobs.errors import NotFound, Refusal
from jobs.events import HistoryReplaced, Refused, to_text
from jobs.history import POSTGRES_AWAY, News, Places, for_one
from jobs.hub import Hub
from jobs.lifecycle import FINAL
from jobs.messages import MAX_SEQ
from jobs.topic import NEVER, Topic, Watch

logger = logging.getLogger(__name__)

MAX_WATCHED = 100  # jobs that one viewer may subscribe to
AT_ONCE = 10  # jobs that one look into Postgres catches up with
TICK_SECONDS = 0.2  # at most five rounds of ticks and places a second
AGAIN_SECONDS = 2.0  # between two tries while Postgres is away
RIGHTS_SECONDS = 60.0  # who was not checked for so long gets nothing until it was


class Gone(Exception):
    """The viewer's connection takes nothing any more."""


def refused(job: UUID | None, refusal: Refusal) -> Refused:
    return Refused(job=job, code=refusal.code, status=refusal.status, message=str(refusal))


class Viewer(ABC):
    kind: ClassVar[str]
    __slots__ = (
        *("_again", "_backlog", "_ended", "_hub", "_mine_due", "_news", "_places"),
        *("_quiet_until", "_read_from", "_sender", "_ticks", "_wanted", "_watches"),
        *("__weakref__", "checked", "credential", "owner", "places"),
    )

    def __init__(self, hub: Hub, credential: Credential) -> None:
        self.credential, self.owner = credential, credential.user
        self.checked = time.monotonic()  # when the rights were looked up last
        self.places: Places = frozenset()  # where it may follow what is its own
        self._hub = hub
        self._watches: dict[UUID, Watch] = {}
        self._wanted: dict[UUID, int] = {}  # by job: the seq after which Postgres is to be read
        self._mine_due = False
        self._backlog: list[
            str
        ] = []  # of one look into Postgres; an empty deque is 10 times as big
        self._news: dict[UUID, Topic] = {}
        self._ticks: dict[UUID, Topic] = {}
        self._places: dict[UUID, Topic] = {}
        self._quiet_until = 0.0  # monotonic seconds; for ticks and places
        self._read_from = 0.0  # monotonic seconds; before that Postgres is not asked again
        self._sender: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._ended = False

    # --- What a connection adds -----------------------------------------------------------

    @abstractmethod
    async def deliver(self, text: str) -> None: ...

    def may_send_text(self) -> bool:
        return True

    def has_room(self) -> bool:
        """Whether one more preview may be sent."""
        return False

    @abstractmethod
    async def give_preview(self, watch: Watch) -> None:
        """The topic has one. It is sent here only if that waits for nothing."""

    async def _send_preview(self) -> bool:
        return False

    def texts_of(self, topic: Topic) -> Iterable[str]:
        """What a tick of it is sent as."""
        if topic.tick:
            yield topic.tick

    @abstractmethod
    def clock(self, now: float) -> None:
        """Called every five seconds; now is monotonic."""

    @abstractmethod
    def rights_lost(self, standing: Standing) -> None:
        """GOOD stands for somebody who may no longer see one of the jobs."""

    @abstractmethod
    def broken(self) -> None:
        """Ends the connection after an error of ours."""

    @abstractmethod
    def server_ends(self) -> None:
        """Ends the connection, so that the viewer comes back to another process."""

    # --- What the viewer asks for ---------------------------------------------------------

    def subscribe(self, job: UUID, after: int) -> None:
        """Raises ValueError when that is one too many."""
        if len(self._watches.keys() | self._wanted.keys() | {job}) > MAX_WATCHED:
            raise ValueError(f"at most {MAX_WATCHED} jobs")
        self._wanted[job] = after
        self.wake()

    def unsubscribe(self, job: UUID) -> None:
        self._wanted.pop(job, None)
        watch = self._watches.pop(job, None)
        if watch is not None:
            self._hub.unwatch(self, watch.topic)

    def follow_mine(self) -> None:
        self._hub.follow(self)
        self._mine_due = True
        self.wake()

    def unfollow_mine(self) -> None:
        self._mine_due, self.places = False, frozenset()
        self._hub.unfollow(self)

    # --- From the hub: note it, never wait ------------------------------------------------

    def topics(self) -> Iterable[Topic]:
        return [watch.topic for watch in self._watches.values()]

    def may_follow(self, topic: Topic) -> bool:
        """Of one's own jobs those of a workspace that one is still in."""
        return self.places is None or topic.workspace in self.places

    def sees_less(self, places: Places) -> bool:
        return places is not None and (self.places is None or not self.places <= places)

    def rights_kept(self, places: Places, now: float) -> None:
        self.checked = now
        if self in self._hub.followers.get(self.owner, ()):
            self.places = places
        self.wake()

    def news_due(self, topic: Topic) -> None:
        self._news[topic.job] = topic
        self.wake()

    def tick_due(self, topic: Topic) -> None:
        self._ticks[topic.job] = topic
        self.wake()

    def place_due(self, topic: Topic) -> None:
        self._places[topic.job] = topic
        self.wake()

    def gone(self, job: UUID) -> None:
        self.unsubscribe(job)
        self._refuse(job)

    def history_lost(self, topic: Topic) -> None:
        if topic.job in self._watches:
            self._watches[topic.job].shown = NEVER
            self._wanted[topic.job] = MAX_SEQ  # which no history reaches: all of it is told again
        else:
            self._backlog.append(to_text(HistoryReplaced(job=topic.job, first=1)))
        self.wake()

    # --- To the viewer --------------------------------------------------------------------

    def wake(self) -> None:
        if self._sender is None and not self._ended:
            self._sender = asyncio.create_task(self._send_what_is_due())

    async def close(self) -> None:
        """However the connection ended: the hub lets go of it."""
        self._ended = True
        if self._again is not None:
            self._again.cancel()
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        await self._hub.leave(self)

    async def _send_what_is_due(self) -> None:
        try:
            while not self._ended and await self._send_next():
                pass
        except POSTGRES_AWAY as error:
            logger.warning("Postgres did not answer (%s); trying again", type(error).__name__)
            self._read_from = time.monotonic() + AGAIN_SECONDS
            self._wake_in(AGAIN_SECONDS)
        except Gone:
            self._ended = True  # its connection says so to its own task
        except Exception:
            logger.exception("a viewer's connection broke; it will open another")
            self.broken()
        finally:
            self._sender = None

    def _wake_in(self, seconds: float) -> None:
        if self._again is not None:
            self._again.cancel()
        self._again = asyncio.get_running_loop().call_later(seconds, self.wake)

    async def _send_next(self) -> bool:
        """One thing that is due; False when nothing is, or nothing may be sent now."""
        if not self._may_be_sent_to():
            return False  # we are woken when the rights were looked up
        return (
            self.may_send_text() and (await self._send_facts() or await self._send_ticks())
        ) or await self._send_preview()

    def _may_be_sent_to(self) -> bool:
        return not self._ended and time.monotonic() - self.checked <= RIGHTS_SECONDS

    async def _send_facts(self) -> bool:
        if self._backlog:
            await self.deliver(self._backlog.pop(0))
        elif self._wanted or self._mine_due:
            wait = self._read_from - time.monotonic()
            if wait > 0:
                self._wake_in(wait)
                return False
            await (self._catch_up() if self._wanted else self._catch_up_with_mine())
        elif self._news:
            topic = self._news.pop(next(iter(self._news)))
            self._take_news(topic)
        else:
            return False
        return True

    def _take_news(self, topic: Topic) -> None:
        if not topic.snapshot:
            return  # it is being read anew
        watch = self._watches.get(topic.job)
        if watch is not None:
            if topic.version <= watch.seq:
                return  # our own look into Postgres was the later one
            facts = topic.facts_after(watch.seq)
            if facts is None:
                self._wanted[topic.job] = watch.seq  # too far behind for what the topic holds
                return
            self._backlog.extend(text for _, text in facts)
            watch.seq = topic.version
        self._backlog.append(topic.snapshot)

    async def _catch_up(self) -> None:
        wanted = dict(list(self._wanted.items())[:AT_ONCE])
        found = await for_one(history.read_for, self.credential, wanted)
        for job, after in wanted.items():
            if self._wanted.get(job) != after:
                continue  # taken back, or asked for once more, meanwhile
            del self._wanted[job]
            news = found.get(job)
            if news is None:
                self.unsubscribe(job)
                self._refuse(job)
            else:
                self._take_reading(job, after, news)

    def _take_reading(self, job: UUID, after: int, news: News) -> None:
        if news.first > 1 or after > news.version:
            self._backlog.append(to_text(HistoryReplaced(job=job, first=news.first)))
        self._backlog.extend(text for _, text in news.facts)
        seq = news.facts[-1][0] if news.facts else min(after, news.version)
        watch = self._watches.get(job)
        if watch is None:
            watch = self._watches[job] = self._hub.watch(self, job, news.owner)
        watch.seq = seq
        self._hub.take_news(watch.topic, news)  # so no topic is older than what a viewer shows
        if watch.topic.version > news.version:
            self.news_due(watch.topic)  # it was told to those who watched, while we still read
        if seq < news.version:
            self._wanted[job] = seq  # there is more
            return
        self._backlog.append(news.snapshot)
        self._hub.catch_up(self, watch.topic)

    async def _catch_up_with_mine(self) -> None:
        found, self.places = await for_one(history.read_mine, self.credential)
        self._mine_due = False
        for news in found:
            if news.state in FINAL:
                self._backlog.append(news.snapshot)
                continue
            topic = self._hub.topic(news.job, news.owner)
            self._hub.take_news(topic, news)
            self.news_due(topic)
            self._hub.catch_up(self, topic)

    def _refuse(self, job: UUID) -> None:
        self._backlog.append(to_text(refused(job, NotFound())))
        self.wake()

    async def _send_ticks(self) -> bool:
        """What comes within TICK_SECONDS is merged: newest wins."""
        if not (self._ticks or self._places):
            return False
        now = time.monotonic()
        if now < self._quiet_until:
            self._wake_in(self._quiet_until - now)
            return False
        self._quiet_until = now + TICK_SECONDS
        ticks, self._ticks = self._ticks, {}
        places, self._places = self._places, {}
        while ticks and self.may_send_text():
            for text in self.texts_of(ticks.pop(next(iter(ticks)))):
                await self.deliver(text)
        while places and self.may_send_text():
            topic = places.pop(next(iter(places)))
            if topic.place:
                await self.deliver(topic.place)
        self._ticks, self._places = ticks | self._ticks, places | self._places
        return True
