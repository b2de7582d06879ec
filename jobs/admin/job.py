"""Jobs in the console: the list, and one job with all that is known of it."""

import re
from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.text import Truncator
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.console import (
    COUNTED,
    Listed,
    Question,
    Reason,
    ask,
    at,
    filled,
    operators_only,
    owners_named,
    person,
)
from accounts.models import User
from accounts.roles import Permission
from jobs import actions, diagnosis
from jobs.access import access_job
from jobs.admin.retrying import retry_all
from jobs.errors import NotFound, Refusal
from jobs.lifecycle import FINAL, State
from jobs.models import Job, JobRequest

_ID = re.compile(r"[0-9a-f]{4,32}")


class StateFilter(admin.SimpleListFilter):
    """What needs a person first."""

    title = "state"
    parameter_name = "state"
    LEFT = "left"
    ORDER = ("parked", "running", "queued", "succeeded", "failed", "cancelled", "expired")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(self.LEFT, "Parked, not tried again")] + [
            (state, state.title()) for state in self.ORDER
        ]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Job]") -> "QuerySet[Job]":
        wanted = self.value()
        if wanted == self.LEFT:
            again = Exists(
                JobRequest.objects.filter(retry_of=OuterRef("pk"), retry_of__isnull=False)
            )
            return queryset.filter(~again, state=State.PARKED)
        return queryset.filter(state=wanted) if wanted in self.ORDER else queryset


@admin.register(Job)
class JobAdmin(Listed):
    list_display = (
        "short_id",
        "state",
        "prompt",
        "owner",
        "tries",
        "error_code",
        "created",
        "finished",
    )
    created = at("created_at", "created")
    started = at("started_at", "last start")
    finished = at("finished_at", "finished")
    list_filter = (StateFilter,)
    list_select_related = ("owner", "request")
    search_fields = ("pk",)
    search_help_text = "An id, its beginning, or an owner's address"
    change_form_template = "admin/jobs/job/change_form.html"
    actions = ("try_again",)
    fields = (
        "id",
        "owner",
        "prompt",
        "state",
        "error_code",
        "error_message",
        "tries",
        "worker",
        "created",
        "started",
        "finished",
    )
    readonly_fields = ("prompt", "tries", "created", "started", "finished")

    # --- The list -----------------------------------------------------------------------------

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Each an index's own order."""
        if request.GET.get(StateFilter.parameter_name) in {StateFilter.LEFT, State.PARKED}:
            return ("-finished_at", "-pk")
        return ("-created_at", "-pk")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Job]", search_term: str
    ) -> "tuple[QuerySet[Job], bool]":
        """By ranges of indexes: an id's beginning is a range of ids."""
        term = search_term.strip().lower()
        bare = term.replace("-", "")
        if not term:
            return queryset, False
        if "@" in term:
            return queryset.filter(owner__in=owners_named(term)), False
        if not _ID.fullmatch(bare):
            return queryset.none(), False
        first, last = UUID(bare.ljust(32, "0")), UUID(bare.ljust(32, "f"))
        return queryset.filter(pk__range=(first, last)), False

    @admin.display(description="job", ordering=None)
    def short_id(self, job: Job) -> str:
        return str(job.pk)[:8]

    @admin.display(description="prompt")
    def prompt(self, job: Job) -> str:
        return Truncator(job.request.prompt).chars(100)

    @admin.display(description="attempts")
    def tries(self, job: Job) -> str:
        unspent = f", {job.releases} handed back" if job.releases else ""
        return f"{job.spent} of {job.max_attempts}{unspent}"

    @admin.action(
        description="Try again (parked, cancelled and expired ones)", permissions=["view"]
    )
    def try_again(self, request: HttpRequest, queryset: "QuerySet[Job]") -> None:
        retry_all(request, queryset.values_list("pk", flat=True)[:COUNTED])

    # --- One job ------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("<uuid:job_id>/retry/", _retry, name="jobs_job_retry"),
            path("<uuid:job_id>/cancel/", _cancel, name="jobs_job_cancel"),
            path("<uuid:job_id>/diagnosis.json", _diagnosis, name="jobs_job_diagnosis"),
            path("<uuid:job_id>/preview", _preview, name="jobs_job_preview"),
        ]
        return [*own, *super().get_urls()]

    def titled(self, obj: Job) -> str:
        return f"Job {str(obj.pk)[:8]}"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        job: Job = context["original"]
        state, found = State(job.state), diagnosis.bundle(job)
        context |= {
            "bundle": found,
            "may_retry": state in actions.RETRIED_FROM,
            "may_cancel": state not in FINAL and job.cancel_requested_at is None,
        }
        return super().render_change_form(request, context, *args, **kwargs)


@operators_only
@require_POST
def _retry(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = _job_or_404(request, job_id, Permission.SEE)
    retry_all(request, [job.pk])
    return redirect("admin:jobs_job_change", job.pk)


@operators_only
@require_http_methods(["GET", "HEAD", "POST"])
def _cancel(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = _job_or_404(request, job_id, Permission.CANCEL)
    form = filled(Reason, request)
    if not form.is_valid():
        return ask(request, _cancel_question(job), form)
    try:
        reason = form.cleaned_data["reason"]
        state = actions.cancel(job.pk, by=person(request), reason=reason)
    except Refusal as refusal:
        messages.warning(request, str(refusal))
    else:
        words = "It is cancelled." if state in FINAL else "It stops after the step at hand."
        messages.success(request, words)
    return redirect("admin:jobs_job_change", job.pk)


def _cancel_question(job: Job) -> Question:
    stops = " It stops after the step at hand." if job.state == State.RUNNING else ""
    prompt = Truncator(job.request.prompt).chars(200)
    return Question(
        title=f"Cancel job {str(job.pk)[:8]}?",
        words=f"“{prompt}”, of {job.owner}, is {job.state}.{stops} A cancelled job can be tried "
        "again later, from its beginning.",
        button="Cancel the job",
        back=reverse("admin:jobs_job_change", args=[job.pk]),
    )


@operators_only
@require_safe
def _diagnosis(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = _job_or_404(request, job_id, Permission.SEE)
    answer = JsonResponse(diagnosis.bundle(job), json_dumps_params={"indent": 2})
    answer["Content-Disposition"] = f'attachment; filename="job-{str(job.pk)[:8]}.json"'
    return answer


@operators_only
@require_safe
def _preview(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """The image alone."""
    picture = diagnosis.last_picture(_job_or_404(request, job_id, Permission.SEE))
    if picture is None:
        raise Http404("No preview of this job was kept.")
    return HttpResponse(picture.image, content_type=picture.content_type)


def _job_or_404(request: HttpRequest, job_id: UUID, permission: Permission) -> Job:
    try:
        return access_job(cast(User, request.user), job_id, permission)
    except NotFound as refusal:
        raise Http404(str(refusal)) from refusal
    except Refusal as refusal:
        raise PermissionDenied(str(refusal)) from refusal
