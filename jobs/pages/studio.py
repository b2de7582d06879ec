"""The first page: the studio, and for strangers what this is."""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts import workspaces
from accounts.idempotency import digest, once_for
from accounts.models import User
from accounts.roles import Permission
from jobs import actions, estimates, making, offer
from jobs.access import access_job, may, visible_jobs
from jobs.actions import Wanted
from jobs.errors import BadSpec, NotFound, Refusal
from jobs.forms import RenderForm, initial_from
from jobs.models import Job
from jobs.pages.answers import acted, for_script
from jobs.pages.expected import cards, estimate_of, with_estimates
from jobs.problems import written
from jobs.serializers import jobs_to_dicts, model_to_dict
from jobs.spec import RenderSpec


@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """The studio: composer and live strip; for strangers what this is and where to sign in."""
    if not request.user.is_authenticated and request.method == "POST":
        messages.warning(request, "You were signed out, and nothing was submitted. Sign in again.")
        return redirect_to_login("/")
    if not request.user.is_authenticated:
        return render(request, "landing.html")
    if not request.user.memberships:
        return redirect("workspaces")  # which says what to do about it
    if request.method == "POST":
        return _submit(request, request.user)
    return _studio(request, RenderForm(initial=_initial(request)), status=200)


def _submit(request: HttpRequest, user: User) -> HttpResponse:
    form = RenderForm(request.POST)
    specs = form.to_specs() if form.is_valid() else []
    if not specs:
        return _refused_fields(request, form)
    asked = dict(form.cleaned_data)
    key = asked.pop("idempotency_key")
    try:
        where = workspaces.chosen(user, asked["workspace"] or None)
        source = _source(user, asked["remix_of"])

        def submit() -> tuple[int, Mapping[str, str], list[str]]:
            made = _made(user, specs, workspace=where, remix_of=source)
            return 201, {}, [str(job.pk) for job in made]

        answer = once_for(user, f"form {key}", digest(asked), submit)
    except Refusal as refusal:
        if for_script(request):
            return written(refusal)
        form.add_error(None, str(refusal))
        return _studio(request, form, status=refusal.status)
    made: Any = (
        answer.body if isinstance(answer.body, list) else [answer.body]
    )  # of a release before
    return _submitted(request, user, [UUID(each) for each in made])


def _source(user: User, remix_of: UUID | None) -> Job | None:
    """The job whose values the form began with; one that is gone meanwhile is nobody's fault."""
    return None if remix_of is None else visible_jobs(user).filter(pk=remix_of).first()


def _made(
    user: User, specs: Sequence[RenderSpec], *, workspace: int | None, remix_of: Job | None
) -> list[Job]:
    weights = offer.find(specs[0].model).digest
    if len(specs) == 1:
        job = actions.submit(
            owner=user,
            spec=specs[0],
            model_digest=weights,
            workspace=workspace,
            remix_of=remix_of,
        )
        return [job]
    wanted = [Wanted(spec=spec, model_digest=weights, remix_of=remix_of) for spec in specs]
    return actions.submit_many(owner=user, wanted=wanted, workspace=workspace)


def _submitted(request: HttpRequest, user: User, made: list[UUID]) -> HttpResponse:
    told = "Submitted" if len(made) == 1 else f"{len(made)} videos submitted"
    if not for_script(request):
        page = reverse("job", args=made) if len(made) == 1 else reverse("home")
        return acted(request, to=page, told=told if len(made) > 1 else "")
    # In the order of the batch; without those that were deleted, where an old form comes again.
    jobs = sorted(
        visible_jobs(user).to_show().filter(pk__in=made), key=lambda job: made.index(job.pk)
    )
    look = estimates.look_at(settings.T2V_POOL)
    shown = with_estimates(jobs, jobs_to_dicts(jobs), look)
    return acted(request, to=reverse("home"), told=told, status=201, jobs=shown)


def _refused_fields(request: HttpRequest, form: RenderForm) -> HttpResponse:
    if not for_script(request):
        return _studio(request, form, status=400)
    return written(
        BadSpec({name: " ".join(map(str, texts)) for name, texts in form.errors.items()})
    )


def _initial(request: HttpRequest) -> dict[str, object]:
    """The values of an earlier job, for "try again" and "make another"; or a prompt alone."""
    wanted = request.GET.get("from")
    if wanted is None:
        prompt = request.GET.get("prompt", "").replace("\0", "")[:10_000]
        return {"prompt": prompt} if prompt else {}
    try:
        job = access_job(request.user, UUID(wanted), Permission.SEE)
        return initial_from(job.request.render_spec()) | {"remix_of": job.pk}
    except (ValueError, NotFound):
        messages.warning(request, "That job is not there to start from; here is an empty form.")
        return {}


def _studio(request: HttpRequest, form: RenderForm, *, status: int) -> HttpResponse:
    user = cast(User, request.user)
    here = workspaces.current_id(user)
    unfinished = making.unfinished(user, here)
    made = making.just_made(user, here)
    prompts = making.recent_prompts(user, here)
    jobs = [*unfinished.jobs, *made]
    look = estimates.look_at(settings.T2V_POOL)
    shown = with_estimates(jobs, jobs_to_dicts(jobs), look)
    models = offer.models()
    chosen = form["model"].value()
    context: dict[str, Any] = {
        "form": form,
        "models": [model_to_dict(entry) for entry in models.values()],
        "model": model_to_dict(models.get(str(chosen)) or next(iter(models.values()))),
        "cards": cards(models.values(), look, chosen=chosen),
        "options": form.summary(),
        "estimate": estimate_of(form, look),
        "making": shown[: len(unfinished.jobs)],
        "more": unfinished.more,
        "made": shown[len(unfinished.jobs) :],
        "jobs": shown,
        "prompts": prompts,
        "first_time": not jobs and not prompts,
        "filled": status != 200 or bool(form.initial),
        "manages": may(user, Permission.CANCEL, workspace=here),
        "makes": may(user, Permission.SUBMIT, workspace=here),
    }
    return render(request, "jobs/studio.html", context, status=status)
