"""The page of the queue: what runs, waits and is parked, why, and who works."""

from uuid import UUID

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from jobs import overview, workers
from jobs.admin.operators import note, operators_only
from jobs.admin.retrying import retry_all
from jobs.models import Worker


@operators_only
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """With ?part=1 only what changes, for the page's own script."""
    seen = overview.look()
    if "part" in request.GET:
        return render(request, "admin/queue/_tables.html", {"seen": seen})
    context = {**admin.site.each_context(request), "title": "Queue", "seen": seen}
    return render(request, "admin/queue/page.html", context)


@operators_only
@require_POST
def retry(request: HttpRequest) -> HttpResponseRedirect:
    """The one whose button was pressed, else the chosen ones."""
    wanted = [request.POST["only"]] if "only" in request.POST else request.POST.getlist("job")
    retry_all(request, [UUID(word) for word in wanted if _is_id(word)])
    return redirect("queue")


def _is_id(word: str) -> bool:
    try:
        UUID(word)
    except ValueError:
        return False
    return True


@operators_only
@require_POST
def drain(request: HttpRequest) -> HttpResponseRedirect:
    """Drains the worker named, or lets it take jobs again."""
    row = Worker.objects.filter(name=request.POST.get("worker", "")).first()
    if row is None:
        messages.warning(request, "There is no such worker any more.")
    elif "resume" in request.POST:
        workers.resume(row.name)
        note(request, [row], "Takes jobs again.")
        messages.success(request, f"{row.name} takes jobs again.")
    else:
        workers.drain(row.name)
        note(request, [row], "Drains.")
        messages.success(
            request,
            f"{row.name} hands back what it renders after the step at hand, and takes nothing "
            "more until you press Resume.",
        )
    return redirect("queue")
