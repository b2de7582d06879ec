"""Trying jobs again, one or many, and saying what became of it."""

from collections.abc import Iterable
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.console import person
from jobs import retrying
from jobs.retrying import Retried

NAMED = 10  # jobs in one message


def link(job: UUID) -> SafeString:
    return format_html(
        '<a href="{}">{}</a>', reverse("admin:jobs_job_change", args=[job]), str(job)[:8]
    )


def retry_all(request: HttpRequest, ids: Iterable[UUID]) -> None:
    """All that can be tried again; messages say which."""
    tell(request, retrying.retry_each(ids, by=person(request), at_once=retrying.AT_ONCE))


def tell(request: HttpRequest, done: Retried) -> None:
    if done.made:
        pairs = [(link(old), link(new)) for old, new in done.made[:NAMED]]
        listed = format_html_join(", ", "{} as {}", pairs)
        more = _more(len(done.made))
        messages.success(request, format_html("{}: {}{}.", words(done), listed, more))
    if done.refused:
        reasons = ((link(job), why) for job, why in done.refused[:NAMED])
        listed = format_html_join(" ", "{}: {}", reasons)
        more = _more(len(done.refused))
        messages.warning(request, format_html("Left as they are: {}{}", listed, more))
    if done.left:
        messages.warning(request, f"{done.left} more were chosen; repeat it for them.")
    if not done.made and not done.refused:
        messages.warning(request, "No job was chosen.")


def words(done: Retried) -> str:
    count = len(done.made)
    return "One job is tried again" if count == 1 else f"{count} jobs are tried again"


def _more(count: int) -> str:
    return f" and {count - NAMED} more" if count > NAMED else ""
