"""One daphne and one uvicorn for all of these tests of a process, and who looks through them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from accounts.models import User
from tests.live.stage import KINDS, People, Server, serving


@pytest.fixture(scope="package", params=KINDS)
def web(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_setup: None,
) -> Iterator[Server]:
    """A web process that nothing is done to."""
    log = tmp_path_factory.mktemp("web") / f"{request.param}.log"
    with serving(Server(request.param, log)) as server:
        yield server


@pytest.fixture
async def server(web: Server, async_db: None, empty_redis: redis.Redis) -> AsyncIterator[Server]:
    """The same; it wrote no error to its log while this test ran, and it lives."""
    before = len(web.said())
    yield web
    assert web.alive(), web.said()[before:]
    assert web.errors(before) == ""


@pytest.fixture
async def start(
    async_db: None, empty_redis: redis.Redis, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Server]]]:
    """Starts a server for one test alone; arguments as of Server. None may log an error."""
    servers: list[Server] = []

    async def _start(kind: str, **wanted: Any) -> Server:
        server = Server(kind, tmp_path / f"{len(servers)}.log", **wanted)
        servers.append(server)
        await asyncio.to_thread(server.start)
        return server

    yield _start
    for server in servers:
        await asyncio.to_thread(server.stop)
    for server in servers:
        assert server.errors() == ""


@pytest.fixture
async def people(async_db: None, alice: User, bob: User, olga: User, charlie: User) -> People:
    return People(alice=alice, bob=bob, olga=olga, charlie=charlie)
