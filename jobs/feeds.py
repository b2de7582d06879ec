"""What a web process reads for all of its viewers together, whatever their number.

The ring in Redis is the fast way: one blocking read. Postgres is the sure one: facts are always
read there, and a slow look at the watched jobs covers a dead Redis.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from jobs import history, stream
from jobs.history import POSTGRES_AWAY, for_all
from jobs.hub import Hub
from jobs.metrics import instruments
from jobs.topic import Topic

logger = logging.getLogger(__name__)

POLL_SECONDS = 3.0  # a fact is at most this late, and some queries, while Redis is away
PLACES_SECONDS = 1.0  # at most one look at queue places in this time,
PLACES_SHARE = 0.2  # and at most this share of the time for looking
RECONNECT_SECONDS = 1.0
BATCH = 100  # topics in one query, previews in one answer of Redis

T = TypeVar("T")


async def follow_ring(hub: Hub) -> None:
    ring = stream.follower()
    try:
        await _follow(hub, ring)
    finally:
        await ring.aclose()


async def _follow(hub: Hub, ring: Redis) -> None:
    last = ""
    while True:
        try:
            if last and _moment(await stream.newest_id(ring)) < _moment(last):
                last = ""  # another Redis, or one that came back with less
            entries: list[stream.Entry] = []
            if not last:
                last, entries = await stream.recent(ring, 200)
                hub.take(entries)
            while entries or _moment(await stream.newest_id(ring)) >= _moment(last):
                last, entries = await stream.after(ring, last)
                hub.take(entries)
            last = ""  # it was emptied, by somebody whose clock is behind
        except (RedisError, OSError) as error:
            instruments.redis_failed("ring")
            logger.warning("the ring cannot be read (%s); trying again", type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)


def _moment(entry: str) -> tuple[int, int]:
    """(milliseconds since 1970, number) of a ring entry's id."""
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number)


async def fetch_previews(hub: Hub) -> None:
    client = stream.follower()
    try:
        while True:
            await hub.previews.wait()
            hub.previews.clear()
            due, hub.hungry = list(hub.hungry.values()), {}
            for part in _batches(due):
                await _fetch(hub, client, part)
    finally:
        await client.aclose()


async def _fetch(hub: Hub, client: Redis, topics: Sequence[Topic]) -> None:
    try:
        messages = await stream.get_previews(client, [topic.job for topic in topics])
    except (RedisError, OSError):
        instruments.redis_failed("previews")
        return  # worth nothing later; the follower says that Redis is away
    for topic, message in zip(topics, messages, strict=True):
        if message is not None:
            await hub.take_preview(topic, message)


async def read_news(hub: Hub) -> None:
    while True:
        await hub.news.wait()
        hub.news.clear()
        due, hub.stale = list(hub.stale.values()), {}
        for part in _batches(due):
            try:
                await _read(hub, part)
            except POSTGRES_AWAY as error:
                _log_postgres(error)
                for topic in due:  # those that were read before the break as well: no harm
                    hub.read_again(topic)
                await asyncio.sleep(RECONNECT_SECONDS)
                break


async def _read(hub: Hub, topics: Sequence[Topic]) -> None:
    # Facts only where somebody watches; who follows all of theirs gets snapshots.
    seen = {topic.job: topic.version if topic.watchers else None for topic in topics}
    try:
        found = await for_all(history.read_news, seen)
    except POSTGRES_AWAY:
        raise
    except Exception:
        if len(topics) == 1:
            logger.exception("job %s cannot be read; it is not shown any more", topics[0].job)
            hub.take_news(topics[0], None)
            return
        for topic in topics:  # one that cannot be read must not hide the others
            await _read(hub, [topic])
        return
    for topic in topics:
        hub.take_news(topic, found.get(topic.job))


async def poll(hub: Hub) -> None:
    """Facts that nobody announced to us, and jobs."""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        try:
            for part in _batches(list(hub.topics)):
                known = {job: hub.topics[job].version for job in part if job in hub.topics}
                for job, version, state in await for_all(history.versions, part):
                    topic = hub.topics.get(job)
                    if topic is None:
                        continue
                    if version > topic.version:
                        hub.read_again(topic)
                    elif version < known.get(job, 0) or (
                        version == topic.version and state != topic.state
                    ):
                        hub.history_lost(topic)  # a standby without the newest commits took over
            for owners in _batches(list(hub.followers)):
                for job, owner in await for_all(history.unfinished, owners):
                    if owner in hub.followers:
                        hub.topic(job, owner)
        except POSTGRES_AWAY as error:
            _log_postgres(error)
        hub.queue_moved.set()


async def watch_places(hub: Hub) -> None:
    while True:
        await hub.queue_moved.wait()
        hub.queue_moved.clear()
        began = time.monotonic()
        queued = [job for job, topic in hub.topics.items() if topic.queued]
        try:
            for part in _batches(queued):
                for job, place in (await for_all(history.places, part)).items():
                    hub.take_place(job, place)
        except POSTGRES_AWAY as error:
            _log_postgres(error)
        took = time.monotonic() - began
        await asyncio.sleep(max(PLACES_SECONDS, took / PLACES_SHARE))


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def _log_postgres(error: Exception) -> None:
    logger.warning("Postgres did not answer (%s); trying again", type(error).__name__)
