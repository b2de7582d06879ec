"""A page as a program: a WebSocket that comes back by itself, and does what static/js does."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID, uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from jobs.events import PreviewHeader
from tests.live.memory import PATIENCE, Memory
from tests.live.stage import Server

AGAIN_SECONDS = 0.05  # a page waits longer; the server hears of a hundred cuts in a short time here
MOST_UNACKNOWLEDGED = 2  # previews on one socket
FINAL_CODES = frozenset({4401, 4403})  # a page does not come back by itself after these
GONE = 1006  # without a word


def dial(server: Server, *, cookie: str = "", port: int | None = None, **options: Any) -> connect:
    """A page's handshake, by way of a proxy's port if there is one."""
    wanted: dict[str, Any] = {
        "uri": server.socket_url,
        "origin": server.url,
        "additional_headers": {"Cookie": cookie} if cookie else None,
        "host": "127.0.0.1",
        "port": port or server.port,
        "proxy": None,
        "open_timeout": PATIENCE,
        "close_timeout": 1,
        "ping_interval": None,
        "max_size": None,
    }
    if "sock" in options:
        del wanted["host"], wanted["port"]
    return connect(**{**wanted, **options})


async def end_of(socket: ClientConnection, seconds: float = PATIENCE) -> int:
    """The code that it is closed with; whatever comes before does not count."""
    async with asyncio.timeout(seconds):
        # Uvicorn keeps the line open after its close frame while it has messages to read.
        while (closed := socket.protocol.close_rcvd) is None and socket.close_code is None:
            with suppress(ConnectionClosed, TimeoutError):
                await asyncio.wait_for(socket.recv(), 0.1)
    return GONE if closed is None else closed.code


class Viewer(Memory):
    """Opens a socket, subscribes, and comes back however often it is cut."""

    def __init__(
        self,
        server: Server,
        cookie: str,
        *jobs: UUID,
        mine: bool = False,
        port: int | None = None,
        acknowledges: bool = True,
        answers: bool = True,
        comes_back: bool = True,
    ) -> None:
        """port: of a proxy before the server. answers: to the server's pings."""
        super().__init__()
        self.server, self.cookie, self.port = server, cookie, port or server.port
        self.jobs, self.mine = list(jobs), mine
        self.acknowledges, self.answers, self.comes_back = acknowledges, answers, comes_back
        self.codes: list[int] = []  # with which sockets were closed
        self.reasons: list[str] = []
        self.text_bytes = self.binary_bytes = 0
        self.images: dict[UUID, bytes] = {}  # the newest message of each job
        self.preview_delays: list[tuple[float, float]] = []  # (when, seconds since the worker's)
        self.socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._on_the_way: list[UUID] = []  # jobs of the previews that it did not acknowledge

    # --- Its life -----------------------------------------------------------------------

    def start(self) -> None:
        self._task = asyncio.create_task(self._live())

    async def stop(self) -> None:
        self.comes_back = False
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _live(self) -> None:
        while True:
            try:
                async with dial(self.server, cookie=self.cookie, port=self.port) as socket:
                    self.socket = socket
                    self.begin()
                    await self._look(socket)
            except ConnectionClosed as closed:
                frame = closed.rcvd
                self.codes.append(GONE if frame is None else frame.code)
                self.reasons.append("" if frame is None else frame.reason)
            except (OSError, InvalidHandshake, InvalidMessage, EOFError, TimeoutError):
                self.codes.append(GONE)
                self.reasons.append("no handshake")
            finally:
                self.socket = None
                self._news.set()
            if not self.comes_back or self.codes[-1] in FINAL_CODES:
                return
            await asyncio.sleep(AGAIN_SECONDS)

    def begin(self) -> None:
        super().begin()
        self._on_the_way = []

    async def _look(self, socket: ClientConnection) -> None:
        if self.mine:
            await self.say({"type": "subscribe", "mine": True})
        for job in self.jobs:
            await self.say({"type": "subscribe", "job": str(job), "after": self.seq(job)})
        while True:
            message = await socket.recv()
            if isinstance(message, bytes):
                self.binary_bytes += len(message)
                await self._preview(message)
            else:
                self.text_bytes += len(message.encode())
                words = json.loads(message)
                self.hear(words)
                if words["type"] == "ping" and self.answers:
                    await self.say({"type": "pong", "n": words["n"]})

    async def say(self, message: dict[str, Any] | str | bytes) -> None:
        assert self.socket is not None
        text = json.dumps(message) if isinstance(message, dict) else message
        await self.socket.send(text)

    async def _preview(self, message: bytes) -> None:
        header = PreviewHeader.unpack(message)
        if len(message) != PreviewHeader.FORMAT.size + header.size:
            self.wrongs.append(f"a preview of {len(message)} bytes says {header.size}")
        now = time.time()
        self.preview_delays.append((now, now - header.server_us / 1e6))
        self.counts["preview"] += 1
        self.images[header.job] = message
        self.shown(header.job, (header.attempt, header.step))
        self._on_the_way.append(header.job)
        if len(self._on_the_way) > MOST_UNACKNOWLEDGED:
            self.wrongs.append(f"{len(self._on_the_way)} unacknowledged previews")
        self._news.set()
        if self.acknowledges:
            await self.acknowledge()

    async def acknowledge(self) -> None:
        """The newest preview, and with it all that came before."""
        job = self._on_the_way[-1]
        attempt, step = self._now_previews[job]
        self._on_the_way = []
        await self.say({"type": "ack", "job": str(job), "attempt": attempt, "step": step})

    # --- What a test asks -----------------------------------------------------------------

    async def until_live(self, seconds: float = PATIENCE) -> None:
        """The socket is open and everything said so far was heard."""
        await self.until(lambda viewer: viewer.socket is not None, seconds)
        wanted = self.counts["pong"] + 1
        await self.say({"type": "ping"})
        await self.until(lambda viewer: viewer.counts["pong"] >= wanted, seconds)

    async def until_closed(self, seconds: float = PATIENCE) -> int:
        """The code."""
        await self.until(lambda viewer: viewer.codes, seconds)
        return self.codes[-1]

    def story(self) -> str:
        return f"closed {self.codes[-5:]} {self.reasons[-2:]}, {super().story()}"


@asynccontextmanager
async def viewing(*viewers: Viewer) -> AsyncIterator[None]:
    """They look; at the end they stop, and none of them has seen what may not be."""
    for viewer in viewers:
        viewer.start()
    try:
        for viewer in viewers:
            await viewer.until(lambda each: each.opened or each.codes)
        yield
    finally:
        await asyncio.gather(*(viewer.stop() for viewer in viewers))
    for viewer in viewers:
        assert viewer.wrongs == [], viewer.story()


@asynccontextmanager
async def pulse(
    server: Server, cookie: str, *, through_postgres: bool = True
) -> AsyncIterator[list[float]]:
    """Seconds of round trips meanwhile: for the longest one the machine itself stood still, and
    what is promised in seconds is promised beside that."""
    page, over = Viewer(server, cookie), asyncio.Event()
    took: list[float] = []

    async def beat() -> None:
        while not over.is_set():
            began = time.monotonic()
            await page.until_live()
            if through_postgres:
                page.refused.clear()
                await page.say({"type": "subscribe", "job": str(uuid4())})
                await page.until(lambda each: each.refused)
            took.append(time.monotonic() - began)
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 0.2)

    async with viewing(page):
        await page.until_live()  # let in: what is said before that may be lost with the socket
        beating = asyncio.create_task(beat())
        try:
            yield took
        finally:
            over.set()
            await beating
