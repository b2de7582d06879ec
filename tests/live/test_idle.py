"""Sockets on which nothing happens: they live, and they end with their server."""

import asyncio
import time
from functools import partial
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from tests.live import worker
from tests.live.programs import Reader, reading
from tests.live.stage import KINDS, People, Start
from tests.live.viewer import Viewer, viewing

AT_ONCE_SECONDS = 20.0  # of a busy machine; what was asleep would wake by its next ping, 30 s
END_SECONDS = 20.0  # of a busy machine
IDLE_SECONDS = 36.0  # longer than any time-out of Redis clients and servers, and than our own 30 s


async def test_idle_sockets_live_and_hear_the_first_tick_at_once(
    start: Start, people: People
) -> None:
    """Under both servers at the same time: it is mostly waiting."""
    servers = [await start(kind) for kind in KINDS]
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    held = await sync_to_async(worker.claim)()
    cookies = [await people.cookie(people.alice, server) for server in servers]
    pages = [Viewer(*each, job) for each in zip(servers, cookies, strict=True)]
    pages += [Viewer(*each) for each in zip(servers, cookies, strict=True)]  # bare ones
    paths = ("/api/v1/events", f"/api/v1/jobs/{job}/events")
    readers = [Reader(*each, path) for each in zip(servers, cookies, strict=True) for path in paths]
    async with viewing(*pages), reading(*readers):
        began = time.monotonic()
        for page in pages[:2]:
            await page.until(lambda each: each.seq(job) == 2)
        for page in pages:
            await page.until(lambda each: each.counts["ping"], IDLE_SECONDS + AT_ONCE_SECONDS)
        for reader in readers:
            await reader.until(lambda each: each.beats >= 2, IDLE_SECONDS)
        await asyncio.sleep(began + IDLE_SECONDS - time.monotonic())
        sent = time.monotonic()
        await sync_to_async(worker.tick)(held, 1)
        for each in (*pages[:2], *readers):
            await each.until(lambda memory: memory.ticks.get(job) == (1, 1), AT_ONCE_SECONDS)
        print(f"the first tick came after {time.monotonic() - sent:.3f} s")  # noqa: T201 - figures
        for page in pages:
            await page.until_live()
        assert {each.opened for each in (*pages, *readers)} == {1}
        for server in servers:
            assert "cannot be read" not in server.said(), server.said()
        stops = [asyncio.to_thread(server.stop) for server in servers]
        for page in pages:
            page.comes_back = False
        took = await asyncio.gather(*stops)
    assert max(took) < END_SECONDS, took
    for server in servers:
        assert "are cut off" not in server.said(), server.said()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_page_that_comes_right_after_another_hears_ticks_at_once(
    kind: str, start: Start, people: People
) -> None:
    """One person who goes from page to page: the last viewer has just gone.

    A reader that begins anew after an error waits a minute here, and a second otherwise.
    """
    server = await start(kind, shorter=["jobs.feeds.RECONNECT_SECONDS=60.0"])
    cookie = await people.cookie(people.alice, server)
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    held = await sync_to_async(worker.claim)()
    waited = []
    for step in range(1, 16):
        page = Viewer(server, cookie, job)
        async with viewing(page):
            await page.until(lambda each: each.snapshots)
            began = time.monotonic()
            await sync_to_async(worker.tick)(held, step)
            await page.until(partial(_ticked, job, step), AT_ONCE_SECONDS)
            waited.append(time.monotonic() - began)
    assert min(waited) < 0.9, waited


def _ticked(job: UUID, step: int, page: Viewer) -> bool:
    return page.ticks.get(job) == (1, step)
