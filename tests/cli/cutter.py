"""The network between t2v and its site, run beside a test that is no coroutine."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.live.proxy import Proxy


class Cutter:
    """tests/live/proxy.py in a thread of its own."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy, self._loop = proxy, loop
        self.url = f"http://127.0.0.1:{proxy.port}"

    def cut_after(self, count: int) -> None:
        """The next connection breaks when so many bytes went to its client."""
        self._do(lambda: self._proxy.cut_after(count))

    def slow_down(self, seconds: float) -> None:
        """Each piece of 16 KB to a client takes so long."""
        self._do(lambda: setattr(self._proxy, "delay_seconds", seconds))

    def _do(self, what: Callable[[], object]) -> None:
        done = threading.Event()

        def act() -> None:
            what()
            done.set()

        self._loop.call_soon_threadsafe(act)
        assert done.wait(10)

    @property
    def passed(self) -> int:
        """Bytes to clients."""
        return self._proxy.passed

    @property
    def cuts(self) -> int:
        return self._proxy.cuts


@contextmanager
def cutter_to(port: int) -> Iterator[Cutter]:
    loop, proxy = asyncio.new_event_loop(), Proxy(port)
    loop.run_until_complete(proxy.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield Cutter(proxy, loop)
    finally:
        asyncio.run_coroutine_threadsafe(proxy.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
