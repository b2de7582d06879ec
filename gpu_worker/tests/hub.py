"""A small hub on this machine: the endpoints that huggingface_hub and our download ask for."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "someone/tiny-mochi"


@dataclass(kw_only=True)
class TinyHub:
    files: dict[str, bytes]  # by path in the repository
    url: str = ""
    cut_after: dict[str, int] = field(default_factory=dict)  # bytes, once for each path
    stall_after: dict[str, int] = field(default_factory=dict)  # bytes, then until go_on is set
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    lies: dict[str, bytes] = field(default_factory=dict)  # what is sent instead
    ignores_ranges: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)  # (path, Range header)

    def listing(self) -> dict[str, Any]:
        return {
            "id": REPO,
            "sha": COMMIT,
            "siblings": [_sibling(path, content) for path, content in self.files.items()],
        }


def _sibling(path: str, content: bytes) -> dict[str, Any]:
    """As the hub states it: SHA-256 for what lies in LFS, Git's SHA-1 for the rest."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    stated: dict[str, Any] = {
        "rfilename": path,
        "size": len(content),
        "blobId": blob.hexdigest(),
    }
    if not path.endswith((".json", ".py", ".md")):
        sha256 = hashlib.sha256(content).hexdigest()
        stated["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
    return stated


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[TinyHub]:
    hub = TinyHub(files=files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0])
            if path == f"/api/models/{REPO}/revision/{COMMIT}":
                self._send(200, json.dumps(hub.listing()).encode(), {})
            elif path.startswith(f"/{REPO}/resolve/{COMMIT}/"):
                self._file(path.removeprefix(f"/{REPO}/resolve/{COMMIT}/"))
            else:
                self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})

        def _file(self, path: str) -> None:
            if path not in hub.files:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            content = hub.lies.get(path, hub.files[path])
            asked = self.headers.get("Range", "")
            hub.asked.append((path, asked))
            start = re.fullmatch(r"bytes=(\d+)-", asked)
            if path in hub.stall_after:
                self._stall(content, hub.stall_after.pop(path))
            elif start is None or hub.ignores_ranges:
                self._send(200, content, {}, cut=hub.cut_after.pop(path, None))
            else:
                rest = content[int(start[1]) :]
                span = f"bytes {start[1]}-{len(content) - 1}/{len(content)}"
                self._send(206, rest, {"Content-Range": span}, cut=hub.cut_after.pop(path, None))

        def _stall(self, content: bytes, after: int) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:after])
            hub.stalled.set()
            hub.go_on.wait(60)
            self.close_connection = True

        def _send(
            self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
