"""The live side, in Redis: the ring of announcements and ticks, and the newest preview of a job.

Nothing here is missed when it is lost. Every client has its own time-outs: redis-py's default of
5 s would end a blocking read, and none at all would hang for ever on a frozen Redis.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import redis
import redis.asyncio
from django.conf import settings

from jobs.events import Fact, Previewed, PreviewHeader, Progressed, from_wire, to_wire

logger = logging.getLogger(__name__)

RING = "t2v:ring"
RING_LENGTH = 10_000  # entries, about; an entry is some 300 bytes
PREVIEW_SECONDS = 900
MAX_PREVIEW_BYTES = 30 * 1024
BLOCK_MS = 5_000  # one blocking read of the ring
SEND_TIMEOUT = 2.0  # seconds, for everything that does not block


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the ring: whose job it is about, and what it says."""

    owner: int
    event: Fact | Progressed | Previewed
    text: str  # the event as viewers get it


def _sender() -> redis.Redis:
    return _sender_to(settings.REDIS_URL)


@lru_cache(maxsize=4)
def _sender_to(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_timeout=SEND_TIMEOUT, socket_connect_timeout=SEND_TIMEOUT
    )


def preview_key(job: UUID) -> str:
    return f"t2v:preview:{job}"


def announce(owner: int, event: Fact | Progressed | Previewed) -> None:
    """Appends to the ring. Raises RedisError."""
    fields = {"owner": str(owner), "event": json.dumps(to_wire(event))}
    _sender().xadd(RING, fields, maxlen=RING_LENGTH, approximate=True)  # type: ignore[arg-type]


def put_preview(owner: int, header: PreviewHeader, image: bytes) -> None:
    """Replaces the job's preview and announces it. Raises RedisError; ValueError when too large."""
    if len(image) > MAX_PREVIEW_BYTES:
        raise ValueError(f"a preview has at most {MAX_PREVIEW_BYTES} bytes, not {len(image)}")
    _sender().set(preview_key(header.job), header.pack() + image, ex=PREVIEW_SECONDS)
    announce(owner, Previewed(job=header.job, attempt=header.attempt, step=header.step))


def follower() -> redis.asyncio.Redis:
    """A client of one task, which sends one command after the other."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=30,
        socket_connect_timeout=SEND_TIMEOUT,
        single_connection_client=True,  # a pool costs each command as much again
    )


async def recent(client: redis.asyncio.Redis, count: int) -> tuple[str, list[Entry]]:
    """The newest entries, oldest first, and where the ring ends. Raises RedisError."""
    rows: Any = await client.xrevrange(RING, count=count)
    return (rows[0][0].decode() if rows else "0-0"), list(_entries(reversed(rows)))


async def after(client: redis.asyncio.Redis, last: str) -> tuple[str, list[Entry]]:
    """Entries after that id, and the newest id; waits up to BLOCK_MS. Raises RedisError."""
    answer: Any = await client.xread({RING: last}, count=500, block=BLOCK_MS)
    rows = [row for _, part in answer or [] for row in part]
    return (rows[-1][0].decode() if rows else last), list(_entries(rows))


async def newest_id(client: redis.asyncio.Redis) -> str:
    """Where the ring ends now. Raises RedisError."""
    rows: Any = await client.xrevrange(RING, count=1)
    return rows[0][0].decode() if rows else "0-0"


async def get_previews(client: redis.asyncio.Redis, jobs: Sequence[UUID]) -> list[bytes | None]:
    """Of each job header and image, ready to send; None where there is none. Raises RedisError."""
    messages: list[bytes | None] = await client.mget([preview_key(job) for job in jobs])
    return messages


def _entries(rows: Any) -> Iterator[Entry]:
    for entry_id, fields in rows:
        try:
            owner, text = int(fields[b"owner"]), fields[b"event"].decode()
            event = from_wire(json.loads(text))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            # Another version wrote it, in the middle of an update: the facts are in Postgres.
            logger.warning("entry %s of the ring cannot be read (%s)", entry_id, error)
            continue
        yield Entry(owner=owner, event=event, text=text)


def last_preview(job: UUID) -> bytes | None:
    """As get_previews of one job, for a thread. Raises RedisError."""
    message: bytes | None = _sender().get(preview_key(job))  # type: ignore[assignment]
    return message


def knocks_waiting(pool: str) -> int:
    """Knocks that no worker has taken yet. Raises RedisError."""
    return int(_sender().llen(f"{settings.BROKER_PREFIX}gpu.{pool}"))  # type: ignore[arg-type]


def deliveries_waiting() -> int:
    """Knocks that no sender of webhooks has taken yet. Raises RedisError."""
    return int(_sender().llen(f"{settings.BROKER_PREFIX}web"))  # type: ignore[arg-type]
