"""REST under /api/v1/: parse → access → one action → answer. Errors are RFC 9457 problems."""

from typing import Any
from uuid import UUID

from django.http import Http404
from django.utils.dateparse import parse_datetime
from rest_framework import exceptions, status
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.roles import Permission
from jobs import actions, offer
from jobs.access import access_job, visible_jobs
from jobs.errors import BadSpec, Refusal
from jobs.serializers import RenderRequest, jobs_to_dicts, model_to_dict


class NewestFirst(CursorPagination):
    page_size = 20
    max_page_size = 100
    page_size_query_param = "limit"
    ordering = ("-created_at", "-id")

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Raises NotFound also where the position is no time."""
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None:
            try:
                readable = parse_datetime(str(cursor.position)) is not None
            except ValueError:
                readable = False
            if not readable:
                raise exceptions.NotFound(self.invalid_cursor_message)
        return cursor


def _caller(request: Request) -> User:
    """The signed-in user: the default permission has refused everybody else."""
    assert isinstance(request.user, User)
    return request.user


class JobList(APIView):
    def get(self, request: Request) -> Response:
        """The caller's own jobs, newest first, by cursor."""
        pages = NewestFirst()
        own = visible_jobs(request.user).filter(owner=_caller(request)).with_request()
        page = pages.paginate_queryset(own, request, view=self)
        return pages.get_paginated_response(jobs_to_dicts(list(page or [])))

    def post(self, request: Request) -> Response:
        """A new job: 201, or the earlier one of the same Idempotency-Key."""
        asked = RenderRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        spec = asked.to_spec()
        key = request.headers.get("Idempotency-Key")
        if key is not None and not 1 <= len(key) <= 100:
            raise BadSpec({"Idempotency-Key": "Use 1 to 100 characters."})
        job = actions.submit(
            owner=_caller(request),
            spec=spec,
            seed_drawn=asked.validated_data.get("seed") is None,
            model_digest=offer.find(spec.model).digest,
            idempotency_key=key,
            start_within=asked.start_within,
        )
        job = access_job(request.user, job.pk, Permission.SEE)
        return Response(jobs_to_dicts([job])[0], status=status.HTTP_201_CREATED)


class JobDetail(APIView):
    def get(self, request: Request, job_id: UUID) -> Response:
        return Response(jobs_to_dicts([access_job(request.user, job_id, Permission.SEE)])[0])


class JobCancel(APIView):
    def post(self, request: Request, job_id: UUID) -> Response:
        job = access_job(request.user, job_id, Permission.CANCEL)
        actions.cancel(job.pk)
        return Response(jobs_to_dicts([access_job(request.user, job_id, Permission.SEE)])[0])


class ModelList(APIView):
    def get(self, request: Request) -> Response:
        return Response([model_to_dict(entry) for entry in offer.models().values()])


def _sentences(detail: Any) -> dict[str, str]:
    """DRF's messages, one sentence for each field; those of the whole body under "body"."""
    if not isinstance(detail, dict):
        return {"body": " ".join(map(str, detail))}
    return {name: " ".join(map(str, texts)) for name, texts in detail.items()}


def problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """Every error of the API as application/problem+json (RFC 9457) with a stable code.

    None for what is our own fault: Django answers 500 and logs it.
    """
    body: dict[str, Any]
    headers: dict[str, str] = {}
    if isinstance(error, Refusal):
        code, http_status, detail = error.code, error.status, str(error)
        body = {"fields": error.fields} if isinstance(error, BadSpec) else {}
        if error.retryable:
            headers["Retry-After"] = "30"
    elif isinstance(error, Http404):
        code, http_status, detail, body = "not_found", 404, "There is nothing here.", {}
    elif isinstance(error, RecursionError):
        code, http_status, detail, body = "parse_error", 400, "The JSON is nested too deeply.", {}
    elif isinstance(error, exceptions.ValidationError):
        fields = _sentences(error.detail)
        code, http_status, body = BadSpec.code, 400, {"fields": fields}
        detail = "; ".join(f"{field}: {message}" for field, message in fields.items())
    elif isinstance(error, exceptions.APIException):
        code, http_status, body = str(error.default_code), error.status_code, {}
        detail = str(error.detail)
    else:
        return None
    title = code.replace("_", " ").capitalize()
    answer = {"type": "about:blank", "title": title, "status": http_status, "code": code}
    return Response(
        answer | {"detail": detail} | body,
        status=http_status,
        headers=headers,
        content_type="application/problem+json",
    )
