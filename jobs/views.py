"""Browser pages: parse → access → one action → answer."""

import logging
from typing import cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from accounts.models import User
from accounts.roles import Permission
from jobs import actions, offer, ranges
from jobs.access import access_job
from jobs.artifacts import CONTENT_TYPES, signed_link
from jobs.errors import NotFound, Refusal
from jobs.forms import RenderForm, initial_from
from jobs.models import Artifact, Job
from jobs.serializers import event_to_dict, jobs_to_dicts, model_to_dict, recipe

logger = logging.getLogger(__name__)

JOBS_ON_A_PAGE = 12


@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """The studio: composer and own jobs; for strangers what this is and where to sign in."""
    if not request.user.is_authenticated and request.method == "POST":
        messages.warning(request, "You were signed out, and nothing was submitted. Sign in again.")
        return redirect_to_login("/")
    if not request.user.is_authenticated:
        return render(request, "landing.html")
    if request.method == "POST":
        return _submit(request, request.user)
    return _studio(request, RenderForm(initial=_initial(request)), status=200)


def _submit(request: HttpRequest, user: User) -> HttpResponse:
    form = RenderForm(request.POST)
    spec = form.to_spec() if form.is_valid() else None
    if spec is None:
        return _studio(request, form, status=400)
    try:
        job = actions.submit(
            owner=user,
            spec=spec,
            seed_drawn=form.cleaned_data["seed"] is None,
            model_digest=offer.find(spec.model).digest,
            idempotency_key=form.cleaned_data["idempotency_key"],
        )
    except Refusal as refusal:
        form.add_error(None, str(refusal))
        return _studio(request, form, status=refusal.status)
    return redirect("job", job_id=job.pk)


def _initial(request: HttpRequest) -> dict[str, object]:
    """The values of an earlier job, for "try again" and "make another"."""
    wanted = request.GET.get("from")
    if wanted is None:
        return {}
    try:
        job = access_job(request.user, UUID(wanted), Permission.SEE)
        return initial_from(job.request.render_spec())
    except (ValueError, NotFound):
        messages.warning(request, "That job is not there to start from; here is an empty form.")
        return {}


def _studio(request: HttpRequest, form: RenderForm, *, status: int) -> HttpResponse:
    own = Job.objects.filter(owner=cast(User, request.user)).with_request().newest_first()
    page = Paginator(own, JOBS_ON_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "form": form,
        "models": [model_to_dict(entry) for entry in offer.models().values()],
        "jobs": jobs_to_dicts(list(page.object_list)),
        "page_obj": page,
    }
    return render(request, "jobs/studio.html", context, status=status)


@login_required
@require_safe
def job_page(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = _job_or_404(request, job_id, Permission.SEE)
    (snapshot,) = jobs_to_dicts([job])
    again = Job.objects.filter(request__retry_of=job).values_list("pk", flat=True)
    context = {
        "job": snapshot,
        "snapshot": snapshot,
        "recipe": recipe(job),
        "history": [event_to_dict(event) for event in job.events.order_by("seq")[:200]],
        "owner": job.owner,
        "retry_of": job.request.retry_of_id,
        "retried_as": again.first(),
    }
    return render(request, "jobs/job.html", context)


@login_required
@require_POST
def job_cancel(request: HttpRequest, job_id: UUID) -> HttpResponseRedirect:
    job = _job_or_404(request, job_id, Permission.CANCEL)
    try:
        actions.cancel(job.pk)
    except Refusal as refusal:
        messages.warning(request, str(refusal))
    return redirect("job", job_id=job.pk)


@require_safe
def job_file(request: HttpRequest, job_id: UUID, attempt: int, name: str) -> HttpResponseBase:
    """The file itself, or with S3 a redirect to a link of 5 minutes that is never kept."""
    try:
        job = access_job(request.user, job_id, Permission.SEE)
    except NotFound as refusal:
        raise Http404(str(refusal)) from refusal
    rows = Artifact.objects.filter(job=job, attempt=attempt)
    artifact = rows.filter(name=name).first() if name in CONTENT_TYPES else None
    if artifact is None:
        raise Http404("This job has no such file.")
    file_name = f"{str(job.pk)[:8]}-{name}" if request.GET.get("download") else None
    link = signed_link(artifact, file_name=file_name)
    if link is not None:
        answer: HttpResponseBase = HttpResponseRedirect(link)
        answer["Cache-Control"] = "no-store"
        return answer
    try:
        answer = ranges.serve(request, artifact)
    except FileNotFoundError as missing:
        logger.error("job %s: its file %s is gone from storage", job.pk, artifact.key)  # noqa: TRY400
        raise Http404("This file is gone from storage.") from missing
    if file_name is not None:
        answer["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return answer


def _job_or_404(request: HttpRequest, job_id: UUID, permission: Permission) -> Job:
    try:
        return access_job(request.user, job_id, permission)
    except NotFound as refusal:
        raise Http404(str(refusal)) from refusal


def live(request: HttpRequest) -> HttpResponse:
    """This process answers; nothing else is touched."""
    return HttpResponse("ok", content_type="text/plain")


def ready(request: HttpRequest) -> HttpResponse:
    """This process reaches Postgres; Redis may be away."""
    try:
        Job.objects.exists()
    except DatabaseError:
        return HttpResponse("Postgres does not answer", content_type="text/plain", status=503)
    return HttpResponse("ok", content_type="text/plain")
