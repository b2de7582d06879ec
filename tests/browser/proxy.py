"""The network between a browser and the site: to be cut, made forgetful, or closed to upgrades."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

CHUNK = 65_536  # bytes


class Proxy:
    """Passes bytes on between its own port and the site's. Its switches may be set at any time."""

    cut = False  # everything that is open is reset, everything new is refused
    refuse_upgrades = False  # as a proxy does that knows no WebSockets
    swallow_upgrades = False  # as one does that knows them even less: it never answers

    def __init__(self, site: str, loop: asyncio.AbstractEventLoop) -> None:
        self._port = urlsplit(site).port
        self._loop = loop
        self._links: set[_Link] = set()
        self.url = ""

    async def listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    def cut_now(self) -> None:
        self.cut = True
        self._each(_Link.reset)

    def mend(self) -> None:
        self.cut = self.refuse_upgrades = self.swallow_upgrades = False

    def forget(self) -> None:
        """What is open stays open and brings nothing any more; what is new works."""
        self._each(_Link.forget)

    def _each(self, act: Callable[["_Link"], None]) -> None:
        def run() -> None:
            for link in list(self._links):
                act(link)

        self._loop.call_soon_threadsafe(run)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        self._links.add(link)
        with suppress(asyncio.CancelledError):  # at the end, and asyncio would log each
            await self._pass_on(link, reader, writer)
        self._links.discard(link)
        link.reset()

    async def _pass_on(
        self, link: "_Link", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        first = b"" if self.cut else await reader.read(CHUNK)
        if not first:
            return
        if b"upgrade: websocket" in first.lower():
            if self.refuse_upgrades:
                writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                return
            if self.swallow_upgrades:
                await reader.read()
                return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:  # the site is away: the browser is told as by any proxy that knows nothing
            return
        link.writers.append(back)
        back.write(first)
        await asyncio.gather(link.pump(reader, back), link.pump(there, writer))


class _Link:
    """One connection of a browser, and the one to the site that serves it."""

    def __init__(self, here: asyncio.StreamWriter) -> None:
        self.writers = [here]
        self._forgotten = False

    def reset(self) -> None:
        for writer in self.writers:
            writer.transport.abort()

    def forget(self) -> None:
        self._forgotten = True

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK):
                if not self._forgotten:
                    writer.write(data)
                    await writer.drain()
            if not self._forgotten:
                writer.write_eof()
        except OSError:
            self.reset()


@contextmanager
def proxy(site: str) -> Iterator[Proxy]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy", daemon=True)
    thread.start()
    made = Proxy(site, loop)
    server = asyncio.run_coroutine_threadsafe(made.listen(), loop).result(5)
    try:
        yield made
    finally:

        async def end() -> None:
            server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
