"""How large a request's body may be at all: it is taken in before anybody asks who sends it.

Django writes all of it to a file, daphne to another one and then into a queue in memory: 400 MB
from nobody cost 800 MB on the disk and 500 MB of memory. What each address takes is less than this
and refused in words; here only what nothing takes is cut off.
"""

import io
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from typing import IO, Any

from daphne.http_protocol import WebRequest
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse

from jobs.errors import TooLarge
from jobs.problems import written
from t2v_site.forged import ROOT_PATH

MOST_BYTES = 32 << 20  # the largest that an address takes has 14 MB: a picture in base64

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class Bounded(ASGIHandler):
    """Django's own, but the rest of a body that is too large is not kept, and a length is known."""

    async def read_body(self, receive: Receive) -> IO[bytes]:
        """Empty, and marked, where it was too large."""
        body: Any = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - Django closes it
            max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE
        )
        came, more = 0, True
        while more and came <= MOST_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                body.close()
                raise RequestAborted
            part = message.get("body", b"")
            came += len(part)
            body.write(part)
            more = message.get("more_body", False)
        body.seek(0)
        body.too_large = came > MOST_BYTES
        if body.too_large:
            body.truncate()
        return body  # type: ignore[no-any-return]

    def create_request(self, scope: Mapping[str, Any], body_file: Any) -> tuple[Any, Any]:
        if body_file.too_large:
            refusal: HttpResponse = written(TooLarge(MOST_BYTES))
            refusal.headers["Connection"] = "close"
            return None, refusal
        request, answer = super().create_request(scope, body_file)
        if request is not None:
            # One in chunks says no length, and DRF takes it for none at all.
            request.META["CONTENT_LENGTH"] = str(body_file.seek(0, io.SEEK_END))
            body_file.seek(0)
        return request, answer


class BoundedWebRequest(WebRequest):  # type: ignore[misc]  # daphne has no types
    """Daphne's own, which takes in all of a body before it calls the application, and one of its
    headers for its own."""

    came = 0  # bytes

    def process(self) -> Any:
        if self.requestHeaders.hasHeader(ROOT_PATH):  # the application would not see it
            self.basic_error(400, b"Bad Request", "Invalid header name")
            return None
        return super().process()

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        if length is not None and length > MOST_BYTES:
            self._cut_off()

    def handleContentChunk(self, data: bytes) -> None:
        before = self.came
        self.came += len(data)
        if self.came <= MOST_BYTES:
            super().handleContentChunk(data)
        elif before <= MOST_BYTES:
            self._cut_off()

    def _cut_off(self) -> None:
        self.came = MOST_BYTES + 1  # nothing more of it is kept
        self.channel.transport.write(
            b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        self.channel.loseConnection()
