"""Answers 400 to requests that no browser sends and that the parts behind would stumble over."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase


class RefuseNonsense:
    """NUL in a cookie, which Postgres cannot look up; a body in a charset that is none for text."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if any("\x00" in value for value in request.COOKIES.values()):
            return _refuse("A cookie holds a NUL character.")
        charset = (request.content_params or {}).get("charset", "utf-8")
        if not _is_of_text(charset):
            return _refuse("The body's charset is not known; send UTF-8.")
        return self._get_response(request)


def _is_of_text(charset: str) -> bool:
    try:
        b"".decode(charset)  # refuses codecs that make no text
    except (LookupError, UnicodeError, ValueError):
        return False
    return charset.lower() not in {"undefined", "idna", "punycode"}


def _refuse(why: str) -> HttpResponse:
    return HttpResponse(why, status=400, content_type="text/plain; charset=utf-8")
