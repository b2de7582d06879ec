"""Refuses headers that only somebody sends who wants to be taken for the proxy before us.

Daphne lets a header of anybody's say where the site begins, and every link and redirect of the
answer begins so then: `Daphne-Root-Path: //evil.example` led the sign-in there. Of the bytes that
Python takes for the end of a line daphne refuses each (CVE-2026-44546), uvicorn lets one through.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

ROOT_PATH = b"daphne-root-path"
CONTROL = frozenset(b"\x00\x0b\x0c\x1c\x1d\x1e\x85")

# Of ASGI: each library has types of its own for its scope, receive and send.
Application = Callable[[Any, Any, Any], Awaitable[None]]


def is_forged(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(
        name.lower() == ROOT_PATH or not CONTROL.isdisjoint(value) for name, value in headers
    )


def refusing(application: Application) -> Application:
    """The application behind it hears of none of them."""

    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        if not is_forged(scope.get("headers", ())):
            await application(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})  # before it was accepted: 403
        else:
            for message in _BAD_REQUEST:
                await send(dict(message))

    return refuse


_BAD_REQUEST: tuple[Mapping[str, Any], ...] = (
    {
        "type": "http.response.start",
        "status": 400,
        "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")],
    },
    {"type": "http.response.body", "body": b"A header of the request is not acceptable."},
)
