"""Somebody's server for webhooks, which misbehaves as a test wants it to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    path: str
    headers: dict[str, str]  # names in lower case
    body: str


@dataclass
class Receiver:
    """Answers a POST by its path: /200, /500, /302, /410…, /hang, /drip, /drip-body, /huge."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)  # a status for a path, for now
    release: threading.Event = field(default_factory=threading.Event)  # lets go what hangs
    news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"http://{self.host}/{path}"

    def wait_for(self, count: int, *, path: str = "") -> list[Received]:
        """The first so many requests, to that path if one is given."""

        def mine() -> list[Received]:
            return [each for each in self.received if path in {"", each.path.strip("/")}]

        with self.news:
            assert self.news.wait_for(lambda: len(mine()) >= count, WAIT_SECONDS), mine()
        return mine()


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", "0"))
        got = Received(
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(size).decode(),
        )
        with self.receiver.news:
            self.receiver.received.append(got)
            self.receiver.news.notify_all()
        with suppress(ConnectionError):  # they hang up as they like
            self._answer(self.path.partition("?")[0].strip("/"))

    do_GET = do_POST

    def _answer(self, path: str) -> None:
        verb = getattr(self, f"_{path.replace('-', '_')}", None)
        if verb is not None:
            verb()
            return
        status = self.receiver.answers.get(path) or (int(path) if path.isdecimal() else 200)
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", f"http://{self.receiver.host}/elsewhere")
        self.end_headers()
        self.wfile.write(f"this is {status}\0".encode())

    def _hang(self) -> None:
        self.receiver.release.wait(WAIT_SECONDS)

    def _drip(self) -> None:
        """A byte of the head now and then, for ever."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self.receiver.release.wait(0.05):
            self.wfile.write(b"x")

    def _drip_body(self) -> None:
        # With a first byte of the body: of a busy machine none may come in time by itself.
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx")
        while not self.receiver.release.wait(0.05):
            self.wfile.write(b"x")

    def _huge(self) -> None:
        """A gigabyte, if anybody reads it."""
        self.wfile.write(b"HTTP/1.1 500 Oh\r\nContent-Length: 1073741824\r\n\r\n")
        for _ in range(1024):
            self.wfile.write(b"y" * 1024 * 1024)
            self.receiver.answers["huge-mb"] = self.receiver.answers.get("huge-mb", 0) + 1

    def log_message(self, *_: Any) -> None:
        """Nothing on standard error."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    handler = type("Handler", (_Handler,), {"receiver": receiver})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.release.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
