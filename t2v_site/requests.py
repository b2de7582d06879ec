"""What every request passes first and every answer last."""

import ipaddress
import re
from collections.abc import Callable
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import has_vary_header

from accounts import origin
from jobs import telling, tracing

REQUEST_ID = "X-Request-ID"
_AN_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNTRACED = ("/health", "/metrics", "/static/")  # asked every few seconds, or not ours to speed up
_FORWARDED = "HTTP_X_FORWARDED_FOR"
ASKED_BY_ADDRESS = ("/healthz/", "/metrics")
# Of what a browser can do, nothing that no page of ours asks for; videos play, passkeys work.
PERMISSIONS = (
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
    "magnetometer=(), microphone=(), midi=(), payment=(), usb=(), xr-spatial-tracking=()"
)


class Origin:
    """Middleware, the outermost: an id for every answer, and the address that asks.

    Neither is taken from the request's own headers unless so many proxies of ours are named
    (T2V_TRUSTED_PROXIES) that they wrote them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        proxies: int = settings.ALLAUTH_TRUSTED_PROXY_COUNT
        here = origin.Origin(
            via="anonymous",
            address=address_of(
                request.META.get("REMOTE_ADDR", ""), request.META.get(_FORWARDED, ""), proxies
            ),
            request_id=id_of(request.headers.get(REQUEST_ID, ""), proxies),
        )
        request.request_id = here.request_id  # type: ignore[attr-defined]  # for t2v_site/logs.py
        token = origin.enter(here)
        try:
            answer = self._get_response(request)
        finally:
            origin.leave(token)
        if REQUEST_ID not in answer:
            answer[REQUEST_ID] = here.request_id
        return answer


def id_of(given: str, proxies: int) -> str:
    """given where it looks like one and a proxy of ours sent it, else a new one."""
    return given if proxies and _AN_ID.fullmatch(given) else uuid4().hex


def address_of(remote: str, forwarded: str, proxies: int) -> str | None:
    """The caller's: the one that the first of our proxies saw, else who is connected.

    forwarded is X-Forwarded-For, to whose right end each proxy adds whom it saw: what stands left
    of ours anybody may have written. None for what is no address (a Unix socket). Source:
    allauth.core.internal.httpkit.get_client_ip, which refuses a list that is too short.
    """
    hops = forwarded.split(",") if proxies and forwarded else []
    return _address(hops[-proxies] if len(hops) >= proxies > 0 else remote)


def _address(text: str) -> str | None:
    text = text.strip()
    if match := re.fullmatch(r"\[([0-9a-fA-F:.]+)\](:\d+)?|([0-9.]+):\d+", text):
        text = match[1] or match[3]  # with a port
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None


class Traced:
    """Middleware, right inside of Origin: the request as a span, named by its route.

    Of a request it tells the method, the route, the status and its id: paths and queries hold
    secrets (an invitation, a ticket). Not there at all while traces are off.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        if not settings.T2V_TRACES:
            raise MiddlewareNotUsed
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(UNTRACED):
            return self._get_response(request)
        method = next((each for each in METHODS if each == request.method), "OTHER")
        with tracing.request(method, parent=parent_of(request)) as span:
            with telling.about(trace=span.trace):
                answer = self._get_response(request)
            found = request.resolver_match
            route = f"/{found.route}" if found else ""
            told: tracing.Values = {
                "http.request.method": method,
                "http.response.status_code": answer.status_code,
                "request": origin.current().request_id,
                **({"http.route": route} if route else {}),
            }
            span.note(name=f"{method} {route}".rstrip(), **told)
        return answer


def parent_of(request: HttpRequest) -> str:
    """The traceparent that came with it, if a proxy of ours stands before the site: by the same
    rule as X-Request-ID. A stranger's would put their spans among ours."""
    given = request.headers.get("traceparent", "")
    return given if settings.ALLAUTH_TRUSTED_PROXY_COUNT and len(given) <= 55 else ""


class ByAddress:
    """Middleware, before whatever looks at the host: probes name an address, and are answered.

    A cluster asks each process by the address that it has just got, which no setting can name. What
    lies there makes no link of the host.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(ASKED_BY_ADDRESS):
            request.META["HTTP_HOST"] = settings.ALLOWED_HOSTS[0]
            request.META.pop("HTTP_X_FORWARDED_HOST", None)
        return self._get_response(request)


class Guarded:
    """Middleware, outside of the sessions': headers that Django itself does not know."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = self._get_response(request)
        answer["Permissions-Policy"] = PERMISSIONS
        page = answer.get("Content-Type", "").startswith("text/html")
        if "Cache-Control" not in answer and (page or has_vary_header(answer, "Cookie")):
            # It was made for whoever signed in: no cache, and no "back" after they signed out.
            answer["Cache-Control"] = "no-store, private"
        return answer


class RefuseNonsense:
    """Middleware: 400 for what no browser sends and the parts behind would stumble over.

    NUL in a cookie, which Postgres cannot look up; a body in a charset that is none for text.
    """

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
