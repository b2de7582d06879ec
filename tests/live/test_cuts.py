"""Wires that break: whatever was on its way, each page sees every fact once and in order."""

import asyncio
import os
import random
from contextlib import AsyncExitStack

from asgiref.sync import sync_to_async

from jobs.actions import Claim
from tests.live import worker
from tests.live.proxy import Proxy, proxy_to
from tests.live.stage import People, Server
from tests.live.viewer import Viewer, viewing

CUTS = 100
JOBS = 3
LEAST_OPENED = 5  # times that each viewer was in
MOST_HANDED_ON = 18  # a job is parked after 20 releases


async def _play(held: Claim, rng: random.Random, cutting: "asyncio.Task[None]") -> None:
    """One job through attempt after attempt, and to its success when the last wire was cut."""
    step = 0
    while not cutting.done():
        step += 1
        await sync_to_async(worker.tick)(held, step)
        await sync_to_async(worker.preview)(held, step)
        if step % 5 == 0 and held.attempt < MOST_HANDED_ON:
            held = await sync_to_async(worker.hand_back_and_go_on)(held, step)
        await asyncio.sleep(rng.uniform(0.0, 0.1))
    await sync_to_async(worker.succeed)(held)


async def _cut(proxies: list[Proxy], viewers: list[Viewer], rng: random.Random) -> None:
    """Half of the cuts come at a moment, half after so many bytes: in the middle of a frame."""
    while sum(proxy.cuts for proxy in proxies) < CUTS:
        proxy = rng.choice(proxies)
        if rng.random() < 0.5:
            proxy.cut()
        else:
            proxy.cut_after(rng.randrange(1, 20_000))
        await asyncio.sleep(rng.uniform(0.0, 0.1))
    for proxy, viewer in zip(proxies, viewers, strict=True):
        while viewer.opened <= LEAST_OPENED:  # most cuts hit a slow handshake
            await viewer.until_opened_again()
            proxy.cut()


async def test_a_hundred_cuts_lose_no_fact_and_nothing_goes_backwards(
    server: Server,
    people: People,
) -> None:
    seed = int(os.environ.get("LIVE_SEED", random.randrange(1 << 32)))
    rng = random.Random(seed)
    print(f"LIVE_SEED={seed} does the same cuts again")  # noqa: T201 - shown when it fails
    alices, olgas = (
        await people.cookie(people.alice, server),
        await people.cookie(people.olga, server),
    )
    jobs = [(await sync_to_async(worker.submit)(people.alice)).pk for _ in range(JOBS)]
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(proxy_to(server.port)) for _ in range(4)]
        viewers = [
            Viewer(server, alices, *jobs, port=proxies[0].port),
            Viewer(server, alices, *jobs, mine=True, port=proxies[1].port),
            Viewer(server, olgas, *jobs, port=proxies[2].port),
            Viewer(server, alices, mine=True, port=proxies[3].port),
        ]
        async with viewing(*viewers):
            cutting = asyncio.create_task(_cut(proxies, viewers, rng))
            held = [await sync_to_async(worker.claim)() for _ in jobs]
            await asyncio.gather(*(_play(each, rng, cutting) for each in held))
            for proxy in proxies:
                proxy.heal()
            await cutting
            for viewer in viewers:
                await viewer.until(_all_done)
        for job in jobs:
            expected = await sync_to_async(worker.history)(job)
            for viewer in viewers[:3]:
                assert viewer.facts[job] == expected, viewer.story()
    assert sum(proxy.cuts for proxy in proxies) >= CUTS
    assert min(viewer.opened for viewer in viewers) > LEAST_OPENED


def _all_done(viewer: Viewer) -> bool:
    shown = viewer.snapshots
    done = len(shown) == JOBS and all(job["state"] == "succeeded" for job in shown.values())
    return done and all(viewer.seq(job) == shown[job]["version"] for job in viewer.jobs)
