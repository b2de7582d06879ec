"""One job: its page, and what else is read of it. Its verbs are in jobs/pages/job_verbs.py."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import workspaces
from accounts.models import User
from accounts.roles import Permission
from jobs import outlook, story
from jobs.access import access_deleted, may, may_do
from jobs.actions import RETRIED_FROM, kept_for
from jobs.errors import NotFound
from jobs.files_api import recipe_to_dict
from jobs.kin import kin_of
from jobs.lifecycle import FINAL, State
from jobs.marks import marks_of
from jobs.models import Attempt, Job
from jobs.moves import as_fact
from jobs.pages.answers import job_or_404
from jobs.serializers import jobs_to_dicts, recipe

EVENTS = 200  # shown, the newest; the API tells all
MACHINES = 20  # attempts whose machine is told, the newest
TINY = 256  # pixels; what is no larger is enlarged with its pixels seen
WIDE = "wide"  # the cookie of static/js/player_controls.js
UNDONE = sorted(FINAL - {State.SUCCEEDED})  # no picture will be there: it takes no room
RETRIED = sorted(state.value for state in RETRIED_FROM)
MOST_VARIATIONS = 4  # of one press
SPEEDS = ("0.25", "0.5", "0.75", "1", "1.25", "1.5", "2")
MODULES = [  # of job.js, so that they are not found one after the other
    f"js/{name}.js"
    for name in (
        *("view", "player", "player_controls", "clip_failed", "formed", "history", "outlook"),
        *("freshness", "job_verbs", "job_marks", "act", "ask", "cancel", "banner"),
    )
]


@login_required
@require_safe
def job_page(request: HttpRequest, job_id: UUID) -> HttpResponse:
    user = cast(User, request.user)
    try:
        job = job_or_404(request, job_id, Permission.SEE)
    except Http404:
        return _deleted_page(request, user, job_id)
    (snapshot,) = jobs_to_dicts([job])
    told = list(job.events.order_by("-seq")[:EVENTS])[::-1]
    lines = story.tell([as_fact(event) for event in told])
    machines = _machines(job)
    here = workspaces.current_id(user) if user.memberships else None
    waits = outlook.outlook_of(job, place=snapshot["place"], held=snapshot["held"])
    kin = kin_of(job, user)
    context = {
        "job": snapshot,
        "snapshot": snapshot,
        "outlook": waits,
        "recipe": recipe(job),
        "story": [
            (line, machines.get(line.attempt) if line.kind == "claimed" else None) for line in lines
        ],
        "told_before": lines[0].seq - 1 if lines else 0,
        "tables": story.TABLES,
        "modules": MODULES,
        "speeds": SPEEDS,
        "variations": range(1, MOST_VARIATIONS + 1),
        "vary_key": str(uuid4()),
        "kept_hours": settings.T2V_DELETED_HOURS,
        "workspace_name": None if job.workspace_id == here else job.workspace.name,
        "can": rights_of(user, job),
        "advice": story.advice(job.error_code),
        "retried_from": RETRIED,
        "tried_again": any(each.job.request.retry_of_id == job.pk for each in kin),
        "kin": kin,
        "marks": marks_of(user, [job])[job.pk],
        "wide": WIDE in request.COOKIES,
        "blank": job.state in UNDONE,
        "tiny": max(snapshot["spec"]["width"], snapshot["spec"]["height"]) <= TINY,
    }
    return render(request, "jobs/job.html", context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What one person may do with one job, and why no more."""

    cancel: bool
    retry: bool
    delete: bool
    tag: bool
    make: bool  # others from it: remix, vary
    why_not: str  # a sentence; empty for who may do all


def rights_of(user: User, job: Job) -> Rights:
    cancel, retry, delete = (
        may_do(user, verb, job) for verb in (Permission.CANCEL, Permission.RETRY, Permission.DELETE)
    )
    tag = may_do(user, Permission.TAG, job)
    make = place_to_make(user, job) is not None
    if not make:
        why = "You may watch the videos of this workspace. Ask to be a creator to make some."
    elif not (cancel and retry and delete):
        why = "Only who made it and the managers of its workspace may cancel, retry or delete it."
    else:
        why = ""
    return Rights(cancel=cancel, retry=retry, delete=delete, tag=tag, make=make, why_not=why)


def place_to_make(user: User, job: Job) -> int | None:
    """The workspace for what is made from a job: its own, or the one that they work in."""
    if may(user, Permission.SUBMIT, workspace=job.workspace_id):
        return job.workspace_id
    here = workspaces.current_id(user) if user.memberships else None
    return here if here and may(user, Permission.SUBMIT, workspace=here) else None


def _machines(job: Job) -> dict[int, dict[str, Any]]:
    """On what each attempt rendered, where that was kept: its device, and what else counts."""
    newest = Attempt.objects.filter(job=job).exclude(fingerprint={}).order_by("-number")
    machines = {}
    for number, fingerprint in newest.values_list("number", "fingerprint")[:MACHINES]:
        known = {name: value for name, value in fingerprint.items() if value}
        device = known.pop("device", "The machine")
        machines[number] = {"device": device, "rows": sorted(known.items())}
    return machines


def _deleted_page(request: HttpRequest, user: User, job_id: UUID) -> HttpResponse:
    """For who may bring it back, while that is possible. Raises Http404."""
    try:
        job = access_deleted(user, job_id)
    except NotFound as refusal:
        raise Http404(str(refusal)) from refusal
    until = kept_until(job)
    if until is None or until <= timezone.now():
        raise Http404(str(NotFound()))
    context = {"job": job, "until": until}
    return render(request, "jobs/deleted.html", context)


def kept_until(job: Job) -> datetime | None:
    """When a deleted job is purged; None of one that is not deleted."""
    return None if job.deleted_at is None else job.deleted_at + kept_for()


@login_required
@require_safe
def job_recipe(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """The recipe as a file: what the API answers at /recipe."""
    job = job_or_404(request, job_id, Permission.SEE)
    answer = JsonResponse(recipe_to_dict(job), json_dumps_params={"indent": 2})
    name = f"{str(job.pk)[:8]}-recipe.json"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@login_required
@require_safe
def job_outlook(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Why it waits and how long it may be, for the page that shows it; null when it does not."""
    job = job_or_404(request, job_id, Permission.SEE)
    waits = None
    if job.state == State.QUEUED:
        (snapshot,) = jobs_to_dicts([job])
        waits = outlook.outlook_of(job, place=snapshot["place"], held=snapshot["held"])
    return JsonResponse({"outlook": waits and waits.as_dict()})
