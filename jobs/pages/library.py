"""The library: every clip of a workspace, found, marked and compared."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts import workspaces
from accounts.models import Membership, User
from accounts.roles import Permission
from jobs import offer, shelf
from jobs.access import may
from jobs.clip_filters import Filters, Shown
from jobs.errors import BadFields
from jobs.marks import Marks, marks_of, tags_of
from jobs.models import Artifact, Job
from jobs.serializers import file_url, quality_label

TAGS_SHOWN = 2  # on a card
TINY = 160  # pixels: a side up to which a clip is enlarged without smoothing
WIDE, TALL = 1.25, 0.8  # from, and up to, which width / height a clip is one
STATES = {
    Shown.CLIPS: "Finished clips",
    Shown.ALL: "Everything",
    Shown.UNFINISHED: "Not finished yet",
    Shown.UNDONE: "Ended without a clip",
}
ORDERINGS = {"-created_at": "Newest first", "created_at": "Oldest first"}
# Of an address: what the filters of this page say, in their order. The others say where.
FILTERS = ("q", "favourite", "mine", "tag", "model", "state", "created_after", "created_before")
ORDER = "ordering"


@login_required
@require_safe
def library(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    if not user.memberships:
        return redirect("workspaces")  # which says what to do about it
    here = workspaces.current_id(user)
    others = Membership.objects.filter(workspace=here).exclude(user=user)
    context = _found(request, user, here) | {
        "tags": tags_of(here),
        "shared": others.exists(),
        "models": [(entry.name, entry.title) for entry in offer.models().values()],
        "states": STATES.items(),
        "orderings": ORDERINGS.items(),
    }
    return render(request, "jobs/library/page.html", context)


@login_required
@require_safe
def library_cards(request: HttpRequest) -> HttpResponse:
    """A part of the page, for its scripts: what a search found, or the cards that follow."""
    user = cast(User, request.user)
    if not user.memberships:  # any more
        return redirect("workspaces")
    here = workspaces.current_id(user)
    return render(request, "jobs/library/_found.html", _found(request, user, here))


def _found(request: HttpRequest, user: User, here: int) -> dict[str, Any]:
    """What _found.html shows: the cards, and with a first page what is said above them."""
    given, bad = request.GET, {}
    try:
        filters = Filters.read(given)
    except BadFields as refusal:  # of an address that somebody wrote: the library itself, and why
        given, bad, filters = QueryDict(), refusal.fields, Filters()
    first = filters.cursor is None and filters.at is None
    told = "cursor" not in given
    page = shelf.clips(user, here, filters, counted=told)
    cards = cards_of(page.jobs, marks_of(user, page.jobs), user)
    chips = _chips(given, filters) if told else []
    return {
        "given": given,
        "filters": filters,
        "bad": list(bad.values()),
        "cards": cards,
        "shape": _shape(cards),
        "next": f"cursor={page.next.encode()}" if page.next else "",
        "previous": f"cursor={page.previous.encode()}" if page.previous else "",
        "before": _without(given, "at", "cursor").urlencode(),
        "told": told,
        "total": page.total,
        "empty": first and not cards and page.next is None,
        "chips": chips,
        "makes": may(user, Permission.SUBMIT, workspace=here),
    }


def _without(given: QueryDict, *names: str, value: str | None = None) -> QueryDict:
    """The address without these; of one that is there several times without that value."""
    left = given.copy()
    for name in names:
        others = [each for each in left.getlist(name) if value is not None and each != value]
        left.setlist(name, others)
    return left


def _chips(given: QueryDict, filters: Filters) -> list[dict[str, str]]:
    """The filters in use in words, each with the address that is without it."""
    models = offer.models()
    words: dict[str, Callable[[str], str]] = {
        "q": lambda value: f"“{value}”",
        "favourite": lambda _: "Favourites",
        "mine": lambda _: "Mine",
        "tag": lambda value: f"Tag: {value}",
        "model": lambda value: models[value].title if value in models else value,
        "state": lambda value: STATES[Shown(value)],
        "created_after": lambda value: f"From {value}",
        "created_before": lambda value: f"Before {value}",
    }
    chips = []
    for name in FILTERS:
        several = name == "tag"  # of all others the last one counts, as Filters.read has it
        for value in given.getlist(name) if several else [given.get(name, "")]:
            if value.strip() and not (name == "state" and filters.state is Shown.CLIPS):
                left = _without(given, "at", "cursor")
                address = _without(left, name, value=value if several else None).urlencode()
                home = reverse("library")
                without = f"{home}?{address}" if address else home
                chips.append({"words": words[name](value), "without": without})
    return chips


def _shape(cards: list[dict[str, Any]]) -> str:
    """Of every card, so that all rows are equally high: what most clips of the page have."""
    shapes = Counter(card["shape"] for card in cards)
    return str(shapes.most_common(1)[0][0]) if shapes else ""


def cards_of(jobs: list[Job], marks: dict[UUID, Marks], user: User) -> list[dict[str, Any]]:
    """What a card shows of each: one query however many."""
    files: dict[UUID, dict[str, Artifact]] = {}
    for artifact in Artifact.objects.filter(job__in=[job.pk for job in jobs]):
        files.setdefault(artifact.job_id, {})[artifact.name] = artifact
    return [_card(job, files.get(job.pk, {}), marks[job.pk], user) for job in jobs]


def _card(job: Job, files: dict[str, Artifact], marks: Marks, user: User) -> dict[str, Any]:
    spec = job.request.render_spec()
    poster, sprite = files.get("poster.png"), files.get("sprite.jpg")
    ratio = spec.width / spec.height
    return {
        "id": str(job.pk),
        "state": job.state,
        "prompt": job.request.prompt,
        "by": job.owner.email if job.owner_id != user.pk else None,
        "width": spec.width,
        "height": spec.height,
        "shape": "wide" if ratio >= WIDE else "tall" if ratio <= TALL else "",
        "tiny": max(spec.width, spec.height) <= TINY,
        "created_at": job.created_at,
        "quality_label": quality_label(spec),
        "poster_url": file_url(poster) if poster else None,
        "sprite": _sprite(sprite) if sprite else None,
        "favourite": marks.favourite,
        "tags": json.dumps(marks.tags),
        "first_tags": marks.tags[:TAGS_SHOWN],
        "more_tags": marks.tags[TAGS_SHOWN:],
    }


def _sprite(sprite: Artifact) -> dict[str, Any] | None:
    """How it is laid out (rendering-files.md); None for one from before this was kept."""
    facts = sprite.facts
    if not facts:
        return None
    return {
        "url": file_url(sprite),
        "columns": facts["columns"],
        "tile_width": facts["tile_width"],
        "tile_height": facts["tile_height"],
        "tiles": len(facts["frames"]),
        "seconds": facts["seconds"],
    }
