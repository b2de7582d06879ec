"""GET /metrics of a part that serves no pages: what the worker, the sweep or the sender counts.

One thread that answers one caller after the other, none for longer than TIMEOUT_SECONDS. What
Postgres knows is the web's to tell; here is what the processes of this machine count themselves.
"""

import logging
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from django.conf import settings
from django.http.request import HttpHeaders
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from jobs.metrics import instruments
from jobs.metrics.page import refused

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0


class Server(HTTPServer):
    def finish_request(self, request: Any, client_address: Any) -> None:
        """Ends in time, however slowly the caller drips: Handler has a time for each read alone."""
        clock = threading.Timer(TIMEOUT_SECONDS, _hang_up, [request])
        clock.daemon = True
        clock.start()
        try:
            super().finish_request(request, client_address)
        finally:
            clock.cancel()


def _hang_up(request: socket.socket) -> None:
    with suppress(OSError):  # it ended by itself at this very moment
        request.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_SECONDS

    def do_GET(self) -> None:
        status = 404
        if self.path.partition("?")[0] == "/metrics":
            status = refused(self._joined(), peer=str(self.client_address[0]))
        body = b"" if status else _text()
        self.send_response(status or 200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def _joined(self) -> HttpHeaders:
        """As Django has them: of several lines of one name each counts, not the first alone."""
        names = {name.lower() for name in self.headers}
        lines = {name: ",".join(self.headers.get_all(name, [])) for name in names}
        return HttpHeaders({HttpHeaders.to_wsgi_name(name): text for name, text in lines.items()})

    def log_message(self, format: str, *args: object) -> None:
        logger.debug(format, *args)


def _text() -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    for collector in instruments.collectors():
        registry.register(collector)
    return generate_latest(registry)


def start() -> int | None:
    """Also counts from now on. On T2V_METRICS_PORT; which, or None where none is listened to.

    No part fails to start because of it. Without a token and with no other network named, only this
    machine would be answered: then only it is listened to.
    """
    instruments.start()
    if not settings.T2V_METRICS_PORT:
        return None
    near = settings.T2V_METRICS_TOKEN is None and all(
        network.is_loopback for network in settings.T2V_METRICS_NETWORKS
    )
    return serve("127.0.0.1" if near else "0.0.0.0", settings.T2V_METRICS_PORT)  # noqa: S104


def serve(host: str, port: int) -> int | None:
    try:
        server = Server((host, port), Handler)
    except OSError as error:
        logger.warning("no metrics on port %d (%s)", port, error.strerror)
        return None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server.server_port
