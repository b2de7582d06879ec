"""A wire that can be cut, stalled and slowed: TCP between a client and a server of this machine."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

PIECE = 16 * 1024  # bytes read at a time: a frame of 7 KB is often cut in two
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST, as a wire that breaks


class _Line:
    """One connection: the two sockets, and what is left until it is cut."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near, self.far = near, far
        self.left: int | None = None  # bytes to the client until the cut; None: no cut

    def cut(self, *, politely: bool = False) -> None:
        """politely: the client gets what was sent so far, then an end; else both get a reset."""
        ends = (self.far,) if politely else (self.near, self.far)
        if politely:
            self.near.close()
        for end in ends:
            sock = end.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            end.transport.abort()


class Proxy:
    """Everything that runs through it does what was said last, also what is open already."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.delay_seconds = 0.0  # of each piece to the client
        self.passed = 0  # bytes to clients
        self.cuts = 0
        self._cut_next_after: int | None = None
        self._open = asyncio.Event()  # unset: nothing goes through, neither way
        self._open.set()
        self._refusing = False
        self._lines: set[_Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=PIECE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Every open connection breaks now, whatever is on its way."""
        self.cuts += len(self._lines)
        for line in list(self._lines):
            line.cut()

    def heal(self) -> None:
        """No cut is due any more."""
        self._cut_next_after = None
        for line in self._lines:
            line.left = None

    def cut_after(self, count: int) -> None:
        """Breaks each line when so many more bytes went to its client; an idle one, the next."""
        self._cut_next_after = count
        for line in self._lines:
            line.left = count

    def stall(self) -> None:
        self._open.clear()

    def go(self) -> None:
        self._open.set()

    def refuse(self) -> None:
        """Nobody gets in any more, and whoever is in is thrown out."""
        self._refusing = True
        self.cut()

    def admit(self) -> None:
        self._refusing = False

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Also of one that is cancelled before its first step, or while it dials.
        task.add_done_callback(lambda _: writer.close())

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            there, far = await asyncio.open_connection("127.0.0.1", self.target, limit=PIECE)
        except OSError:
            writer.transport.abort()
            return
        line = _Line(writer, far)
        line.left, self._cut_next_after = self._cut_next_after, None
        self._lines.add(line)
        up = asyncio.create_task(self._pipe(line, reader, far, to_client=False))
        down = asyncio.create_task(self._pipe(line, there, writer, to_client=True))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._lines.discard(line)
            far.close()  # before the wait, which may be cancelled as well
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _pipe(
        self,
        line: _Line,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        *,
        to_client: bool,
    ) -> None:
        with suppress(ConnectionError):  # either end may go at any moment
            while piece := await source.read(PIECE):
                await self._open.wait()
                if to_client:
                    if self.delay_seconds:
                        await asyncio.sleep(self.delay_seconds)
                    self.passed += len(piece)
                    if line.left is not None and len(piece) >= line.left:
                        sink.write(piece[: line.left])
                        self.cuts += 1
                        line.cut(politely=True)
                        return
                    if line.left is not None:
                        line.left -= len(piece)
                sink.write(piece)
                await sink.drain()


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
