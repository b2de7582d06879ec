"""The library's verbs on many clips, for its page and for any form: parse → one action → answer."""

from collections.abc import Callable, Collection
from typing import cast
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db import close_old_connections
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    QueryDict,
    StreamingHttpResponse,
)
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from accounts import workspaces
from accounts.models import User
from accounts.roles import Permission
from jobs import actions, zips
from jobs.access import access_jobs
from jobs.actions import MOST_MARKED, Outcome
from jobs.errors import BadFields, NotFound, Refusal
from jobs.marks import tags_of
from jobs.models import Job
from jobs.pages.answers import acted, for_script, refused
from jobs.tag_name import TagName

PLAIN: dict[str, Callable[[User, Collection[UUID]], Outcome]] = {
    "favourite": actions.favourite,
    "unfavourite": actions.unfavourite,
    "delete": actions.delete_several,
    "restore": actions.restore_several,
}
TAGGING: dict[str, Callable[[User, Collection[UUID], TagName], Outcome]] = {
    "tag": actions.tag,
    "untag": actions.untag,
}
BACK = {"favourite": "unfavourite", "tag": "untag", "delete": "restore"}
BACK |= {back: verb for verb, back in BACK.items()}
_DONE = {
    "favourite": "Added {clips} to your favourites.",
    "unfavourite": "Took {clips} out of your favourites.",
    "tag": "Tagged {clips} “{tag}”.",
    "untag": "Took the tag “{tag}” off {clips}.",
    "delete": "Deleted {clips}.",
    "restore": "Brought {clips} back.",
}
_MOST_IN_ADDRESS = 20  # jobs of an undo without scripts, which stand in the address of its form


@login_required
@require_POST
def act(request: HttpRequest) -> HttpResponse:
    """One verb on up to MOST_MARKED clips; each that is refused says why.

    To a script {message, undo, done, refused}; undo is what takes it back, sent as it is, or null.
    """
    user, to = cast(User, request.user), _back_to(request)
    given = request.POST if "verb" in request.POST else request.GET  # an undo without scripts
    try:
        verb, jobs, name = _read(given)
        outcome = PLAIN[verb](user, jobs) if name is None else TAGGING[verb](user, jobs, name)
    except Refusal as refusal:
        return refused(request, refusal, to=to)
    if jobs and len(outcome.refused) == len(jobs) and not for_script(request):
        return refused(request, next(iter(outcome.refused.values())), to=to)
    told = _told(verb, outcome, name)
    undo = _undo(verb, outcome, name)
    if not for_script(request):
        address = None
        if undo is not None and len(outcome.changed) <= _MOST_IN_ADDRESS:
            address = f"{reverse('shelf_act')}?{urlencode(undo, doseq=True)}"
        return acted(request, to=to, told=told, undo=address)
    return JsonResponse(
        {
            "message": told,
            "undo": undo,
            "done": [str(job) for job in outcome.done],
            "refused": [
                {"id": str(job), "code": why.code, "detail": str(why)}
                for job, why in outcome.refused.items()
            ],
        }
    )


@login_required
@require_POST
def archive(request: HttpRequest) -> HttpResponseBase:
    """Videos, posters and recipes of up to MOST_MARKED clips as one ZIP."""
    user, to = cast(User, request.user), _back_to(request)
    try:
        jobs, left_out = access_jobs(user, jobs_in(request.POST), Permission.SEE)
        if not jobs:
            raise next(iter(left_out.values()))
        made = zips.bundle(jobs, left_out)
    except Refusal as refusal:
        return refused(request, refusal, to=to)
    if not settings.S3_BUCKET:
        made = zips.checked(made)
    # Django would close it at the stream's end; some downloads would take all that Postgres has.
    close_old_connections()
    answer = StreamingHttpResponse(zips.stream(made), content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="{_archive_name(jobs)}"'
    answer["Cache-Control"] = "no-store"
    size = None if settings.S3_BUCKET else zips.length(made)
    if size is not None:
        answer["Content-Length"] = str(size)
    return answer


def _archive_name(jobs: list[Job]) -> str:
    if len(jobs) == 1:
        return f"{zips.name_of(jobs[0])}.zip"
    newest = max(job.created_at for job in jobs)
    return f"{len(jobs)}-clips-{newest:%Y-%m-%d}.zip"


@login_required
@require_safe
def tags(request: HttpRequest) -> JsonResponse:
    """The workspace's tags that begin as q does, most used first; in which form does not matter."""
    user = cast(User, request.user)
    here = workspaces.current_id(user) if user.memberships else None
    found = []
    if here is not None:  # every role sees
        beginning = request.GET.get("q", "")[:100].replace("\0", " ")
        found = tags_of(here, " ".join(beginning.split()))
    return JsonResponse({"tags": [{"name": each.name, "used": each.used} for each in found]})


def _read(given: QueryDict) -> tuple[str, list[UUID], TagName | None]:
    """The verb, the jobs and what the tag is called. Raises BadFields."""
    verb = given.get("verb", "")
    if verb not in PLAIN and verb not in TAGGING:
        raise BadFields({"verb": f"Use one of {', '.join((*PLAIN, *TAGGING))}."})
    name = TagName.read(given.get("tag", "")) if verb in TAGGING else None
    return verb, jobs_in(given), name


def jobs_in(given: QueryDict) -> list[UUID]:
    """Those that a form names, each once. Raises BadFields."""
    try:
        jobs = list(dict.fromkeys(UUID(each) for each in given.getlist("job")))
    except ValueError as error:
        raise BadFields({"job": "Use ids of videos."}) from error
    if not jobs:
        raise BadFields({"job": "Choose a clip first."})
    if len(jobs) > MOST_MARKED:
        raise BadFields({"job": f"Choose at most {MOST_MARKED} clips; these are {len(jobs)}."})
    return jobs


def _told(verb: str, outcome: Outcome, name: TagName | None) -> str:
    done, refused_ = len(outcome.done), len(outcome.refused)
    told = _DONE[verb].format(clips=_clips(done), tag=name and name.name) if done else ""
    if refused_:
        why = {_reason(each, refused_) for each in outcome.refused.values()}
        reason = why.pop() if len(why) == 1 else "You may not do this with them, or they are gone."
        told = f"{told} {_clips(refused_).capitalize()} left as before: {reason}".strip()
    return told


def _reason(refusal: Refusal, of: int) -> str:
    """In the words of static/js/act.js, where a clip was deleted meanwhile."""
    if not isinstance(refusal, NotFound):
        return str(refusal)
    are, them = ("It is", "it") if of == 1 else ("They are", "them")
    return f"{are} not there any more, or you may not see {them}."


def _clips(number: int) -> str:
    return "1 clip" if number == 1 else f"{number} clips"


def _undo(verb: str, outcome: Outcome, name: TagName | None) -> dict[str, str | list[str]] | None:
    """What to send to take back what was changed."""
    if not outcome.changed:
        return None
    back: dict[str, str | list[str]] = {
        "verb": BACK[verb],
        "job": [str(job) for job in outcome.changed],
    }
    return back if name is None else back | {"tag": name.name}


def _back_to(request: HttpRequest) -> str:
    """The page that a form without scripts came from, where it says so and is one of ours."""
    wanted = request.POST.get("next", "")
    return (
        wanted
        if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
        else reverse("library")
    )
