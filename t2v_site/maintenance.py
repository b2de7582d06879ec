"""While T2V_MAINTENANCE says why, nobody gets in: the site answers so without asking a service.

Health, metrics, static files and the workers go on. Sockets are closed by jobs/routing.py.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template import loader

from accounts import theme
from accounts.errors import Maintenance
from jobs.openai_answers import PREFIX
from jobs.openai_shapes import error, retry_headers
from jobs.problems import for_program, is_logged, written

GO_ON = ("/healthz/", "/metrics", "/static/")


class Closed:
    """Middleware, outside of the sessions': Postgres may be what is looked after."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        words: str = settings.T2V_MAINTENANCE
        if not words or request.path.startswith(GO_ON):
            return self._get_response(request)
        return is_logged(_told(request, Maintenance(words)))


def _told(request: HttpRequest, why: Maintenance) -> HttpResponse:
    """In the shape that each address has for its errors."""
    if request.path.startswith(PREFIX):
        headers = retry_headers(why.status, code=why.code, retry_after=why.retry_after)
        body = error(str(why), status=why.status, code=why.code)
        return JsonResponse(body, status=why.status, headers=headers)
    if for_program(request):
        return written(why)
    context = {"words": str(why), "theme": theme.of(request), "again": request.method == "GET"}
    page = loader.get_template("maintenance.html").render(context)
    return HttpResponse(page, status=why.status, headers={"Retry-After": str(why.retry_after)})
