"""HTTP as programs speak it: single requests, and server-sent events with EventSource's manners."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tests.live.memory import PATIENCE, Memory
from tests.live.stage import Server

CSRF = 32 * "c"  # Django compares the cookie with the header and asks for no more
AGAIN_SECONDS = 0.05  # the stream's own "retry" says 2 s
HEAD_BYTES = 64 * 1024


class Broken(Exception):
    """The connection ended in the middle of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


async def _head(reader: asyncio.StreamReader) -> Answer:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise Broken from error
    pairs = (line.partition(":") for line in lines[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return Answer(status=int(lines[0].split()[1]), headers=headers)


async def _parts(reader: asyncio.StreamReader, head: Answer) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Broken where it does not come to its end."""
    try:
        if head.headers.get("transfer-encoding") == "chunked":
            while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
                yield await reader.readexactly(size)
                await reader.readexactly(2)
        else:
            yield await reader.readexactly(int(head.headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise Broken from error


@asynccontextmanager
async def _asking(
    server: Server,
    ask: str,
    headers: Mapping[str, str],
    *,
    body: bytes = b"",
    port: int | None = None,
) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port or server.port)
    try:
        head = {"Host": server.host, "Content-Length": str(len(body)), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        writer.write(f"{ask} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body)
        yield reader
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def ask(
    server: Server,
    method: str,
    path: str,
    *,
    cookie: str = "",
    form: str = "",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One whole answer. A cookie comes with the one that a browser proves its own pages by."""
    sent = {"Connection": "close"}
    if cookie:
        csrf = f"t2v-csrf-{server.port}={CSRF}"
        sent |= {"Cookie": f"{cookie}; {csrf}", "X-CSRFToken": CSRF}
    if form:
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    sent |= headers or {}
    async with (
        asyncio.timeout(20),
        _asking(server, f"{method} {path}", sent, body=form.encode()) as got,
    ):
        head = await _head(got)
        body = b"".join([part async for part in _parts(got, head)])
        return Answer(status=head.status, headers=head.headers, body=body)


class Reader(Memory):
    """An EventSource: comes back with Last-Event-ID until an answer is not 200."""

    def __init__(self, server: Server, cookie: str, path: str, *, port: int | None = None) -> None:
        super().__init__()
        self.server, self.cookie, self.path, self.port = server, cookie, path, port
        self.last_id = ""
        self.statuses: list[int] = []
        self.head: Answer | None = None
        self.beats = 0  # comment lines
        self.retry_ms = 0
        self.read_bytes = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._live())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _live(self) -> None:
        while True:
            with suppress(Broken, OSError):
                await self._read_once()
                if self.statuses[-1] != 200:
                    return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _read_once(self) -> None:
        headers = {"Accept": "text/event-stream", "Cookie": self.cookie, "Connection": "close"}
        if self.last_id:
            headers["Last-Event-ID"] = self.last_id
        async with _asking(self.server, f"GET {self.path}", headers, port=self.port) as got:
            self.head = await _head(got)
            self.statuses.append(self.head.status)
            self.begin()
            if self.head.status != 200:
                return
            rest = b""
            async for part in _parts(got, self.head):
                self.read_bytes += len(part)
                *events, rest = (rest + part).split(b"\n\n")
                for event in events:
                    self._take(event.decode())

    def _take(self, event: str) -> None:
        """Whole events alone count, as the standard says."""
        fields: dict[str, str] = {}
        for line in event.split("\n"):
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
            else:
                self.beats += 1
        if "retry" in fields:
            self.retry_ms = int(fields["retry"])
        if "data" not in fields:
            self._news.set()
            return
        message = json.loads(fields["data"])
        if message["type"] != fields.get("event"):
            self.wrongs.append(f"event {fields.get('event')} with data {message['type']}")
        if ("id" in fields) != (message["type"] == "fact"):
            self.wrongs.append(f"{message['type']} with the id {fields.get('id')}")
        self.last_id = fields.get("id", self.last_id)
        self.hear(message)

    async def until_over(self, seconds: float = PATIENCE) -> int:
        """The status that told it to stop."""
        await self.until(lambda reader: reader.statuses and reader.statuses[-1] != 200, seconds)
        return self.statuses[-1]


@asynccontextmanager
async def reading(*readers: Reader) -> AsyncIterator[None]:
    for reader in readers:
        reader.start()
    try:
        for reader in readers:
            await reader.until(lambda each: each.opened)
        yield
    finally:
        await asyncio.gather(*(reader.stop() for reader in readers))
    for reader in readers:
        assert reader.wrongs == [], reader.story()
