"""A site that does what a real one does seldom: it is scripted, and notes what it was asked."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    says_length: int | None = None  # another length than the body's: the connection then ends early
    drops: bool = False  # closes the connection without a word


@dataclass(frozen=True, kw_only=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class OddSite:
    """Answers by path; the last reply of a list is given again and again."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._replies: dict[str, list[Reply]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def plan(self, path: str, *replies: Reply) -> None:
        self._replies[path] = list(replies)

    def of(self, path: str) -> list[Asked]:
        return [each for each in self.asked if each.path.partition("?")[0] == path]

    def next_reply(self, path: str) -> Reply:
        replies = self._replies.get(path.partition("?")[0], [Reply(status=404, body=b"{}")])
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        odd = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                odd.asked.append(
                    Asked(method=self.command, path=self.path, headers=headers, body=body)
                )
                reply = odd.next_reply(self.path)
                self.close_connection = True
                if reply.drops:
                    return
                length = len(reply.body) if reply.says_length is None else reply.says_length
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", reply.kind)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_DELETE = _answer

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    @contextmanager
    def open(self) -> Iterator["OddSite"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
