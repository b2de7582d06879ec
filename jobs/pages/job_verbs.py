"""What a job's page does: cancel, retry, vary, delete, restore. Forms, and scripts by act.js."""

from typing import cast
from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.errors import BadFields
from accounts.idempotency import digest, once_for
from accounts.models import User
from accounts.roles import Permission
from jobs import actions, offer
from jobs.access import access_deleted, may
from jobs.errors import NotFound, Refusal
from jobs.lifecycle import State
from jobs.models import Job
from jobs.pages.answers import acted, job_or_404, refused
from jobs.pages.job import MOST_VARIATIONS, place_to_make
from jobs.serializers import jobs_to_dicts


@login_required
@require_POST
def job_cancel(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = job_or_404(request, job_id, Permission.CANCEL)
    here = reverse("job", args=[job.pk])
    try:
        state = actions.cancel(job.pk, by=cast(User, request.user))
    except Refusal as refusal:
        return refused(request, refusal, to=here)
    if state is State.RUNNING:
        return acted(request, to=here, told="It stops after the step at hand.", state=state)
    return acted(request, to=here, told="Cancelled.", state=state)


@login_required
@require_POST
def job_retry(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """The new job: of what was parked, cancelled or expired. Operators repair without limits."""
    job = job_or_404(request, job_id, Permission.RETRY)
    user = cast(User, request.user)
    try:
        new = actions.retry(job.pk, limited=not may(user, Permission.RETRY), by=user)
    except Refusal as refusal:
        return refused(request, refusal, to=reverse("job", args=[job.pk]))
    there = reverse("job", args=[new.pk])
    return acted(request, to=there, told="Submitted again.", status=201, url=there, id=str(new.pk))


class VaryForm(forms.Form):
    count = forms.IntegerField(min_value=1, max_value=MOST_VARIATIONS)
    idempotency_key = forms.CharField(max_length=100)


@login_required
@require_POST
def job_vary(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """The same recipe with new seeds, as jobs of whoever asks: all or none."""
    job = job_or_404(request, job_id, Permission.SEE)
    user, here = cast(User, request.user), reverse("job", args=[job_id])
    form = VaryForm(request.POST)
    if not form.is_valid():
        bad = {name: " ".join(map(str, errors)) for name, errors in form.errors.items()}
        return refused(request, BadFields(bad), to=here)
    asked = form.cleaned_data

    def make() -> tuple[int, dict[str, str], list[str]]:
        return 201, {}, [str(each.pk) for each in _vary(job, user, asked["count"])]

    key = f"vary {asked['idempotency_key']}"
    try:
        answer = once_for(user, key, digest({"job": str(job.pk), "count": asked["count"]}), make)
    except Refusal as refusal:
        return refused(request, refusal, to=here)
    made = cast(list[str], answer.body)
    jobs = jobs_to_dicts(list(Job.objects.filter(pk__in=made).to_show().order_by("created_at")))
    many = f"{len(made)} variations are on their way."
    told = "A variation is on its way." if len(made) == 1 else many
    there = reverse("job", args=[made[0]]) if len(made) == 1 else reverse("home")
    return acted(request, to=there, told=told, status=201, url=there, jobs=jobs)


def _vary(job: Job, user: User, count: int) -> list[Job]:
    """Raises what actions.submit does, BadSpec when it is no longer on offer, and Forbidden."""
    where = place_to_make(user, job)  # of None submit_many says why not
    old = job.request.render_spec()
    specs = [
        offer.make_spec(
            model=old.model,
            prompt=old.prompt,
            size=(old.width, old.height),
            frames=old.frames,
            steps=old.steps,
            guidance=old.guidance,
            seed=None,
            quality=old.quality,
        )
        for _ in range(count)
    ]
    weights = offer.find(old.model).digest
    wanted = [actions.Wanted(spec=spec, model_digest=weights, remix_of=job) for spec in specs]
    return actions.submit_many(owner=user, wanted=wanted, workspace=where)


@login_required
@require_POST
def job_delete(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = job_or_404(request, job_id, Permission.DELETE)
    actions.delete(job.pk, by=cast(User, request.user))
    undo = reverse("job_restore", args=[job.pk])
    return acted(request, to=reverse("library"), told="The video was deleted.", undo=undo)


@login_required
@require_POST
def job_restore(request: HttpRequest, job_id: UUID) -> HttpResponse:
    user = cast(User, request.user)
    try:
        job = access_deleted(user, job_id)
        actions.restore(job.pk, by=user)
    except NotFound as refusal:
        raise Http404(str(refusal)) from refusal
    return acted(request, to=reverse("job", args=[job_id]), told="The video is back.")
