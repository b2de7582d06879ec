"""How long each request took until its answer began, by the part of the site that was asked."""

import re
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from jobs.metrics import instruments

_EVENTS = re.compile(r"/api/v1/(events|jobs/[^/]+/events)")
_FILES = re.compile(r"/static/|/jobs/[^/]+/\d+/|/library/zip$|/v1/videos/[^/]+/content$")
_BY_BEGINNING = (
    ("/v1/", "v1"),
    ("/api/", "api"),
    ("/admin/", "admin"),
    ("/accounts/", "accounts"),
    ("/_allauth/", "accounts"),
    ("/healthz/", "other"),
    ("/metrics", "other"),
)


class Measured:
    """Middleware, the outermost: also of what the others refuse."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        answer = self._get_response(request)
        found = request.resolver_match is not None or answer.status_code != 404
        surface = surface_of(request.path_info) if found else "other"
        seconds = time.perf_counter() - began
        instruments.answered(surface, request.method or "", answer.status_code, seconds)
        return answer


def surface_of(path: str) -> str:
    """One of the catalogue's; a path that is no page of ours is "other" by its 404."""
    if _EVENTS.match(path):
        return "events"
    if _FILES.match(path):
        return "files"
    return next((name for begin, name in _BY_BEGINNING if path.startswith(begin)), "page")
