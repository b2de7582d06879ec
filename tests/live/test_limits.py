"""What one viewer, one person and one silence may cost."""

import asyncio
import json
import time

import pytest
from asgiref.sync import sync_to_async

from tests.live import worker
from tests.live.stage import KINDS, People, Server, Start
from tests.live.viewer import Viewer, dial, end_of, viewing

BAD_MESSAGE, SILENT, TOO_MANY = 4400, 4408, 4429


async def test_a_subscription_to_too_many_jobs_closes_the_socket(
    server: Server, people: People
) -> None:
    jobs = [
        (await sync_to_async(worker.submit)(user)).pk
        for user in (people.alice, people.bob)
        for _ in range(51)
    ]
    page = Viewer(server, await people.cookie(people.olga, server), *jobs[:100], comes_back=False)
    async with viewing(page):
        await page.until(lambda each: len(each.snapshots) == 100)
        await page.say({"type": "unsubscribe", "job": str(jobs[0])})
        await page.say({"type": "subscribe", "job": str(jobs[100])})
        await page.until(lambda each: len(each.snapshots) == 101)
        await page.say({"type": "subscribe", "job": str(jobs[101])})
        assert await page.until_closed() == BAD_MESSAGE


async def test_one_person_has_fifty_connections_and_others_have_theirs(
    server: Server, people: People
) -> None:
    cookie = await people.cookie(people.alice, server)
    pages = [Viewer(server, cookie, mine=True) for _ in range(50)]
    bob = Viewer(server, await people.cookie(people.bob, server), mine=True)
    async with viewing(*pages):
        for page in pages:
            await page.until_live()
        async with dial(server, cookie=cookie) as one_more:
            assert await end_of(one_more) == TOO_MANY
        async with viewing(bob):
            await bob.until_live()
        await pages[0].stop()
        async with dial(server, cookie=cookie) as in_its_place:
            await in_its_place.send('{"type": "ping"}')
            assert await in_its_place.recv() == '{"type": "pong"}'
    assert [page.opened for page in pages] == 50 * [1]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_silent_socket_is_closed_and_one_that_pings_is_not(
    kind: str, start: Start, people: People
) -> None:
    """After 90 s otherwise; more than a busy machine may stop for."""
    times = ["jobs.websocket.SILENT_SECONDS=6.0", "jobs.sentry.CLOCK_SECONDS=0.2"]
    server = await start(kind, shorter=times)
    cookie = await people.cookie(people.alice, server)
    page = Viewer(server, cookie, mine=True)
    async with viewing(page):
        async with dial(server, cookie=cookie) as socket:
            closing = asyncio.create_task(end_of(socket))
            while not closing.done():
                await page.until_live()
                await asyncio.sleep(0.2)
        assert closing.result() == SILENT
        await page.until_live()
    assert page.opened == 1


async def test_who_never_answers_gets_so_much_and_no_more(server: Server, people: People) -> None:
    """Two previews, and 64 KB of text: what a viewer that stalls can cost at the most."""
    cookie = await people.cookie(people.alice, server)
    jobs = [(await sync_to_async(worker.submit)(people.alice)).pk for _ in range(20)]
    held = [await sync_to_async(worker.claim)() for _ in jobs]
    mute = Viewer(server, cookie, *jobs, mine=True, acknowledges=False, answers=False)
    page = Viewer(server, cookie, *jobs, mine=True)
    async with viewing(mute, page):
        step = 0
        until = time.monotonic() + 120
        while page.text_bytes < 2 * 64 * 1024:
            assert time.monotonic() < until, page.story()
            step += 1
            for each in held:
                await sync_to_async(worker.tick)(each, step)
                await sync_to_async(worker.preview)(each, step)
        await page.until_live()
        longest = max(len(json.dumps(each)) for each in mute.heard)
        assert mute.text_bytes < 64 * 1024 + longest + 100
        assert mute.counts["preview"] == 2
        # It comes to itself, and sees all at once what there is.
        mute.answers = mute.acknowledges = True
        pings = [each["n"] for each in mute.heard if each["type"] == "ping"]
        await mute.say({"type": "pong", "n": pings[-1]})
        await mute.acknowledge()
        await mute.until(lambda each: each.ticks == dict.fromkeys(jobs, (1, step)))
        await mute.until(lambda each: each.previews == dict.fromkeys(jobs, (1, step)))
