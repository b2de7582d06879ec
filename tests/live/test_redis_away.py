"""Redis killed, frozen and back: facts arrive all the while, ticks and previews return."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings, settings
from redis.exceptions import RedisError

from jobs import dispatch, stream
from jobs.actions import Claim
from jobs.models import JobEvent
from t2v_site.redis_server import Redis
from tests.live import worker
from tests.live.memory import Moment
from tests.live.stage import People, Start, own_redis
from tests.live.viewer import Viewer, pulse, viewing

PROMISE_SECONDS = 5.0
RETURN_SECONDS = 30.0  # until the server has found Redis again and ticks come through


@pytest.fixture
async def lonely(settings: LazySettings, tmp_path: Path) -> AsyncIterator[Redis]:
    """A Redis that only this test and its server use; this process sends into it as well."""
    with own_redis(tmp_path / "redis") as redis:
        settings.REDIS_URL = f"redis://:{redis.password}@127.0.0.1:{redis.port}/0"
        yield redis
        redis.send(signal.SIGCONT)
        assert dispatch.wait_empty(30)


async def _fact_arrives(page: Viewer, held: Claim) -> tuple[Claim, float]:
    """The next attempt's claim, and the seconds from the commit to the page."""
    held = await sync_to_async(worker.hand_back_and_go_on)(held, 1)
    newest = await JobEvent.objects.filter(job=held.job).order_by("seq").alast()
    assert newest is not None
    await page.until(lambda each: each.seq(held.job) >= newest.seq)
    return held, page.fact_arrivals[held.job, newest.seq] - newest.at.timestamp()


async def _ticks_come(page: Viewer, held: Claim) -> float:
    """Seconds until a tick and a preview came through; a worker sends them on and on."""
    began, step = time.monotonic(), 10
    while page.ticks.get(held.job, (0, 0))[0] < held.attempt or (
        page.previews.get(held.job, (0, 0))[0] < held.attempt
    ):
        assert time.monotonic() - began < RETURN_SECONDS, page.story()
        step += 1
        try:
            await sync_to_async(worker.tick)(held, step)
            await sync_to_async(worker.preview)(held, step)
        except RedisError:
            pass  # its connection died with the old Redis; a worker goes on as well
        await asyncio.sleep(0.2)
    return time.monotonic() - began


def _write_tomorrow(held: Claim) -> None:
    """The newest entry of the ring has an id of a day ahead."""
    worker.tick(held, 100)
    sender = stream._sender()
    [(_, fields)] = cast(Any, sender.xrevrange(stream.RING, count=1))
    sender.xadd(stream.RING, fields, id=str(int((time.time() + 86_400) * 1000)))


def _ticked(job: UUID, moment: Moment, page: Viewer) -> bool:
    return page.ticks.get(job) == moment


def _shows(job: UUID, preview: Moment, page: Viewer) -> bool:
    return page.previews.get(job) == preview


# Each server once and each way once: what is tried is ours, and seconds of waiting.
@pytest.mark.parametrize(
    ("fault", "kind"),
    [(signal.SIGKILL, "daphne"), (signal.SIGSTOP, "uvicorn")],
    ids=["killed", "frozen"],
)
async def test_facts_arrive_within_five_seconds_while_redis_is_away_and_ticks_return(
    kind: str,
    fault: signal.Signals,
    start: Start,
    lonely: Redis,
    people: People,
) -> None:
    server = await start(kind, T2V_REDIS_URL=settings.REDIS_URL)
    cookie = await people.cookie(people.alice, server)
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    page = Viewer(server, cookie, job)
    slow = Viewer(server, cookie, job, acknowledges=False)
    async with viewing(page, slow):
        held = await sync_to_async(worker.claim)()
        await _ticks_come(page, held)
        for step in (97, 98, 99):
            await sync_to_async(worker.preview)(held, step)
            await page.until(partial(_shows, job, (1, step)))
        await slow.until(lambda each: each.counts["preview"] == 2)
        if fault is signal.SIGKILL:
            # It comes back empty and with a clock that is behind: all its ids are smaller.
            await sync_to_async(_write_tomorrow)(held)
            await page.until(partial(_ticked, job, (1, 100)))

        lonely.send(fault)
        # It asks Redis for the newest preview, now that there is nobody to answer.
        await slow.acknowledge()
        for _ in range(3):
            async with pulse(server, cookie) as stood_still:
                held, seconds = await _fact_arrives(page, held)
            assert seconds < PROMISE_SECONDS + max(stood_still)
            await asyncio.sleep(0.7)
        newcomer = Viewer(server, cookie, job, mine=True)
        async with viewing(newcomer):
            await newcomer.until(lambda each: each.seq(job) == page.seq(job))
            await newcomer.until(lambda each: job in each.snapshots)

        if fault is signal.SIGKILL:
            (lonely.folder / "appendonly.aof").unlink()
            await asyncio.to_thread(lonely.start)
        else:
            lonely.send(signal.SIGCONT)
        await _ticks_come(page, held)
        await sync_to_async(worker.succeed)(held)
        await page.until(lambda each: each.snapshots[job]["state"] == "succeeded")
    assert page.facts[job] == await sync_to_async(worker.history)(job)
    assert (page.opened, slow.opened) == (1, 1)  # the sockets stayed
