"""Server-sent events: the same as over the socket, resumed exactly by Last-Event-ID."""

import asyncio
import random
from functools import partial

import pytest
from asgiref.sync import sync_to_async

from tests.live import worker
from tests.live.memory import Memory
from tests.live.programs import Reader, ask, reading
from tests.live.proxy import proxy_to
from tests.live.stage import KINDS, People, Server, Start
from tests.live.viewer import Viewer, viewing

CUTS = 30


async def test_a_program_reads_the_same_events_as_a_page(server: Server, people: People) -> None:
    cookie = await people.cookie(people.alice, server)
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    page = Viewer(server, cookie, job)
    reader = Reader(server, cookie, f"/api/v1/jobs/{job}/events")
    async with viewing(page), reading(reader):
        for each in (page, reader):
            await each.until(lambda memory: memory.seq(job) == 1)
        held = await sync_to_async(worker.claim)()
        for step in range(1, 6):
            await sync_to_async(worker.tick)(held, step)
            await sync_to_async(worker.preview)(held, step)
            for each in (page, reader):
                await each.until(partial(Memory.shows, job=job, moment=(1, step)))
        held = await sync_to_async(worker.hand_back_and_go_on)(held, 5)
        await sync_to_async(worker.succeed)(held)
        assert await reader.until_over() == 204
        await page.until(lambda each: each.snapshots[job]["state"] == "succeeded")
    assert reader.facts[job] == page.facts[job] == await sync_to_async(worker.history)(job)
    assert reader.snapshots == page.snapshots
    ticks = [[m for m in each.heard if m["type"] == "tick"] for each in (page, reader)]
    assert ticks[0] == ticks[1]
    assert len(ticks[0]) == 5
    assert reader.head is not None
    assert (reader.retry_ms, reader.statuses) == (2000, [200, 204])


async def test_facts_resume_exactly_after_every_cut_and_end_with_204(
    server: Server, people: People
) -> None:
    cookie = await people.cookie(people.alice, server)
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    rng = random.Random(5)
    async with proxy_to(server.port) as wire:
        reader = Reader(server, cookie, f"/api/v1/jobs/{job}/events", port=wire.port)
        async with reading(reader):
            held = await sync_to_async(worker.claim)()
            step = 0
            while wire.cuts < CUTS:
                step += 1
                if rng.random() < 0.5:
                    wire.cut()
                else:
                    wire.cut_after(rng.randrange(1, 3000))
                await sync_to_async(worker.tick)(held, step)
                if step % 4 == 0 and held.attempt < 18:
                    held = await sync_to_async(worker.hand_back_and_go_on)(held, step)
                await asyncio.sleep(rng.uniform(0.0, 0.15))
            while reader.opened <= CUTS / 3:  # most cuts came before a slow answer began
                await reader.until_opened_again()
                wire.cut()
            wire.heal()
            await sync_to_async(worker.succeed)(held)
            assert await reader.until_over() == 204
    assert reader.facts[job] == await sync_to_async(worker.history)(job)
    assert reader.opened > CUTS / 3


async def test_one_reads_on_from_wherever_one_says_and_nonsense_is_refused(
    server: Server, people: People
) -> None:
    cookie = await people.cookie(people.alice, server)
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    held = await sync_to_async(worker.claim)()
    await sync_to_async(worker.succeed)(held)
    path = f"/api/v1/jobs/{job}/events"
    for query, header, first in (
        ("", "", 1),
        ("?after=1", "", 2),
        ("", "2", 3),
        ("?after=0", "2", 3),
    ):
        headers = {"Cookie": cookie} | ({"Last-Event-ID": header} if header else {})
        answer = await ask(server, "GET", path + query, headers=headers)
        lines = [line for line in answer.body.decode().split("\n") if line.startswith("id: ")]
        assert lines == [f"id: {seq}" for seq in range(first, 4)]
    done = await ask(server, "GET", path, headers={"Cookie": cookie, "Last-Event-ID": "3"})
    assert (done.status, done.body) == (204, b"")
    for nonsense in ("x", "-1", "1.5", "1e3", "²", "0x1", "1" * 400, "9" * 19, "1 2", "NaN"):
        named = {"Cookie": cookie, "Last-Event-ID": nonsense}
        answer = await ask(server, "GET", path, headers=named)
        assert (answer.status, answer.json()["code"]) == (400, "bad_spec"), nonsense
    for nonsense in ("x", "-1", "%00", "1" * 400):
        answer = await ask(server, "GET", f"{path}?after={nonsense}", cookie=cookie)
        assert answer.status == 400, nonsense


async def test_the_list_of_ones_own_jobs_is_read_as_events(server: Server, people: People) -> None:
    cookies = [await people.cookie(user, server) for user in (people.alice, people.olga)]
    mine, olgas = (Reader(server, cookie, "/api/v1/events") for cookie in cookies)
    async with reading(mine, olgas):
        job = (await sync_to_async(worker.submit)(people.alice)).pk
        await mine.until(lambda each: job in each.snapshots and each.places.get(job) == 0)
        held = await sync_to_async(worker.claim)()
        await sync_to_async(worker.tick)(held, 3)
        await mine.until(lambda each: each.ticks.get(job) == (1, 3))
        await sync_to_async(worker.succeed)(held)
        await mine.until(lambda each: each.snapshots[job]["state"] == "succeeded")
    assert (mine.counts["fact"], mine.counts["preview"]) == (0, 0)
    assert olgas.heard == []


async def test_the_newest_preview_is_fetched_by_its_address(server: Server, people: People) -> None:
    cookie = await people.cookie(people.alice, server)
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    path = f"/api/v1/jobs/{job}/preview"
    assert (await ask(server, "GET", path, cookie=cookie)).status == 404
    page = Viewer(server, cookie, job)
    async with viewing(page):
        held = await sync_to_async(worker.claim)()
        await sync_to_async(worker.preview)(held, 1)
        await sync_to_async(worker.preview)(held, 2)
        await page.until(lambda each: each.previews.get(job) == (1, 2))
    answer = await ask(server, "GET", path, cookie=cookie)
    assert answer.status == 200
    assert answer.body == page.images[job]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_beats_while_nothing_happens_and_ends_in_time(
    kind: str, start: Start, people: People
) -> None:
    """After five minutes otherwise: that bounds what can wait for a reader that stalls."""
    times = ["jobs.sse.HEARTBEAT_SECONDS=0.3", "jobs.sse.STREAM_SECONDS=1.5"]
    server = await start(kind, shorter=times)
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    cookie = await people.cookie(people.alice, server)
    reader = Reader(server, cookie, f"/api/v1/jobs/{job}/events")
    async with reading(reader):
        await reader.until(lambda each: each.beats >= 3)
        await reader.until(lambda each: each.opened >= 3)
        held = await sync_to_async(worker.claim)()
        await sync_to_async(worker.succeed)(held)
        assert await reader.until_over() == 204
    assert reader.facts[job] == await sync_to_async(worker.history)(job)
