"""A file from storage, whole or by HTTP Range, so that players can seek (RFC 9110 §14)."""

import re
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from jobs.models import Artifact

CHUNK = 256 * 1024  # bytes read at a time
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte asked for, or None for "send it all".

    Only one range is served: several, or another unit, are answered whole as the RFC allows.
    Raises ValueError when the range lies outside the file.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(0, size - int(last)), size - 1
        unsatisfiable = int(last) == 0 or size == 0
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < int(first):
            return None  # not a valid range at all: ignored
        unsatisfiable = start >= size
    if unsatisfiable:
        raise ValueError(f"bytes */{size}")
    return start, end


def serve(request: HttpRequest, artifact: Artifact) -> HttpResponseBase:
    """200, 206, 304 or 416. The SHA-256 is the ETag: a key's content never changes.

    Raises FileNotFoundError when the file is gone from storage.
    """
    etag, size = f'"{artifact.sha256}"', artifact.size
    if request.headers.get("If-None-Match") == etag:
        return _with_headers(HttpResponse(status=304), etag)
    wanted: tuple[int, int] | None = None
    if request.headers.get("If-Range", etag) == etag:
        try:
            wanted = parse_range(request.headers.get("Range", ""), size)
        except ValueError as outside:
            answer = HttpResponse(status=416)
            answer["Content-Range"] = str(outside)
            return _with_headers(answer, etag)
    start, end = wanted or (0, size - 1)
    response: HttpResponseBase
    if request.method == "HEAD":
        response = HttpResponse(content_type=artifact.content_type)
    else:
        if not default_storage.exists(artifact.key):  # later it is too late for a 404
            raise FileNotFoundError(artifact.key)
        body = _read(artifact.key, start, end - start + 1)
        response = StreamingHttpResponse(body, content_type=artifact.content_type)
    response["Content-Length"] = str(end - start + 1)
    if wanted is not None:
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{end}/{size}"
    return _with_headers(response, etag)


def _with_headers(response: HttpResponseBase, etag: str) -> HttpResponseBase:
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"  # kept, but asked for again: rights change
    return response


async def _read(key: str, start: int, length: int) -> AsyncIterator[bytes]:
    file = await sync_to_async(default_storage.open)(key, "rb")
    try:
        await sync_to_async(file.seek)(start)
        left = length
        while left > 0:
            chunk = await sync_to_async(file.read)(min(CHUNK, left))
            if not chunk:
                raise OSError(f"{key} ended {left} bytes early")
            left -= len(chunk)
            yield chunk
    finally:
        await sync_to_async(file.close)()
