"""What the verbs of pages answer: JSON to scripts; to plain forms a message and a page."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect

from accounts.roles import Permission
from jobs.access import access_job
from jobs.errors import NotFound, Refusal
from jobs.models import Job
from jobs.problems import written


def for_script(request: HttpRequest) -> bool:
    """Whether static/js/act.js asks, rather than a form."""
    return request.headers.get("Accept") == "application/json"


def acted(
    request: HttpRequest,
    *,
    to: str,
    told: str = "",
    undo: str | None = None,
    status: int = 200,
    **facts: Any,
) -> HttpResponse:
    """told: what was done, in words. undo: where a POST takes it back. facts: for scripts alone."""
    if for_script(request):
        return JsonResponse({"message": told, "undo": undo, **facts}, status=status)
    if told:
        # base.html makes a button of it; text, for messages keep nothing else.
        messages.success(request, told, extra_tags=f"undo:{undo}" if undo else "")
    return redirect(to)


def refused(request: HttpRequest, refusal: Refusal, *, to: str) -> HttpResponse:
    if for_script(request):
        return written(refusal)
    messages.warning(request, str(refusal))
    return redirect(to)


def job_or_404(request: HttpRequest, job_id: UUID, permission: Permission) -> Job:
    try:
        return access_job(request.user, job_id, permission)
    except NotFound as refusal:
        raise Http404(str(refusal)) from refusal
    except Refusal as refusal:
        raise PermissionDenied(str(refusal)) from refusal
