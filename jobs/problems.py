"""Every error of the API as application/problem+json (RFC 9457) with a stable code."""

import logging
import sys
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseServerError,
    JsonResponse,
)
from django.template import loader
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from accounts import origin, theme
from accounts.errors import RETRY_AFTER_SECONDS
from jobs.errors import BadFields, BadSpec, DatabaseUnavailable, Refusal, TooLarge

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer", bound=HttpResponseBase)

CONTENT_TYPE = "application/problem+json"
PROGRAMS = ("/api/", "/_allauth/")  # below them every answer is for programs


def for_program(request: HttpRequest) -> bool:
    """Whether a page would not be read: of the API, and what static/js/act.js asks for."""
    return request.path.startswith(PROGRAMS) or request.headers.get("Accept") == "application/json"


class Broken(exceptions.APIException):
    default_code = "server_error"
    default_detail = "Something broke here; it was noted."


def sentences(detail: Any) -> dict[str, str]:
    """DRF's messages, one sentence for each field; those of the whole body under "body"."""
    if not isinstance(detail, dict):
        return {"body": " ".join(map(str, detail))}
    return {name: _sentence(texts) for name, texts in detail.items()}


def _sentence(texts: Any) -> str:
    """Of lists in lists and fields in fields, as nested serializers give them."""
    if isinstance(texts, dict):
        return " ".join(f"{name}: {_sentence(inner)}" for name, inner in texts.items())
    if isinstance(texts, list | tuple):
        return " ".join(_sentence(each) for each in texts)
    return str(texts)


def problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """None for what is our own fault: Django answers 500 and logs it."""
    body: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if isinstance(error, RequestDataTooBig):
        error = TooLarge(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    if isinstance(error, OperationalError | InterfaceError):
        cause = type(error.__cause__ or error).__name__  # its words may hold addresses and values
        logger.warning("Postgres did not answer a request (%s)", cause)
        error = DatabaseUnavailable()
    if isinstance(error, Refusal):
        code, http_status, detail = error.code, error.status, str(error)
        if isinstance(error, BadFields):
            body = {"fields": error.fields}
        if error.retryable:
            headers["Retry-After"] = str(error.retry_after or RETRY_AFTER_SECONDS)
    elif isinstance(error, Http404):
        code, http_status, detail = "not_found", 404, "There is nothing here."
    elif isinstance(error, RecursionError):
        code, http_status, detail = "parse_error", 400, "The JSON is nested too deeply."
    elif isinstance(error, exceptions.ValidationError):
        fields = sentences(error.detail)
        code, http_status, body = BadSpec.code, 400, {"fields": fields}
        detail = "; ".join(f"{field}: {message}" for field, message in fields.items())
    elif isinstance(error, exceptions.APIException):
        code, http_status = str(error.default_code), error.status_code
        detail = str(error.detail)
        if (challenge := getattr(error, "auth_header", None)) is not None:
            headers["WWW-Authenticate"] = challenge
    else:
        return None
    title = code.replace("_", " ").capitalize()
    answer = {"type": "about:blank", "title": title, "status": http_status, "code": code}
    told = Response(
        answer | {"detail": detail} | body,
        status=http_status,
        headers=headers,
        content_type=CONTENT_TYPE,
    )
    return is_no_error(told) if isinstance(error, Refusal) else told


def is_no_error(told: Response) -> Response:
    """A refusal, also of 503: Django would write it into the log as an error of ours."""
    return is_logged(told) if told.status_code >= 500 else told


def is_logged(answer: Answer) -> Answer:
    """So that Django does not do it as well."""
    answer._has_been_logged = True  # type: ignore[attr-defined]  # Django's own
    return answer


def written(error: Exception) -> HttpResponse:
    """The same where DRF is not at work. error must be one that problem knows."""
    answer = problem(error, {})
    assert answer is not None
    headers = {name: words for name, words in answer.items() if name != "Content-Type"}
    if answer.status_code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JsonResponse(
        answer.data, status=answer.status_code, headers=headers, content_type=CONTENT_TYPE
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """What Django itself finds wrong before any view: of the API a problem, else a page."""
    if for_program(request):
        return written(exceptions.ParseError("The request cannot be read."))
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if request.path.startswith(PROGRAMS):
        return written(Http404())
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Our own fault, and then what it was stands in the log alone; or Postgres is away."""
    error = sys.exception()
    if isinstance(error, OperationalError | InterfaceError):
        return _database_away(request, error)
    request_id = origin.current().request_id
    if for_program(request):
        return written(Broken(f"{Broken.default_detail} Its id is {request_id}."))
    page = loader.get_template("500.html")
    context = {"request_id": request_id, "theme": theme.of(request)}
    return HttpResponseServerError(page.render(context))


def _database_away(request: HttpRequest, error: Exception) -> HttpResponse:
    told = written(error)  # which logs it
    if not for_program(request):
        page = loader.get_template("503.html")
        context = {"theme": theme.of(request), "again": request.method == "GET"}
        headers = {"Retry-After": told["Retry-After"]}
        told = HttpResponse(page.render(context), status=told.status_code, headers=headers)
    return is_logged(told)
