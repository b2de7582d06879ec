"""A WebSocket client that costs next to nothing: hundreds of them are a load and no bottleneck.

RFC 6455 as far as our servers use it: no extension, no fragments. Frames to the server carry the
mask 0, which leaves the payload as it is; the server's work is the same.
"""

import asyncio
import base64
import os
import struct
from collections.abc import Callable
from typing import cast

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_SHORT, _LONG = struct.Struct(">H"), struct.Struct(">Q")
_MASK = b"\0\0\0\0"


class Socket(asyncio.Protocol):
    """One connection. `take(socket, opcode, payload)` is called for each text or binary message."""

    def __init__(self, take: "Callable[[Socket, int, bytes], None]") -> None:
        self._take = take
        self._buffer = bytearray()
        self._open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = ""  # why, once it is
        self._transport: asyncio.Transport | None = None

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = self.closed or f"lost: {error}"
        if not self._open.done():
            self._open.set_exception(ConnectionError(self.closed))

    async def open(self, host: str, path: str, headers: dict[str, str]) -> None:
        """The handshake. Raises ConnectionError when the server refuses."""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = {
            "Host": host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
            **headers,
        }
        told = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.transport.write(f"GET {path} HTTP/1.1\r\n{told}\r\n".encode())
        await self._open

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if not self._open.done():
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            status = bytes(buffer[: buffer.find(b"\r\n")]).decode("latin-1")
            del buffer[: end + 4]
            if " 101 " not in status:
                self.closed = status
                self._open.set_exception(ConnectionError(status))
                self.transport.close()
                return
            self._open.set_result(None)
        start, length = 0, len(buffer)
        while length - start >= 2:
            size, at = buffer[start + 1], start + 2
            if size == 126:
                if length - at < 2:
                    break
                size, at = _SHORT.unpack_from(buffer, at)[0], at + 2
            elif size == 127:
                if length - at < 8:
                    break
                size, at = _LONG.unpack_from(buffer, at)[0], at + 8
            if length - at < size:
                break
            first = buffer[start]
            start = at + size
            self._message(first & 15, bytes(buffer[at:start]), whole=bool(first & 128))
        del buffer[:start]

    def _message(self, opcode: int, payload: bytes, *, whole: bool) -> None:
        assert whole, "a fragment"
        if opcode in {TEXT, BINARY}:
            self._take(self, opcode, payload)
        elif opcode == PING:
            self.send(payload, opcode=PONG)
        elif opcode == CLOSE:
            code = _SHORT.unpack_from(payload)[0] if len(payload) >= 2 else 1005
            self.closed = self.closed or f"{code} {payload[2:].decode()}"
            self.transport.close()

    def send(self, payload: bytes, *, opcode: int = TEXT) -> None:
        """At most 64 KB."""
        size = len(payload)
        head = bytes((128 | opcode, 128 | size)) if size < 126 else bytes((128 | opcode, 254))
        long = b"" if size < 126 else _SHORT.pack(size)
        self.transport.write(head + long + _MASK + payload)

    def close(self) -> None:
        self.closed = self.closed or "by us"
        if self._transport is not None:
            self._transport.abort()


async def connect(
    url: str,
    take: Callable[[Socket, int, bytes], None],
    *,
    cookie: str = "",
) -> Socket:
    """ws://host:port/path, as a page of that host opens it. Raises ConnectionError, OSError."""
    host, _, path = url.removeprefix("ws://").partition("/")
    name, _, port = host.partition(":")
    loop = asyncio.get_running_loop()
    _, socket = await loop.create_connection(lambda: Socket(take), name, int(port))
    headers = {"Origin": f"http://{host}"} | ({"Cookie": cookie} if cookie else {})
    await socket.open(host, f"/{path}", headers)
    return socket
