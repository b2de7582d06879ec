"""The queue, for operators: what runs, waits and is parked, why, and who works.

What can be done there is in queue_verbs.py.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import TypeVar
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from accounts.console import operators_only
from jobs import line, overview
from jobs.cursors import Cursor
from jobs.errors import BadFields
from jobs.line import Mark
from jobs.overview import Marks, Overview
from jobs.sieve import SieveForm
from jobs.tiles import tiles

FRESH_SECONDS = 4  # between two looks of an open page: what changed is there within 5
T = TypeVar("T")


@operators_only
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """With ?part=1 only what changes, for the page's own script; 304 where nothing did."""
    form = SieveForm(request.GET)
    sieve = form.sieve
    seen = overview.look(sieve, _marks(request))
    context = {
        "seen": seen,
        "tiles": tiles(seen, sieve),
        "form": form,
        "sieve": sieve,
        "links": _links(request, form, seen),
        "cause": request.GET.get("cause", ""),
        "fresh_seconds": FRESH_SECONDS,
        "at_most": f"{line.AT_MOST:,}",
        "pools": seen.pools,
    }
    if "part" not in request.GET:
        return render(request, "jobs/queue/page.html", context)
    part = render_to_string("jobs/queue/_part.html", context, request)
    tag = f'"{blake2b(part.encode(), digest_size=12).hexdigest()}"'
    answer: HttpResponse
    if request.headers.get("If-None-Match") == tag:
        answer = HttpResponseNotModified()
    else:
        answer = HttpResponse(part)
    answer["ETag"] = tag
    return answer


def _marks(request: HttpRequest) -> Marks:
    """Where a mark is none, the list is shown from its head."""
    running = _mark(Mark.decode, request.GET.get("running"))
    waiting = _mark(Mark.decode, request.GET.get("waiting"))
    return Marks(
        running=running if running is not None and running.among == "running" else None,
        waiting=waiting if waiting is not None and waiting.among != "running" else None,
        parked=_mark(Cursor.decode, request.GET.get("parked")),
        cause=request.GET.get("cause") or None,
    )


def _mark(decode: Callable[[str], T], text: str | None) -> T | None:
    try:
        return decode(text) if text else None
    except BadFields:
        return None


def _links(request: HttpRequest, form: SieveForm, seen: Overview) -> dict[str, str]:
    """By the list: where it goes on, and where it begins again. The other lists stay."""
    kept = dict(pair for pair in _pairs(request) if pair[0] in {"running", "waiting", "parked"})
    only = dict(pair for pair in _pairs(request) if pair[0] in {*form.fields, "cause"})
    next_ones = {
        "running": seen.running_next,
        "waiting": seen.waiting_next,
        "parked": seen.letters.next,
    }
    links = {}
    for name, mark in next_ones.items():
        others = {key: value for key, value in kept.items() if key != name}
        if mark is not None:
            query = urlencode(only | others | {name: mark.encode()})
            links[f"{name}_next"] = f"?{query}#{name}-title"
        if name in kept:
            links[f"{name}_front"] = f"?{urlencode(only | others)}#{name}-title"
    every = {key: value for key, value in only.items() if key != "cause"}
    return links | {"all_causes": f"?{urlencode(every)}#parked-title"}


def _pairs(request: HttpRequest) -> list[tuple[str, str]]:
    return [
        (name, value) for name, value in request.GET.items() if isinstance(value, str) and value
    ]


@operators_only
@require_safe
def before(request: HttpRequest) -> HttpResponse:
    """Where the page was once: bookmarks of it."""
    return redirect("queue")
