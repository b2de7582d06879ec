"""A web process that dies and comes back: its pages resume exactly."""

import asyncio

import pytest
from asgiref.sync import sync_to_async

from jobs import closing
from tests.live import worker
from tests.live.programs import Reader, reading
from tests.live.stage import KINDS, People, Server, Start
from tests.live.viewer import Viewer, viewing

DIED = 1006
END_SECONDS = 20.0  # of a busy machine


@pytest.mark.parametrize("kind", KINDS)
async def test_pages_resume_exactly_when_a_killed_web_process_is_back(
    kind: str, start: Start, people: People
) -> None:
    server = await start(kind)
    cookie = await people.cookie(people.alice, server)
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    whole, listing = Viewer(server, cookie, job), Viewer(server, cookie, mine=True)
    async with viewing(whole, listing):
        held = await sync_to_async(worker.claim)()
        await sync_to_async(worker.tick)(held, 3)
        await sync_to_async(worker.preview)(held, 3)
        await whole.until(lambda page: (1, 3) == page.ticks.get(job) == page.previews.get(job))
        await asyncio.to_thread(server.kill)
        await whole.until(lambda page: page.codes)
        held = await sync_to_async(worker.hand_back_and_go_on)(held, 3)
        await sync_to_async(worker.tick)(held, 4)
        await asyncio.to_thread(server.start)
        await whole.until(lambda page: page.seq(job) == 5)  # the fifth is "resumed"
        # What passed while nobody read the ring is on the page too: the newest of it.
        await whole.until(lambda page: page.ticks[job] == (2, 4))
        await sync_to_async(worker.preview)(held, 5)
        await whole.until(lambda page: page.previews[job] == (2, 5))
        await sync_to_async(worker.succeed)(held)
        for page in (whole, listing):
            await page.until(lambda each: each.snapshots[job]["state"] == "succeeded")
        await whole.until(lambda page: page.seq(job) == 6)
    assert whole.facts[job] == await sync_to_async(worker.history)(job)
    assert set(whole.codes) == {DIED}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_web_process_that_is_stopped_in_order_ends_at_once_and_says_so(
    kind: str, start: Start, people: People
) -> None:
    server = await start(kind)
    page = Viewer(server, await people.cookie(people.alice, server), mine=True, comes_back=False)
    async with viewing(page):
        await page.until_live()
        took = await asyncio.to_thread(server.stop)
        assert await page.until_closed() == closing.SERVER_ENDS
    assert took < END_SECONDS
    assert "are cut off" not in server.said()


async def test_a_page_that_knows_more_than_the_database_is_told_its_history_anew(
    server: Server, people: People
) -> None:
    """The database was restored from an older copy: what the page has is not so any more."""
    cookie = await people.cookie(people.alice, server)
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    page = Viewer(server, cookie, job)
    reader = Reader(server, cookie, f"/api/v1/jobs/{job}/events")
    for each in (page, reader):
        each.facts[job] = [{"seq": seq} for seq in range(1, 51)]
    reader.last_id = "50"
    async with viewing(page), reading(reader):
        for each in (page, reader):
            await each.until(lambda memory: memory.seq(job) == 1)
        held = await sync_to_async(worker.claim)()
        await sync_to_async(worker.succeed)(held)
        for each in (page, reader):
            await each.until(lambda memory: memory.seq(job) == 3)
        assert await reader.until_over() == 204
    for each in (page, reader):
        assert [(told["job"], told["first"]) for told in each.histories] == [(str(job), 1)]
        assert each.facts[job] == await sync_to_async(worker.history)(job)
