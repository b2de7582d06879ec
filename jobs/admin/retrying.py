"""Trying jobs again, one or many, and saying what became of it."""

from collections.abc import Iterable
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from jobs.actions import retry
from jobs.admin.operators import note
from jobs.errors import NotPossible
from jobs.models import Job, JobRequest

AT_ONCE = 500  # jobs in one transaction; 5 s on two busy cores
NAMED = 10  # jobs in one message


def link(job: UUID) -> SafeString:
    return format_html(
        '<a href="{}">{}</a>', reverse("admin:jobs_job_change", args=[job]), str(job)[:8]
    )


def retry_all(request: HttpRequest, ids: Iterable[UUID]) -> None:
    """All that can be tried again, or, when the database fails, none; messages say which.

    In the order of ids, so that two operators who press the button at once cannot block each other.
    """
    wanted = sorted(set(ids))
    before = JobRequest.objects.filter(retry_of__in=wanted).values_list("retry_of", "job")
    made: list[tuple[UUID, UUID]] = [(old, new) for old, new in before if old is not None]
    refused: list[tuple[UUID, str]] = []
    known = dict(made)
    fresh = [job for job in wanted if job not in known]
    with transaction.atomic():
        for job in fresh[:AT_ONCE]:
            try:
                new = retry(job)
            except NotPossible as refusal:
                refused.append((job, str(refusal)))
            except Job.DoesNotExist:
                refused.append((job, "There is no such job any more."))
            else:
                made.append((job, new.pk))
        note(
            request,
            Job.objects.filter(pk__in=fresh[:AT_ONCE]).exclude(pk__in=dict(refused)),
            "Tried again.",
        )
    _tell(request, made, refused, left=len(fresh[AT_ONCE:]))


def _tell(
    request: HttpRequest,
    made: list[tuple[UUID, UUID]],
    refused: list[tuple[UUID, str]],
    *,
    left: int,
) -> None:
    if made:
        pairs = [(link(old), link(new)) for old, new in made[:NAMED]]
        words = "One job is" if len(made) == 1 else f"{len(made)} jobs are"
        listed = format_html_join(", ", "{} as {}", pairs)
        messages.success(
            request, format_html("{} tried again: {}{}.", words, listed, _more(len(made)))
        )
    if refused:
        listed = format_html_join(" ", "{}: {}", [(link(job), why) for job, why in refused[:NAMED]])
        messages.warning(
            request, format_html("Left as they are: {}{}", listed, _more(len(refused)))
        )
    if left:
        messages.warning(
            request, f"{left} more were chosen; {AT_ONCE:,} are tried again at once, repeat it."
        )
    if not made and not refused:
        messages.warning(request, "No job was chosen.")


def _more(count: int) -> str:
    return f" and {count - NAMED} more" if count > NAMED else ""
