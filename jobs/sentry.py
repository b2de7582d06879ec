"""Whether those who watch still may, and are still there.

Rights are looked up again at once when somebody's changed (the one use of the channel layer, which
may lose the word), and every RECHECK_SECONDS whatever was lost.
"""

import asyncio
import logging
import time
from contextlib import suppress
from uuid import UUID

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from accounts.sessions import Credential, Standing
from jobs import history
from jobs.dispatch import CONTROL
from jobs.history import POSTGRES_AWAY, for_all
from jobs.hub import Hub
from jobs.topic import Viewer

logger = logging.getLogger(__name__)

CLOCK_SECONDS = 5.0  # how often is looked who is due
RECHECK_SECONDS = 30.0  # each viewer's rights are looked up again this often
REJOIN_SECONDS = 60.0  # a Redis that forgot our place in the control group hears of it again
RECONNECT_SECONDS = 1.0
BATCH = 100  # viewers in one look


async def hear_of_rights(hub: Hub) -> None:
    layer = get_channel_layer()
    assert layer is not None
    channel = await layer.new_channel()
    try:
        while True:
            try:
                await layer.group_add(CONTROL, channel)
                async with asyncio.timeout(REJOIN_SECONDS):
                    while True:
                        message = await layer.receive(channel)
                        hub.suspects.add(int(message["user"]))
                        hub.alarm.set()
            except TimeoutError:
                continue
            except (RedisError, OSError):
                await asyncio.sleep(RECONNECT_SECONDS)  # rights are looked up all the same
    finally:
        with suppress(RedisError, OSError):  # else it stays for a day, and each word goes there too
            await layer.group_discard(CONTROL, channel)


async def keep_the_clock(hub: Hub) -> None:
    """Apart from the rights: that Postgres hangs makes nobody silent."""
    while True:
        await asyncio.sleep(CLOCK_SECONDS)
        now = time.monotonic()
        for viewer in list(hub.viewers):
            viewer.clock(now)


async def check_rights(hub: Hub) -> None:
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOCK_SECONDS):
                await hub.alarm.wait()
        hub.alarm.clear()
        suspects, hub.suspects = hub.suspects, set()
        now = time.monotonic()
        due = [
            viewer
            for viewer in hub.viewers
            if viewer.owner in suspects or now - viewer.checked >= RECHECK_SECONDS
        ]
        for start in range(0, len(due), BATCH):
            await _look_up_rights(due[start : start + BATCH], now)


async def _look_up_rights(viewers: list[Viewer], now: float) -> None:
    """Pages of one person that show the same ask once."""
    asked: dict[tuple[Credential, frozenset[UUID]], list[Viewer]] = {}
    for viewer in viewers:
        jobs = frozenset(topic.job for topic in viewer.topics())
        asked.setdefault((viewer.credential, jobs), []).append(viewer)
    try:
        answers = await for_all(history.rights, list(asked))
    except POSTGRES_AWAY as error:
        # Who stays unchecked for too long gets nothing until it was possible.
        logger.warning("rights cannot be looked up (%s); trying again", type(error).__name__)
        return
    for same, rights in zip(asked.values(), answers, strict=True):
        if rights is None:
            continue
        for viewer in same:
            good = rights.standing is Standing.GOOD
            if not good or rights.lost or viewer.sees_less(rights.places):
                viewer.rights_lost(rights.standing)
            else:
                viewer.rights_kept(rights.places, now)
