"""How long things take, as the studio says it: on model cards, beside the button, on each card."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from accounts import workspaces
from accounts.models import User
from jobs import estimates, expected, making, queue
from jobs.catalog import ModelEntry
from jobs.errors import NoWorkspace
from jobs.estimates import Look
from jobs.forms import RenderForm
from jobs.lifecycle import State
from jobs.models import Job
from jobs.turns import in_turn

# Of a form that is looked at before there is a prompt, or a key.
_BLANK = {"prompt": "-", "idempotency_key": "-"}


@login_required
@require_safe
def estimate(request: HttpRequest) -> HttpResponse:
    """{"words"}: what a job of these values would wait for; empty for values that make none."""
    form = RenderForm(request.GET.dict() | _BLANK)
    return JsonResponse({"words": estimate_of(form, estimates.look_at(settings.T2V_POOL))})


@login_required
@require_safe
def unfinished(request: HttpRequest) -> HttpResponse:
    """Of the unfinished jobs that the studio shows {"id", "place", "eta_seconds"}, and "more"."""
    user = cast(User, request.user)
    try:
        found = making.unfinished(user, workspaces.current_id(user))
    except NoWorkspace:
        return JsonResponse({"jobs": [], "more": 0})
    places = queue.places(job.pk for job in found.jobs if job.state == State.QUEUED)
    etas = _etas(found.jobs, places, estimates.look_at(settings.T2V_POOL))
    jobs = [
        {"id": str(job.pk), "place": places.get(job.pk), "eta_seconds": etas[job.pk]}
        for job in found.jobs
    ]
    return JsonResponse({"jobs": jobs, "more": found.more})


def with_estimates(
    jobs: Sequence[Job], shown: list[dict[str, Any]], look: Look | None
) -> list[dict[str, Any]]:
    """The snapshots, in the same order, with "eta_seconds" and what a card says of it.

    jobs: as in_turn takes them.
    """
    told = zip(jobs, shown, strict=True)
    places = {job.pk: each["place"] for job, each in told if each["place"] is not None}
    etas = _etas(jobs, places, look)
    for job, each in zip(jobs, shown, strict=True):
        each["eta_seconds"] = etas[job.pk]
        each["note"] = _note(each)
    return shown


def _etas(
    jobs: Sequence[Job], places: Mapping[UUID, int], look: Look | None
) -> dict[UUID, float | None]:
    """Seconds until each is done, to a tenth. jobs: as in_turn takes them."""
    looks = {} if look is None else {look.pool: look}
    turns = in_turn(jobs, estimates.for_jobs(jobs, places=places), looks)
    etas = {key: each.eta_seconds for key, each in turns.items()}
    return {key: None if eta is None else round(eta, 1) for key, eta in etas.items()}


def _note(shown: dict[str, Any]) -> str:
    if shown["state"] == State.RUNNING:
        return f"Step {shown['step']} of {shown['steps']}"
    if shown["state"] != State.QUEUED:
        return ""
    if shown["held"]:
        return "Waits for others to end"
    place = "Waiting" if shown["place"] is None else expected.before(shown["place"])
    return " · ".join(filter(None, [place, expected.about(shown["eta_seconds"])]))


def estimate_of(form: RenderForm, look: Look | None) -> str:
    """Of a bound form its values; of another one those that it begins with."""
    if look is None:
        return ""
    if not form.is_bound:
        values = {
            name: form.get_initial_for_field(field, name) for name, field in form.fields.items()
        }
        form = RenderForm(values | _BLANK)
    specs = form.to_specs() if form.is_valid() else []
    if not specs:
        return ""
    seconds = look.estimate(specs[0], wait=look.wait()).eta_seconds
    return expected.of_new(
        seconds=seconds, ahead=_ahead(look), workers=look.workers, count=len(specs)
    )


def _ahead(look: Look) -> int:
    """Jobs that wait for a place of this pool; none where a worker is free for one more."""
    return 0 if look.queued < look.workers - look.running else look.queued


def cards(
    entries: Iterable[ModelEntry], look: Look | None, *, chosen: object
) -> list[dict[str, Any]]:
    """Of each model what its card says."""
    return [
        {
            "name": entry.name,
            "title": entry.title,
            "in_short": entry.in_short or entry.understands.strip().partition(". ")[0],
            "licence": entry.licence,
            "size": f"{entry.defaults.width} × {entry.defaults.height}",
            "seconds": f"{entry.defaults.frames / entry.fps:.1f}{expected.UNIT}s",
            "expected": _usual(entry, look),
            "chosen": entry.name == chosen,
        }
        for entry in entries
    ]


def _usual(entry: ModelEntry, look: Look | None) -> str:
    """How long its usual clip renders."""
    if look is None:
        return ""
    spec = entry.usual("-", seed=0)
    return expected.about(look.estimate(spec, wait=None).render_seconds)
