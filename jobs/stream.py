"""The live side, in Redis: the ring of announcements and ticks, and the newest preview of a job.

Nothing here is missed when it is lost. Every client has its own time-outs: redis-py's default of
5 s would end a blocking read, and none at all would hang for ever on a frozen Redis.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
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


@cache
def _sender() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=SEND_TIMEOUT, socket_connect_timeout=SEND_TIMEOUT
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
    """A client for one event loop's blocking reads and preview look-ups."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_timeout=30, socket_connect_timeout=SEND_TIMEOUT
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


async def get_preview(client: redis.asyncio.Redis, job: UUID) -> bytes | None:
    """Header and image, ready to send; None when there is none (any more). Raises RedisError."""
    message: bytes | None = await client.get(preview_key(job))
    return message


def _entries(rows: Any) -> Iterator[Entry]:
    for entry_id, fields in rows:
        try:
            owner, event = int(fields[b"owner"]), from_wire(json.loads(fields[b"event"]))
        except (KeyError, TypeError, ValueError) as error:
            # Another version wrote it, in the middle of an update: the facts are in Postgres.
            logger.warning("entry %s of the ring cannot be read (%s)", entry_id, error)
            continue
        yield Entry(owner=owner, event=event)


def last_preview(job: UUID) -> bytes | None:
    """As get_preview, for a thread. Raises RedisError."""
    message: bytes | None = _sender().get(preview_key(job))  # type: ignore[assignment]
    return message


def knocks_waiting(pool: str) -> int:
    """Knocks that no worker has taken yet. Raises RedisError."""
    return int(_sender().llen(f"{settings.BROKER_PREFIX}gpu.{pool}"))  # type: ignore[arg-type]
