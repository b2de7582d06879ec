"""Who watches what in this web process, and what it knows of that: viewers and topics.

What is new is read once and encoded once (feeds.py), put into the job's topic (topic.py), and told
to its viewers, who take it from there at their own pace (viewer.py).
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from uuid import UUID

from jobs import stream
from jobs.events import Fact, Previewed, Progressed
from jobs.history import News
from jobs.lifecycle import FINAL
from jobs.metrics import instruments
from jobs.topic import Topic, Viewer, Watch

logger = logging.getLogger(__name__)

MAX_VIEWERS = 50  # of one person, in one process
REMEMBERED = 1000  # newest ticks, for viewers that come in the middle
STUMBLED_SECONDS = 1.0
GIVE_SECONDS = 1.0  # one preview to all who watch; sending it waits for nothing
CANCEL_SECONDS = 0.1  # until a work that goes on is cancelled once more


class TooManyViewers(Exception):
    """One person has as many pages open on this process as one may have."""


class Hub:
    def __init__(self, works: Sequence[Callable[["Hub"], Awaitable[None]]]) -> None:
        """works run for ever while there are viewers."""
        self.viewers: set[Viewer] = set()
        self.followers: dict[int, set[Viewer]] = {}  # by owner: who follows all of their own jobs
        self.topics: dict[UUID, Topic] = {}
        self.stale: dict[UUID, Topic] = {}  # Postgres knows more of them
        self.hungry: dict[UUID, Topic] = {}  # a viewer has room for a newer preview
        self.suspects: set[int] = set()  # users whose rights changed just now
        self.news, self.previews = asyncio.Event(), asyncio.Event()  # stale, hungry have some
        self.queue_moved, self.alarm = asyncio.Event(), asyncio.Event()
        self._works = works
        self._tasks: list[asyncio.Task[None]] = []
        self._recent: OrderedDict[UUID, tuple[Progressed, str]] = OrderedDict()

    # --- Viewers come and go --------------------------------------------------------------

    def join(self, viewer: Viewer) -> None:
        """Raises TooManyViewers."""
        if sum(other.owner == viewer.owner for other in self.viewers) >= MAX_VIEWERS:
            raise TooManyViewers
        self.viewers.add(viewer)
        instruments.opened(viewer.kind)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._for_ever(work)) for work in self._works]

    async def leave(self, viewer: Viewer) -> None:
        """The last viewer out ends the reading."""
        if viewer in self.viewers:
            self.viewers.remove(viewer)
            instruments.closed(viewer.kind)
        self.unfollow(viewer)
        for topic in viewer.topics():
            self.unwatch(viewer, topic)
        if self.viewers or not self._tasks:
            return
        for known in (self._recent, self.topics, self.stale, self.hungry):
            known.clear()
        pending, self._tasks = set(self._tasks), []
        while pending:  # a Redis client that is just connecting swallows a cancel
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=CANCEL_SECONDS)

    def watch(self, viewer: Viewer, job: UUID, owner: int) -> Watch:
        """Call it when the job was just read; a new topic is read once more: nothing is missed."""
        topic = self.topic(job, owner)
        watch = topic.watchers[viewer] = Watch(topic)
        return watch

    def unwatch(self, viewer: Viewer, topic: Topic) -> None:
        topic.watchers.pop(viewer, None)
        self._drop_unless_wanted(topic)

    def follow(self, viewer: Viewer) -> None:
        """All of the viewer's own jobs, those too that do not exist yet."""
        self.followers.setdefault(viewer.owner, set()).add(viewer)

    def unfollow(self, viewer: Viewer) -> None:
        others = self.followers.get(viewer.owner, set())
        others.discard(viewer)
        if not others and self.followers.pop(viewer.owner, None) is not None:
            for topic in [t for t in self.topics.values() if t.owner == viewer.owner]:
                self._drop_unless_wanted(topic)

    def topic(self, job: UUID, owner: int) -> Topic:
        """The one there is, or a new one, which is then read. Somebody must want it."""
        topic = self.topics.get(job)
        if topic is None:
            self.topics[job] = topic = Topic(job, owner)
            if job in self._recent:
                topic.takes_tick(*self._recent[job])
            self.read_again(topic)
        return topic

    def catch_up(self, viewer: Viewer, topic: Topic) -> None:
        """Tells a new viewer of a job what passed just before."""
        if topic.tick:
            viewer.tick_due(topic)
        if topic.queued:
            if topic.place:
                viewer.place_due(topic)
            self.queue_moved.set()
        if viewer in topic.watchers:
            self.want_preview(topic)

    def want_preview(self, topic: Topic) -> None:
        """Looks whether there is a newer one than the topic's."""
        if not topic.final:
            self.hungry[topic.job] = topic
            self.previews.set()

    def read_again(self, topic: Topic) -> None:
        """Postgres knows more of it, or may."""
        self.stale[topic.job] = topic
        self.news.set()

    def _audience(self, topic: Topic) -> Iterator[Viewer]:
        yield from topic.watchers
        for viewer in self.followers.get(topic.owner, ()):
            if viewer not in topic.watchers and viewer.may_follow(topic):
                yield viewer

    def _drop_unless_wanted(self, topic: Topic) -> None:
        if topic.watchers or (topic.owner in self.followers and not topic.final):
            return
        if self.topics.get(topic.job) is topic:
            del self.topics[topic.job]

    # --- From the feeds -------------------------------------------------------------------

    def take(self, entries: Iterable[stream.Entry]) -> None:
        """Of the ring, in its order."""
        for entry in entries:
            try:
                self._take(entry)
            except Exception:  # of one job; the others' go on
                logger.exception("an entry of the ring about job %s broke", entry.event.job)

    def _take(self, entry: stream.Entry) -> None:
        event = entry.event
        if isinstance(event, Progressed):
            self._remember(event, entry.text)
        elif isinstance(event, Fact):
            self.queue_moved.set()
            if event.state in FINAL:
                self._recent.pop(event.job, None)
        topic = self.topics.get(event.job)
        if topic is not None:
            self._tell(topic, event, entry.text)
        elif isinstance(event, Fact) and entry.owner in self.followers:
            self.topic(event.job, entry.owner)  # a late tick of an ended job brings nothing back

    def _tell(self, topic: Topic, event: Fact | Progressed | Previewed, text: str) -> None:
        if isinstance(event, Fact):
            if event.seq > topic.version:
                self.read_again(topic)
        elif isinstance(event, Progressed):
            if topic.takes_tick(event, text):
                for viewer in self._audience(topic):
                    viewer.tick_due(topic)
        elif topic.hears_of(event) and any(viewer.has_room() for viewer in topic.watchers):
            self.want_preview(topic)

    def _remember(self, tick: Progressed, text: str) -> None:
        known = self._recent.get(tick.job)
        if known is not None and (tick.attempt, tick.step) < (known[0].attempt, known[0].step):
            return
        self._recent[tick.job] = (tick, text)
        self._recent.move_to_end(tick.job)
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    async def take_preview(self, topic: Topic, message: bytes) -> None:
        """The same as the last one is for a viewer that came since."""
        with suppress(ValueError):  # another version's, in the middle of an update
            topic.takes_preview(message)
        if topic.preview is None:
            return
        now_served: Viewer | None = None
        try:
            async with asyncio.timeout(GIVE_SECONDS):
                for now_served, watch in list(topic.watchers.items()):
                    await now_served.give_preview(watch)
        except TimeoutError:
            if now_served is not None:
                now_served.broken()  # its server makes us wait, and with us everybody

    def take_news(self, topic: Topic, news: News | None) -> None:
        """None: the job was deleted."""
        if news is None:
            self.topics.pop(topic.job, None)
            for viewer in list(topic.watchers):
                viewer.gone(topic.job)
            return
        new, topic.workspace = not topic.workspace, news.workspace
        known = topic.version
        if topic.becomes(
            version=news.version,
            state=news.state,
            attempt=news.attempt,
            text=news.snapshot,
            facts=news.facts,
        ):
            for viewer in list(self._audience(topic)):
                viewer.news_due(topic)
                if known and news.at is not None:  # not of what is read for the first time
                    instruments.handed_over(time.time() - news.at)
                if new and topic.tick:  # which came before anybody knew whose it is
                    viewer.tick_due(topic)
        self._drop_unless_wanted(topic)

    def history_lost(self, topic: Topic) -> None:
        """Postgres says less than it did, or something else."""
        logger.warning("the history of job %s went back; its viewers begin anew", topic.job)
        topic.forget()
        self._recent.pop(topic.job, None)
        for viewer in list(self._audience(topic)):
            viewer.history_lost(topic)
        self.read_again(topic)

    def take_place(self, job: UUID, place: int) -> None:
        topic = self.topics.get(job)
        if topic is not None and topic.queued and topic.takes_place(place):
            for viewer in self._audience(topic):
                viewer.place_due(topic)

    async def _for_ever(self, work: Callable[["Hub"], Awaitable[None]]) -> None:
        """A bug in one of them must not leave every page of this process dead but open."""
        while True:
            try:
                await work(self)
            except Exception:
                logger.exception("the live side stumbled; it goes on")
                await asyncio.sleep(STUMBLED_SECONDS)
