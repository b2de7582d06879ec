"""What every answer under /v1/ has in common: who may ask, the shape of errors, an id."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import origin
from accounts.auth import TOKENS_ONLY
from jobs.errors import BadRange, TooLarge
from jobs.images import MAX_BYTES
from jobs.openai_shapes import error, retry_headers
from jobs.parsers import LargeJSON
from jobs.problems import is_no_error, problem

PREFIX = "/v1/"
REQUEST_ID = "x-request-id"


class AnyAccept(BaseContentNegotiation):
    """JSON, whatever Accept says: the SDKs ask for files by application/binary."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        kind = request.content_type.partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, str(first.media_type)


class OpenAIView(APIView):
    """By a token alone: a cookie is never looked at."""

    authentication_classes = TOKENS_ONLY
    renderer_classes = (JSONRenderer,)
    parser_classes = (MultiPartParser, FormParser, LargeJSON)
    content_negotiation_class = AnyAccept
    most_body_bytes: ClassVar = MAX_BYTES * 4 // 3 + 100_000  # a picture in base64, and the rest

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return refusal


def refusal(raised: Exception, context: dict[str, Any]) -> Response | None:
    """The same codes and sentences as everywhere. None for what is our own fault."""
    if isinstance(raised, RequestDataTooBig):  # Django's own, of the texts in a form
        raised = TooLarge(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    told = problem(raised, context)
    if told is None:
        return None
    said: Mapping[str, Any] = told.data
    fields = said.get("fields") or {}
    body = error(
        said["detail"],
        status=told.status_code,
        code=said["code"],
        param=next(iter(fields), None),
    )
    after = told.headers.get("Retry-After")
    headers = {name: told.headers[name] for name in told.headers if name != "Content-Type"}
    headers |= retry_headers(
        told.status_code, code=said["code"], retry_after=None if after is None else int(after)
    )
    answer = Response(body, status=told.status_code, headers=headers)
    return is_no_error(answer) if said["status"] == 503 else answer


class Envelope:
    """Middleware: ids as the SDKs know them on answers under /v1/, and no error in another shape.

    What no view answered (no such address, an error of ours) would be a page for people.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = self._get_response(request)
        if not request.path.startswith(PREFIX):
            return answer
        kind = answer.get("Content-Type", "")
        if answer.status_code >= 400 and not kind.startswith("application/json"):
            answer = _in_shape(answer)
        answer[REQUEST_ID] = f"req_{origin.current().request_id}"
        return answer


def _in_shape(answer: HttpResponseBase) -> HttpResponseBase:
    status = answer.status_code
    if status == BadRange.status:  # of a file: its headers say what there is
        message, code = str(BadRange()), BadRange.code
    elif status == 404:
        message, code = "There is nothing at this address.", "not_found"
    elif status >= 500:
        message, code = "Something broke here; the log has it.", "server_error"
    else:
        message, code = "The request is not one that can be read.", "bad_request"
    shaped = JsonResponse(error(message, status=status, code=code), status=status)
    for name in ("Content-Range", "Accept-Ranges", "ETag", "Retry-After", "Allow"):
        if name in answer:
            shaped[name] = answer[name]
    return shaped
