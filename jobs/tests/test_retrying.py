"""Trying jobs again from the console: one, many, twice, and none half done."""

import uuid
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from django.test import Client

from accounts import audit
from accounts.models import AuditEntry, User
from jobs import actions
from jobs.models import Job

pytestmark = pytest.mark.django_db


def _messages(console: Client, where: str = "/queue") -> str:
    """What a person reads, and the links."""
    page = console.get(where).content.decode()
    list_of_the_console, toasts = '<ul class="messagelist">', '<div id="toasts"'
    if toasts in page:
        return page.partition(toasts)[2].partition("<script")[0]
    return page.partition(list_of_the_console)[2].partition("</ul>")[0]


def test_one_click_tries_a_parked_job_again_and_a_second_click_finds_the_same_new_job(
    parked: Job, console: Client, olga: User
) -> None:
    for _ in range(2):
        answer = console.post("/queue/retry", {"only": str(parked.pk)})
        assert answer["Location"] == "/queue"
        new = Job.objects.get(request__retry_of=parked)
        told = _messages(console)
        assert f"/admin/jobs/job/{new.pk}/change/" in told
        assert "One job is tried again" in told
    console.post(f"/admin/jobs/job/{parked.pk}/retry/")
    assert Job.objects.count() == 2
    (entry,) = AuditEntry.objects.filter(verb="job.retried")
    assert (entry.actor_id, entry.subject) == (olga.pk, str(parked.pk))


def test_many_are_tried_again_at_once_and_the_others_are_named(
    mixed: dict[str, Job], console: Client
) -> None:
    data = {
        "action": "try_again",
        "_selected_action": [str(job.pk) for job in mixed.values()],
        "index": "0",
    }
    answer = console.post("/admin/jobs/job/", data)
    assert answer.status_code == 302
    again = Job.objects.filter(request__retry_of__isnull=False)
    assert {job.request.prompt for job in again} == {"parked", "cancelled"}
    told = _messages(console, "/admin/jobs/job/")
    assert "2 jobs are tried again" in told
    left = told.partition("Left as they are")[2]
    for state in ("failed", "running", "queued"):
        assert f"{mixed[state].pk}/change/" in left
    for state in ("failed", "running", "queued"):
        before = mixed[state].state
        mixed[state].refresh_from_db()
        assert mixed[state].state == (before if state == "queued" else state)


def test_a_database_that_fails_in_the_middle_leaves_the_rest_to_the_same_click_again(
    mixed: dict[str, Job], console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What breaks is the audit of the second job: of that one nothing is left half done."""
    chosen = [mixed[state].pk for state in ("parked", "cancelled")]
    record, calls = audit.record, count(1)

    def broken(*args: Any, **data: Any) -> None:
        if next(calls) == 2:
            raise RuntimeError("in the middle")
        record(*args, **data)

    monkeypatch.setattr("accounts.audit.record", broken)
    with pytest.raises(RuntimeError):
        console.post("/queue/retry", {"job": chosen})
    again = Job.objects.filter(request__retry_of__in=chosen)
    assert again.count() == AuditEntry.objects.filter(verb="job.retried").count() == 1
    console.post("/queue/retry", {"job": chosen})
    assert again.count() == AuditEntry.objects.filter(verb="job.retried").count() == 2


def test_a_choice_of_nothing_or_of_nonsense_is_told_and_changes_nothing(
    parked: Job, console: Client
) -> None:
    for data in ({}, {"job": ["nonsense"]}, {"only": "x"}):
        console.post("/queue/retry", data)
        assert "No job was chosen." in _messages(console)
    console.post("/queue/retry", {"job": [str(uuid.uuid4())]})
    assert "There is no such job any more." in _messages(console)
    assert Job.objects.count() == 1


def test_more_than_fit_at_once_are_done_by_the_same_click_repeated(
    submit: Callable[..., Job], console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.retrying.AT_ONCE", 2)
    ids = [submit().pk for _ in range(3)]
    for job in ids:
        actions.cancel(job)
    for made, more in ((2, True), (3, False)):
        console.post("/queue/retry", {"job": ids})
        assert Job.objects.filter(request__retry_of__in=ids).count() == made
        assert ("1 more were chosen" in _messages(console)) is more
