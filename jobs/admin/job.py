"""Jobs in the console: the list, and one job with all that is known of it."""

import re
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils.text import Truncator
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.roles import Permission
from jobs import actions, diagnosis
from jobs.access import access_job
from jobs.admin.operators import ReadOnly, note, operators_only
from jobs.admin.retrying import retry_all
from jobs.errors import NotFound, Refusal
from jobs.lifecycle import FINAL, State
from jobs.models import Job, JobRequest

COUNTED = 10_000  # rows of a list; nobody turns a hundred pages
_ID = re.compile(r"[0-9a-f]{4,32}")


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts to COUNTED: a count of everything reads everything."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Job]", self.object_list)
        return len(rows.order_by().values_list("pk", flat=True)[:COUNTED])


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
class JobAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
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
    list_filter = (StateFilter,)
    list_select_related = ("owner", "request")
    list_per_page = 50
    list_max_show_all = 1  # no "show all"
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count whole tables
    paginator = BoundedPaginator
    search_fields = ("pk",)
    search_help_text = (
        "The id or its beginning (4 characters or more), or an owner's whole address."
    )
    actions = ("try_again",)
    sortable_by = ()
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

    class Media:
        css: ClassVar = {"all": ["css/admin.css"]}

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
            return queryset.filter(owner__in=User.objects.filter(email__iexact=term)), False
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

    @admin.display(description="created (UTC)")
    def created(self, job: Job) -> str:
        return _seconds(job.created_at)

    @admin.display(description="last start (UTC)")
    def started(self, job: Job) -> str:
        return _seconds(job.started_at)

    @admin.display(description="finished (UTC)")
    def finished(self, job: Job) -> str:
        return _seconds(job.finished_at)

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
        return own + super().get_urls()

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        job: Job = context["original"]
        state, found = State(job.state), diagnosis.bundle(job)
        context |= {
            "title": f"Job {str(job.pk)[:8]}",
            "subtitle": None,
            "bundle": found,
            "may_retry": state in actions.RETRIED_FROM,
            "may_cancel": state not in FINAL and job.cancel_requested_at is None,
        }
        return super().render_change_form(request, context, *args, **kwargs)


def _seconds(at: datetime | None) -> str:
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


@operators_only
@require_POST
def _retry(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = _job_or_404(request, job_id, Permission.SEE)
    retry_all(request, [job.pk])
    return redirect("admin:jobs_job_change", job.pk)


@operators_only
@require_http_methods(["GET", "HEAD", "POST"])
def _cancel(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Asks first, with a page of its own: it works without a script."""
    job = _job_or_404(request, job_id, Permission.CANCEL)
    if request.method != "POST":
        context = {
            **admin.site.each_context(request),
            "title": f"Cancel job {str(job.pk)[:8]}?",
            "job": job,
        }
        return render(request, "admin/jobs/job/cancel.html", context)
    try:
        state = actions.cancel(job.pk)
    except Refusal as refusal:
        messages.warning(request, str(refusal))
    else:
        note(request, [job], "Cancelled.")
        words = "It is cancelled." if state in FINAL else "It stops after the step at hand."
        messages.success(request, words)
    return redirect("admin:jobs_job_change", job.pk)


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
