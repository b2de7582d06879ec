"""Two clips beside each other, and in what their recipes differ."""

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.roles import Permission
from jobs.models import Job
from jobs.pages.answers import job_or_404
from jobs.serializers import jobs_to_dicts, recipe

TINY = 160  # pixels: a side up to which a clip is enlarged without smoothing
MODES = ("side", "wipe")
DIGEST_SHOWN = 16  # characters: enough to tell two apart


@login_required
@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """?a=ID&b=ID, and mode=wipe for one over the other."""
    if not (request.GET.get("a") and request.GET.get("b")):
        messages.info(request, "Select two clips to compare them.")
        return redirect("library")
    jobs = [_chosen(request, name) for name in ("a", "b")]
    shown = [_shown(snapshot) for snapshot in jobs_to_dicts(jobs)]
    asked = request.GET.get("mode")
    mode = asked if asked in MODES else MODES[0]
    swapped = urlencode({"a": jobs[1].pk, "b": jobs[0].pk, "mode": mode})
    context = {
        "clips": list(zip("ab", shown, strict=True)),
        "playable": all(clip["video_url"] for clip in shown),
        "rows": list(differences(recipe(jobs[0]), recipe(jobs[1]))),
        "mode": mode,
        "swap_url": f"{reverse('compare')}?{swapped}",
    }
    return render(request, "jobs/library/compare.html", context)


def _chosen(request: HttpRequest, name: str) -> Job:
    try:
        job = UUID(request.GET[name])
    except ValueError as error:
        raise Http404("There is no such clip.") from error
    return job_or_404(request, job, Permission.SEE)


def _shown(snapshot: dict[str, Any]) -> dict[str, Any]:
    spec = snapshot["spec"]
    tiny = max(spec["width"], spec["height"]) <= TINY
    return snapshot | {"tiny": tiny, "seconds": spec["frames"] / spec["fps"]}


def differences(
    one: list[tuple[str, str]], other: list[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    """Row by row: the label, both values as [(words, whether the other has others)], and whether
    they are the same. Of a value that one does not have: no words."""
    left, right = dict(one), dict(other)
    for label in dict.fromkeys([*left, *right]):
        values = left.get(label, ""), right.get(label, "")
        same = values[0] == values[1]
        if "digest" in label:
            values = values[0][:DIGEST_SHOWN], values[1][:DIGEST_SHOWN]
        yield {"label": label, "same": same, "a": _parts(*values), "b": _parts(*reversed(values))}


def _parts(words: str, others: str) -> list[tuple[str, bool]]:
    """words in runs, each with whether others has it there, word by word."""
    mine, theirs = words.split(), others.split()
    parts = []
    matcher = SequenceMatcher(None, mine, theirs, autojunk=False)
    for kind, start, end, _, _ in matcher.get_opcodes():
        if end > start:
            parts.append((" ".join(mine[start:end]), kind != "equal"))
    return parts
