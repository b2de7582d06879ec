"""Stands between the site and its S3 server and spoils what goes through, as it is told."""

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b"<Error><Code>ServiceUnavailable</Code><Message>Reduce your request rate.</Message></Error>"
)
HANG_SECONDS = 20.0  # at most, for one request
_PER_CONNECTION = {"connection", "transfer-encoding", "keep-alive", "expect"}


class S3Proxy:
    """Modes, each for the next so many requests: "503", "hang", "cut" and "lost reply".

    The last two concern PUTs alone; a "cut" one reaches the server by its first half, a "lost
    reply" one is carried out and its answer dropped.
    """

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self._lock = threading.Lock()
        self._mode, self._left, self.spoilt = "", 0, 0
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    def spoil(self, mode: str, requests: int) -> None:
        with self._lock:
            self._mode, self._left, self.spoilt = mode, requests, 0

    def heal(self) -> int:
        """How many requests were spoilt."""
        with self._lock:
            self._mode, self._left = "", 0
            return self.spoilt

    def mode_for(self, method: str) -> str:
        """What becomes of this request; counts it."""
        with self._lock:
            if not self._left or (self._mode in {"cut", "lost reply"} and method != "PUT"):
                return ""
            self._left -= 1
            self.spoilt += 1
            return self._mode

    def hangs(self) -> bool:
        with self._lock:
            return self._mode == "hang"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: S3Proxy
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds without a byte from the client

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        self.close_connection = True
        try:
            self._treat()
        except (ConnectionError, TimeoutError):
            return  # the client has gone: in a chaos run it was killed

    def _treat(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.send_error(501)  # botocore sends files by their length
            return
        mode = self.owner.mode_for(self.command)
        body = self.rfile.read(length)
        if mode == "503":
            self._answer(503, [("Content-Type", "application/xml")], SLOW_DOWN)
        elif mode == "hang":
            until = time.monotonic() + HANG_SECONDS
            while self.owner.hangs() and time.monotonic() < until:
                time.sleep(0.05)
        else:
            self._pass_on(mode, body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def _pass_on(self, mode: str, body: bytes) -> None:
        server = http.client.HTTPConnection("127.0.0.1", self.owner.server_port, timeout=30)
        try:
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _PER_CONNECTION:
                    server.putheader(name, value)
            server.putheader("Connection", "close")
            server.endheaders()
            if mode == "cut":
                server.send(body[: len(body) // 2])
                return
            if body:
                server.send(body)
            answer = server.getresponse()
            content = answer.read()
        except OSError:
            return  # the server has gone, and so does the client's connection
        finally:
            server.close()
        if mode != "lost reply":
            kept = [pair for pair in answer.getheaders() if pair[0].lower() not in _PER_CONNECTION]
            self._answer(answer.status, kept, content)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        told = lengths[0] if self.command == "HEAD" and lengths else str(len(content))
        self.send_header("Content-Length", told)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
