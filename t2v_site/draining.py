"""A web process that was told to end (SIGTERM) is missed by nobody.

First /healthz/ready says 503 while all is served as before, so that the proxy sends new requests
elsewhere; then no connection is taken, requests under way come to their end, and sockets and
streams are told to come back: they go on elsewhere from the event that they had last. Only then the
server, daphne or uvicorn, ends in its own way. Daphne alone would cut off all at once.
"""

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

from django.conf import settings
from twisted.internet.interfaces import IListeningPort

from jobs import readiness
from jobs.live import hub
from t2v_site.forged import Application

logger = logging.getLogger(__name__)

FINISH_SECONDS = 5.0  # for requests under way; a download that takes longer is cut off
CLOSE_SECONDS = 3.0  # for sockets and streams to be told
# After that for the bytes: who has left the hub has handed its last words to the server, no more.
WRITE_SECONDS = 0.5
LOOK_SECONDS = 0.05

Handler = Callable[[int, FrameType | None], Any]


class Drained:
    """Wraps the application, knows what it is at, and comes before the server's own SIGTERM."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._requests: set[asyncio.Task[Any]] = set()
        self._servers_way: Handler | None = None
        self._drain: asyncio.Task[None] | None = None

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """No coroutine of its own: an idle socket would pay for it with memory."""
        if self._servers_way is None:
            self._come_before_the_server()
        if scope["type"] == "http":
            return self._request(scope, receive, send)
        return self._application(scope, receive, send)

    async def _request(self, scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None

        async def put(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if any(value.startswith(b"text/event-stream") for _, value in headers):
                    self._requests.discard(task)  # never ends by itself; the hub knows it
                if readiness.draining.is_set():
                    message = {**message, "headers": [*headers, (b"connection", b"close")]}
            await send(message)

        self._requests.add(task)
        try:
            await self._application(scope, receive, put)
        finally:
            self._requests.discard(task)

    def _come_before_the_server(self) -> None:
        """At the first call: by then each server has set its own handler."""
        if threading.current_thread() is not threading.main_thread():
            return
        servers_way = signal.getsignal(signal.SIGTERM)
        if not callable(servers_way):
            return  # no server: a test
        self._servers_way = servers_way
        loop = asyncio.get_running_loop()
        signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(self._begin))

    def _begin(self) -> None:
        if self._drain is None:
            readiness.draining.set()
            self._drain = asyncio.create_task(self.drain())

    async def drain(self) -> None:
        """Ends with the server's own end."""
        try:
            await asyncio.sleep(settings.T2V_DRAIN_SECONDS)
            _stop_listening()
            await _until(lambda: not self._requests, FINISH_SECONDS)
            if self._requests:
                logger.warning("%d requests are cut off", len(self._requests))
            viewers = hub().viewers
            for viewer in list(viewers):
                viewer.server_ends()
            await _until(lambda: not viewers, CLOSE_SECONDS)
            await asyncio.sleep(WRITE_SECONDS)
        finally:
            if self._servers_way is not None:
                self._servers_way(signal.SIGTERM, None)


async def _until(seen: Callable[[], bool], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not seen() and loop.time() < deadline:  # noqa: ASYNC110 - of counts
        await asyncio.sleep(LOOK_SECONDS)


def _stop_listening() -> None:
    """Daphne's ports: uvicorn closes its own as it ends, and waits for requests by itself."""
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    if reactor is None or not reactor.running:
        return
    for reader in reactor.getReaders():
        if IListeningPort.providedBy(reader):
            reader.stopListening()
