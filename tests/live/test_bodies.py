"""A body that nothing takes is not taken in, whoever sends it and however it comes."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from asgiref.sync import sync_to_async

from accounts import actions as accounts
from accounts.roles import Scope
from t2v_site.bodies import MOST_BYTES
from tests.live.memory import PATIENCE
from tests.live.stage import People, Server, Start

SENT = 4 * MOST_BYTES
PART = b"x" * (1 << 20)


class Peak:
    """The most that a process holds in files without a name, in bytes."""

    def __init__(self) -> None:
        self.bytes = 0


def _held(pid: int) -> int:
    """In files that were deleted while they are open, as every temporary one is."""
    held = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held += os.stat(each).st_size if "(deleted)" in os.readlink(each) else 0
        except FileNotFoundError:
            continue  # closed since it was listed
    return held


@contextmanager
def watched(server: Server) -> Iterator[Peak]:
    peak, stop = Peak(), threading.Event()

    def look() -> None:
        while not stop.wait(0.02):
            peak.bytes = max(peak.bytes, _held(server.pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def _send(server: Server, *, told: bool) -> int | None:
    """The answer's status; None where the connection was cut before it was read."""
    parts = iter([PART] * (SENT // len(PART)))
    headers = {"Content-Length": str(SENT)} if told else {}
    try:
        url = f"{server.url}/api/v1/jobs"
        return httpx.post(url, content=parts, headers=headers, timeout=PATIENCE).status_code
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        return None


@pytest.mark.parametrize(
    ("kind", "told"), [("daphne", True), ("daphne", False), ("uvicorn", False)]
)
async def test_a_body_that_nothing_takes_is_not_kept(kind: str, told: bool, start: Start) -> None:
    server = await start(kind)
    with watched(server) as peak:
        before = server.private_bytes()
        status = await asyncio.to_thread(_send, server, told=told)
        grown = server.private_bytes() - before
    assert status in {413, None}
    # Daphne's copy and Django's.
    assert peak.bytes <= 2 * MOST_BYTES + (4 << 20)
    assert grown < 2 * MOST_BYTES
    async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE) as client:
        assert (await client.get("/healthz/live")).status_code == 200
        most = await client.post("/api/v1/jobs", content=PART * (MOST_BYTES // len(PART)))
        assert most.status_code == 401  # it is taken in: only then is it asked who sends it


async def test_a_body_in_chunks_is_read_as_any_other(server: Server, people: People) -> None:
    """As Node's streams and some proxies send it: nobody says how long it is."""
    _, token = await sync_to_async(accounts.issue_token)(
        people.alice, name="a program", scopes=[Scope.JOBS_WRITE]
    )

    async def parts() -> AsyncIterator[bytes]:
        yield b'{"prompt": "a red circle '
        yield b'moving right"}'

    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=PATIENCE) as client:
        for path in ("/api/v1/jobs", "/v1/videos"):
            answer = await client.post(path, content=parts())
            assert answer.status_code in {200, 201}, answer.text
            assert answer.json()["prompt"] == "a red circle moving right"
