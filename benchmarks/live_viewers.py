"""The viewers of benchmarks/live.py: a process of its own with hundreds of sockets.

Reads an order a line, and answers with a line. They behave as docs/reference/live.md asks a page to
behave: previews are acknowledged as soon as so many are outstanding, every ping is answered.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import uvloop

from benchmarks.live_socket import BINARY, Socket, connect
from jobs.events import PreviewHeader

PING = b'{"type":"ping"}'
PING_SECONDS = 25.0
CONNECTING = 50  # handshakes at a time


@dataclass(kw_only=True)
class Crowd:
    """The sockets of one arm, and what they have received since `begin`."""

    pages: bool  # they speak our protocol; else they only listen
    previews_an_ack: int
    sockets: list[Socket] = field(default_factory=list)
    latencies: list[int] = field(default_factory=list)  # microseconds from the header's clock
    stalled: set[Socket] = field(default_factory=set)
    outstanding: "Counter[Socket]" = field(default_factory=Counter)  # not yet acknowledged
    texts: int = 0
    pongs: int = 0

    def take(self, socket: Socket, opcode: int, payload: bytes) -> None:
        if opcode == BINARY:
            now = time.time_ns() // 1000
            header = PreviewHeader.unpack(payload)
            if socket not in self.stalled:
                self.latencies.append(now - header.server_us)
            if self.pages:
                self._acknowledge(socket, header)
            return
        self.texts += 1
        if self.pages:
            message = json.loads(payload)
            if message["type"] == "ping":
                socket.send(b'{"type":"pong","n":%d}' % message["n"])
            elif message["type"] == "pong":
                self.pongs += 1
            assert message["type"] != "refused", message

    def _acknowledge(self, socket: Socket, header: PreviewHeader) -> None:
        self.outstanding[socket] += 1
        if self.outstanding[socket] >= self.previews_an_ack:
            self.outstanding[socket] = 0
            where = f'"job":"{header.job}","attempt":{header.attempt},"step":{header.step}'
            socket.send(f'{{"type":"ack",{where}}}'.encode())

    async def keep_alive(self) -> None:
        while self.pages and self.sockets:
            await asyncio.sleep(PING_SECONDS)
            for socket in self.sockets:
                if not socket.closed:
                    socket.send(PING)


class Viewers:
    def __init__(self) -> None:
        self._crowds: dict[str, Crowd] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(
        self,
        *,
        arm: str,
        url: str,
        cookies: list[str],
        hello: list[str],
        pages: bool,
        previews_an_ack: int,
    ) -> int:
        """One socket for each cookie; each says hello."""
        crowd = self._crowds[arm] = Crowd(pages=pages, previews_an_ack=previews_an_ack)
        for first in range(0, len(cookies), CONNECTING):
            some = await asyncio.gather(
                *(
                    connect(url, crowd.take, cookie=cookie)
                    for cookie in cookies[first : first + CONNECTING]
                )
            )
            crowd.sockets += some
            for socket in some:
                for message in hello:
                    socket.send(message.encode())
        task = asyncio.create_task(crowd.keep_alive())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return len(crowd.sockets)

    async def settle(self, arm: str, seconds: float) -> dict[str, int]:
        """Until nothing has come for that long; every page was answered then."""
        crowd = self._crowds[arm]
        pongs = crowd.pongs
        if crowd.pages:
            for socket in crowd.sockets:
                socket.send(PING)
            while crowd.pongs - pongs < len(crowd.sockets):
                self._check(crowd)
                await asyncio.sleep(0.02)
        texts = -1
        while texts != crowd.texts:
            texts = crowd.texts
            await asyncio.sleep(seconds)
        self._check(crowd)
        return {"texts": crowd.texts}

    async def begin(self, arm: str, stalled: int) -> int:
        """Counts from now on; so many of them do not read from now on."""
        crowd = self._crowds[arm]
        self._check(crowd)
        crowd.latencies.clear()
        crowd.stalled = set(crowd.sockets[:stalled])
        for socket in crowd.stalled:
            socket.transport.pause_reading()
        return len(crowd.stalled)

    async def end(self, arm: str) -> dict[str, Any]:
        """Microseconds, and how many frames came."""
        crowd = self._crowds[arm]
        self._check(crowd)
        ordered = sorted(crowd.latencies)
        for socket in crowd.stalled:
            socket.transport.resume_reading()
        return {
            "frames": len(ordered),
            "p50": ordered[len(ordered) // 2] if ordered else 0,
            "p99": ordered[len(ordered) * 99 // 100] if ordered else 0,
            "most": ordered[-1] if ordered else 0,
        }

    async def close(self, arm: str) -> int:
        crowd = self._crowds.pop(arm)
        self._check(crowd)
        for socket in crowd.sockets:
            socket.close()
        count, crowd.sockets = len(crowd.sockets), []
        return count

    def _check(self, crowd: Crowd) -> None:
        lost = [socket.closed for socket in crowd.sockets if socket.closed]
        assert not lost, f"{len(lost)} sockets were closed: {sorted(set(lost))}"


async def serve() -> None:
    """Until the input ends."""
    viewers = Viewers()
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        order = json.loads(line)
        answer = await getattr(viewers, order.pop("do"))(**order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(serve())
