"""What operators do on the page of the queue: try again, cancel, drain, resume.

Each asks first where it is dangerous: with scripts in a dialog, else on a page of its own.
"""

from collections.abc import Iterable
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from accounts.console import Question, Reason, operators_only, person
from jobs import actions, dead_letters, retrying, workers
from jobs.admin import retrying as told
from jobs.errors import BadFields, NotFound, Refusal
from jobs.lifecycle import FINAL
from jobs.models import Job, Worker
from jobs.pages.answers import acted, for_script, refused
from jobs.retrying import Retried
from jobs.sieve import SieveForm

MOST = 200  # jobs of one choice
LIKE = 100  # of one cause, tried again by one request: 2 s on two busy cores
NAMED = 5  # prompts in one question


# --- Try again --------------------------------------------------------------------------------


@operators_only
@require_POST
def retry(request: HttpRequest) -> HttpResponse:
    """The one whose button was pressed, those with the error that was pressed, else the chosen."""
    left = 0
    if cause := request.POST.get("like"):
        sieve = SieveForm(request.POST).sieve
        ids, left = dead_letters.like(cause, at_most=LIKE, sieve=sieve)
    else:
        ids = _chosen(request)
    done = retrying.retry_each(ids, by=person(request), at_once=retrying.AT_ONCE)
    done = Retried(made=done.made, refused=done.refused, left=done.left + left)
    if not for_script(request):
        told.tell(request, done)
        return acted(request, to=reverse("queue"))
    if not done.made and not done.refused:
        return refused(request, BadFields({"job": "No job was chosen."}), to=reverse("queue"))
    return acted(
        request,
        to=reverse("queue"),
        told=f"{told.words(done)}." if done.made else "None could be tried again.",
        made=[
            {"old": str(old), "new": str(new), "url": reverse("job", args=[new])}
            for old, new in done.made
        ],
        refused=[{"id": str(job), "detail": why} for job, why in done.refused],
        left=done.left,
    )


def _chosen(request: HttpRequest) -> list[UUID]:
    one = request.POST.get("only")
    words = [one] if one else request.POST.getlist("job")
    return [UUID(word) for word in words if _is_id(word)]


def _is_id(word: str) -> bool:
    try:
        UUID(word)
    except ValueError:
        return False
    return True


# --- Cancel -----------------------------------------------------------------------------------


@operators_only
@require_POST
def cancel(request: HttpRequest) -> HttpResponse:
    """The one whose button was pressed, else the chosen ones; asks for the reason first."""
    jobs = _known(_chosen(request))
    if not jobs:
        return refused(request, BadFields({"job": "No job was chosen."}), to=reverse("queue"))
    form = Reason(request.POST if "reason" in request.POST else None)
    if not form.is_valid():
        if for_script(request):
            return refused(request, BadFields({"reason": "Say why."}), to=reverse("queue"))
        return _ask(request, _cancel_question(jobs), form, jobs)
    ended: list[Job] = []
    stopping: list[Job] = []
    left: list[tuple[UUID, str]] = []
    for job in jobs:
        try:
            state = actions.cancel(job.pk, by=person(request), reason=form.cleaned_data["reason"])
        except Refusal as refusal:
            left.append((job.pk, str(refusal)))
        else:
            (ended if state in FINAL else stopping).append(job)
    if left and not for_script(request):
        words = " ".join(f"{str(job)[:8]}: {why}" for job, why in left[:NAMED])
        messages.warning(request, f"Left as they are: {words}")
    return acted(
        request,
        to=reverse("queue"),
        told=_cancelled(len(ended), len(stopping)),
        done=[str(job.pk) for job in ended + stopping],
        refused=[{"id": str(job), "detail": why} for job, why in left],
    )


def _known(ids: Iterable[UUID]) -> list[Job]:
    rows = Job.objects.kept().select_related("owner", "request")
    found = rows.in_bulk(list(ids)[:MOST])
    return sorted(found.values(), key=lambda job: job.pk)


def _cancelled(ended: int, stopping: int) -> str:
    words = []
    if ended:
        words.append("One job is cancelled." if ended == 1 else f"{ended} jobs are cancelled.")
    if stopping:
        words.append(
            "One stops after the step at hand."
            if stopping == 1
            else f"{stopping} stop after the step at hand."
        )
    return " ".join(words)


def _cancel_question(jobs: list[Job]) -> Question:
    one = jobs[0]
    return Question(
        title=f"Cancel job {str(one.pk)[:8]}?" if len(jobs) == 1 else f"Cancel {len(jobs)} jobs?",
        words="What waits is cancelled at once, what runs stops after the step at hand. A "
        "cancelled job can be tried again later, from its beginning.",
        button="Cancel the job" if len(jobs) == 1 else f"Cancel {len(jobs)} jobs",
        back=reverse("queue"),
    )


# --- Drain and resume -------------------------------------------------------------------------


class DrainForm(Reason):
    worker = forms.CharField(max_length=150, widget=forms.HiddenInput)


class ResumeForm(forms.Form):
    worker = forms.CharField(max_length=150, widget=forms.HiddenInput)
    resume = forms.CharField(initial="1", widget=forms.HiddenInput)


@operators_only
@require_http_methods(["GET", "HEAD", "POST"])
def drain(request: HttpRequest) -> HttpResponse:
    """Asks first; to let it take jobs again needs no question."""
    name = (request.POST if request.method == "POST" else request.GET).get("worker", "")
    row = Worker.objects.filter(name=name).first() if name.isprintable() else None
    if row is None:
        return refused(request, NotFound("There is no such worker any more."), to=reverse("queue"))
    if request.method == "POST" and ("resume" in request.POST or "resume" in request.GET):
        workers.resume(row.name, by=person(request))
        words = f"{row.name} takes jobs again."
        return acted(request, to=reverse("queue"), told=words, worker=row.name)
    if row.drain_requested_at is not None and request.method != "POST":
        return _ask(request, _resume_question(row), ResumeForm(initial={"worker": row.name}))
    form = DrainForm(request.POST if "reason" in request.POST else None, initial={"worker": name})
    if not form.is_valid():
        if for_script(request):
            return refused(request, BadFields({"reason": "Say why."}), to=reverse("queue"))
        return _ask(request, _drain_question(row), form)
    workers.drain(row.name, by=person(request), reason=form.cleaned_data["reason"])
    return acted(
        request,
        to=reverse("queue"),
        told=f"{row.name} hands back what it renders after the step at hand, and takes nothing "
        "more until you press Resume.",
        worker=row.name,
    )


def _drain_question(row: Worker) -> Question:
    return Question(
        title=f"Drain {row.name}?",
        words="It hands back what it renders after the step at hand, unspent, and takes nothing "
        "more until somebody presses Resume.",
        button="Drain it",
        back=reverse("queue"),
    )


def _resume_question(row: Worker) -> Question:
    return Question(
        title=f"Let {row.name} take jobs again?",
        words="It drains now: it hands back what it renders, and takes nothing.",
        button="Resume",
        back=reverse("queue"),
        danger=False,
    )


def _ask(
    request: HttpRequest, question: Question, form: forms.Form, jobs: Iterable[Job] = ()
) -> HttpResponse:
    """A page of its own: it works without a script."""
    listed = list(jobs)
    context = {
        "question": question,
        "form": form,
        "jobs": listed,
        "named": listed[:NAMED],
        "more": len(listed[NAMED:]),
    }
    return render(request, "jobs/queue/ask.html", context)
