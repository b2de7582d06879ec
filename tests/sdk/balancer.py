"""Two replicas behind one address: each request goes to the next one, as rude balancers do."""

import socket
import socketserver
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPMessage, parse_headers
from io import BytesIO
from typing import cast

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST, as a wire that breaks
PIECE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as it came, and what became of it."""

    method: str
    path: str
    headers: HTTPMessage
    replica: int
    status: int
    cut: bool  # its answer was lost on the way


class Balancer(socketserver.ThreadingTCPServer):
    """One request for each connection, so that a client that keeps its own is passed on too."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.port = int(self.server_address[1])
        self.ports = list(ports)
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._turn = 0
        self._cuts = 0
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    def __enter__(self) -> "Balancer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def cut_next(self, count: int = 1) -> None:
        """The answers to so many POSTs are lost after they were given: all is committed."""
        with self._lock:
            self._cuts = count

    def next_replica(self) -> int:
        with self._lock:
            self._turn += 1
            return self._turn % len(self.ports)

    def is_cut(self, method: str) -> bool:
        with self._lock:
            if method != "POST" or not self._cuts:
                return False
            self._cuts -= 1
            return True

    def note(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)

    def since(self, count: int) -> list[Seen]:
        with self._lock:
            return self.seen[count:]


class _Exchange(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with suppress(ConnectionError, TimeoutError):
            self._exchange(cast(Balancer, self.server))

    def _exchange(self, balancer: Balancer) -> None:
        line = self.rfile.readline(PIECE)
        if not line:
            return
        head = b""
        while (next_line := self.rfile.readline(PIECE)) not in (b"\r\n", b""):
            if not next_line.lower().startswith(b"connection:"):
                head += next_line
        headers = parse_headers(BytesIO(head + b"\r\n"))
        method, path = line.decode("latin-1").split()[:2]
        replica = balancer.next_replica()
        with socket.create_connection(("127.0.0.1", balancer.ports[replica]), timeout=60) as far:
            far.sendall(line + head + b"Connection: close\r\n\r\n")
            pump = threading.Thread(target=self._send_body, args=(far, headers), daemon=True)
            pump.start()
            answer = bytearray()
            cut = balancer.is_cut(method)
            while piece := far.recv(PIECE):
                answer += piece
        status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0
        balancer.note(
            Seen(
                method=method,
                path=path,
                headers=headers,
                replica=replica,
                status=status,
                cut=cut,
            )
        )
        if cut:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            return
        self.wfile.write(answer)

    def _send_body(self, far: socket.socket, headers: HTTPMessage) -> None:
        with suppress(OSError):
            if headers.get("Transfer-Encoding", "").lower() == "chunked":
                while line := self.rfile.readline(PIECE):
                    size = int(line.split(b";")[0], 16)
                    far.sendall(line + self.rfile.read(size + 2))
                    if size == 0:
                        return
            left = int(headers.get("Content-Length", "0"))
            while left > 0 and (piece := self.rfile.read1(min(left, PIECE))):
                far.sendall(piece)
                left -= len(piece)
