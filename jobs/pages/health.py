"""Whether this process answers, and whether it should be sent anybody, for whatever watches it."""

from dataclasses import asdict

from django.http import HttpRequest, HttpResponse, JsonResponse

from jobs import readiness


def live(request: HttpRequest) -> HttpResponse:
    """This process answers; nothing else is touched."""
    return _uncached(HttpResponse("ok", content_type="text/plain"))


def ready(request: HttpRequest) -> HttpResponse:
    """503 while Postgres is away or has older tables than this code, and while this process ends.

    A Redis or storage that is away is told of, as it was seen last, and is no reason.
    """
    found = readiness.look()
    return _uncached(JsonResponse(asdict(found), status=200 if found.is_ready else 503))


def _uncached(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "no-store"
    return answer
