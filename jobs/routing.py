"""The socket's address, and who may open it."""

from typing import Any

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.urls import path, re_path

from jobs.consumers import PageConsumer

# The type stubs know HTTP views only.
websocket_urlpatterns: list[Any] = [
    path("ws/", PageConsumer.as_asgi()),  # type: ignore[arg-type]
    re_path("", WebsocketDenier.as_asgi()),  # type: ignore[arg-type]
]


class SameOrigin:
    """Refuses the handshake unless the page came from this very host and port.

    Browsers send cookies with sockets that foreign pages open; only the Origin tells them apart.
    """

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        host = headers.get(b"host", b"").decode("latin-1")
        if not _same(origin, host):
            return await WebsocketDenier()(scope, receive, send)
        return await self.application(scope, receive, send)


def _same(origin: str, host: str) -> bool:
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    name, _ = split_domain_port(host)
    known = bool(name) and validate_host(name, settings.ALLOWED_HOSTS)
    scheme = "https" if settings.SESSION_COOKIE_SECURE else "http"
    return known and origin == f"{scheme}://{host}"
