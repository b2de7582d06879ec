"""Viewers and whole web processes that stand still: they cost little, and others notice nothing."""

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import redis
from asgiref.sync import sync_to_async

from jobs.actions import Claim
from tests.live import worker
from tests.live.programs import Reader, reading
from tests.live.stage import KINDS, People, Server, Start, database_url
from tests.live.viewer import Viewer, dial, viewing
from tests.stage import ROOT

STALL_SECONDS = float(os.environ.get("LIVE_STALL_SECONDS", "15"))  # python -m tests.live.stall: 60
USUAL_SECONDS = 5.0  # before that, to compare with
JOBS, RATE = 50, 20  # running jobs, previews a second of each
GROWN_BYTES = 5_000_000
SMALL_BUFFER = 4096  # bytes that the stalled client's own kernel takes; the smallest there is
ENOUGH_OF_IT = (
    0.2  # of the previews that were to be sent: kept, they would be ten times GROWN_BYTES
)
BUSY_SECONDS = 5.0  # what two cores that run other tests too may add; the stall takes 15


@asynccontextmanager
async def _publishing(held: list[Claim], seconds: float) -> AsyncIterator[None]:
    """The pace is kept by a process of its own."""
    jobs = ",".join(str(each.job) for each in held)
    words = [str(seconds), str(RATE), str(held[0].owner), jobs]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.live.publisher", *words),
        cwd=ROOT,
        env={**os.environ, "T2V_DATABASE_URL": database_url()},
        stdout=subprocess.PIPE,
    )
    try:
        yield
        said, _ = await asyncio.wait_for(process.communicate(), seconds + 30)
        assert int(said) > ENOUGH_OF_IT * JOBS * RATE * seconds, (
            "too busy a machine to say anything"
        )
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def _stalled(server: Server, cookie: str, held: list[Claim]) -> AsyncIterator[None]:
    """A page that asks for everything and then reads nothing: its process was stopped."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    line.connect(("127.0.0.1", server.port))
    line.setblocking(False)
    async with dial(server, cookie=cookie, sock=line, max_queue=1) as page:
        await page.send('{"type": "subscribe", "mine": true}')
        for each in held:
            await page.send(f'{{"type": "subscribe", "job": "{each.job}"}}')
        page.transport.pause_reading()
        yield
        page.transport.abort()


def _p99(page: Viewer, since: float, until: float) -> float:
    delays = [seconds for when, seconds in page.preview_delays if since <= when < until]
    assert len(delays) > 20, len(delays)
    return statistics.quantiles(delays, n=100)[98]


@asynccontextmanager
async def _stalled_reader(server: Server, cookie: str) -> AsyncIterator[None]:
    """A program that asked for all of its events and then reads nothing."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    line.connect(("127.0.0.1", server.port))
    head = f"GET /api/v1/events HTTP/1.1\r\nHost: {server.host}\r\nCookie: {cookie}\r\n\r\n"
    line.sendall(head.encode())
    try:
        yield
    finally:
        line.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_what_stands_still_costs_little_and_nobody_else_notices(
    kind: str,
    start: Start,
    people: People,
    empty_redis: redis.Redis,
) -> None:
    """Fifty jobs with twenty previews a second; a page, a program and a web process stand still."""
    server, still = await start(kind), await start(kind)
    cookie = await people.cookie(people.alice, server)
    for _ in range(JOBS):
        await sync_to_async(worker.submit)(people.alice)
    held = [await sync_to_async(worker.claim)() for _ in range(JOBS)]
    pages = [Viewer(server, cookie, each.job) for each in held[:4]]
    listing = Viewer(server, cookie, mine=True)
    reader = Reader(server, cookie, f"/api/v1/jobs/{held[0].job}/events")
    patient = Viewer(still, await people.cookie(people.alice, still), held[0].job, mine=True)
    async with (
        viewing(*pages, listing, patient),
        reading(reader),
        _publishing(held, USUAL_SECONDS + STALL_SECONDS + 4),
    ):
        for page in (*pages, listing, patient, reader):
            await page.until(lambda each: each.counts["tick"] > 20, 60)
        await pages[0].until(lambda each: each.counts["preview"] > 20)
        began = time.time()
        await asyncio.sleep(USUAL_SECONDS)  # the measuring time itself; nothing is waited for
        async with (
            _stalled(server, await people.cookie(people.alice, server), held),
            _stalled_reader(server, cookie),
        ):
            await pages[0].until_live()
            memory, stalled = server.private_bytes(), time.time()
            still.send(signal.SIGSTOP)
            await asyncio.sleep(STALL_SECONDS)
            ended, grown = time.time(), server.private_bytes() - memory
            database = str(empty_redis.get_connection_kwargs()["db"])
            clients = cast(Any, empty_redis.client_list())  # of the tests beside this one too
            waiting = max(int(each["omem"]) for each in clients if each["db"] == database)
            still.send(signal.SIGCONT)
        # What stood still goes on where it was.
        before = patient.counts["tick"]
        await patient.until(lambda each: each.counts["tick"] > before)
        for each in held[:4]:
            await sync_to_async(worker.succeed)(each)
        for page in (*pages, patient):
            await page.until(lambda each: each.seq(each.jobs[0]) == 3)
    usual, stalling = (
        max(_p99(page, since, until) for page in pages)
        for since, until in ((began, stalled), (stalled, ended))
    )
    print(f"{kind}: grown {grown} bytes, {waiting} waiting in Redis")  # noqa: T201 - figures
    print(f"{kind}: p99 {usual:.3f} s, while stalled {stalling:.3f} s")  # noqa: T201
    assert grown < GROWN_BYTES
    assert waiting < GROWN_BYTES
    assert stalling < 2 * usual + BUSY_SECONDS
    assert [page.opened for page in (*pages, listing)] == 5 * [1]
