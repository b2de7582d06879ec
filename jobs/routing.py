"""The sockets' addresses, and who may open them.

Without Channels' routers and middlewares: each of them keeps a copy of the scope for as long as the
socket lives, and a socket lives for a day.
"""

from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from jobs.consumers import Scope, page_socket, program_socket, turn_away
from jobs.websocket import Receive, Send


async def sockets(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of all WebSockets."""
    match scope["path"]:
        case "/ws/" | "/api/v1/live" if settings.T2V_MAINTENANCE:
            await turn_away(receive, send)
        case "/ws/" if _is_own_page(scope):
            await page_socket(scope, receive, send)
        case "/api/v1/live":
            await program_socket(scope, receive, send)
        case _:
            await receive()
            await send({"type": "websocket.close"})  # before it was accepted: 403


def _is_own_page(scope: Scope) -> bool:
    """Whether the page came from this very host and port.

    Browsers send cookies with sockets that foreign pages open; only the Origin tells them apart.
    """
    headers: dict[bytes, Any] = dict(scope["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    name, _ = split_domain_port(host)
    known = bool(name) and validate_host(name, settings.ALLOWED_HOSTS)
    scheme = "https" if settings.SESSION_COOKIE_SECURE else "http"
    return known and origin == f"{scheme}://{host}"
