"""The queue page by page: its order, its marks, what is looked for in it, and what that costs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from accounts import actions as accounts
from accounts.models import User, Workspace
from accounts.roles import Role
from jobs import actions, line, offer
from jobs.errors import BadFields
from jobs.line import Mark
from jobs.models import Job
from jobs.sieve import Sieve

pytestmark = pytest.mark.django_db
ALL = Sieve()


def _walk(sieve: Sieve, shown: int) -> tuple[list[UUID], list[int]]:
    """All pages: the jobs, and their places."""
    jobs: list[UUID] = []
    places: list[int] = []
    mark: Mark | None = None
    for _ in range(50):
        page = line.page(sieve, after=mark, shown=shown)
        assert len(page.stands) <= shown
        jobs += [stand.job for stand in page.stands]
        places += [stand.place for stand in page.stands]
        if page.next is None:
            return jobs, places
        mark = Mark.decode(page.next.encode())
    raise AssertionError("it has no end")


@pytest.mark.parametrize("shown", [1, 2, 3, 50])
def test_every_job_is_reached_once_in_order_whatever_the_pages_hold(
    shown: int, submit: Callable[..., Job], workspace: Workspace
) -> None:
    made = [submit() for _ in range(7)]
    Job.objects.filter(pk=made[5].pk).update(priority=9)
    Job.objects.filter(pk=made[1].pk).update(pool="other")
    Job.objects.filter(pk__in=[made[2].pk, made[6].pk]).update(over_quota=True)
    jobs, places = _walk(ALL, shown)
    assert jobs == [made[n].pk for n in (5, 0, 1, 3, 4, 2, 6)]
    assert places == [1, 2, 1, 3, 4, 0, 0]  # in their own pools; those that are held have none


def test_a_page_goes_on_where_it_was_though_the_front_has_moved(
    submit: Callable[..., Job], claim: Callable[..., Any]
) -> None:
    made = [submit() for _ in range(5)]
    first = line.page(ALL, after=None, shown=2)
    assert [stand.job for stand in first.stands] == [job.pk for job in made[:2]]
    claim()
    second = line.page(ALL, after=first.next, shown=2)
    assert [(stand.job, stand.place, stand.before) for stand in second.stands] == [
        (made[2].pk, 2, 1),
        (made[3].pk, 3, 2),
    ]


def test_who_waits_for_a_time_to_come_is_not_before_who_can_start(
    submit: Callable[..., Job],
) -> None:
    later, now = submit(), submit()
    Job.objects.filter(pk=later.pk).update(run_at=timezone.now() + timedelta(hours=1), priority=1)
    stands = line.page(ALL, after=None, shown=5).stands
    assert [(stand.job, stand.place, stand.before) for stand in stands] == [
        (later.pk, 1, 0),
        (now.pk, 2, 0),
    ]


def test_what_is_looked_for_keeps_its_place_and_is_found_however_far_back(
    submit: Callable[..., Job],
    bob: User,
    join: Callable[[User, Role], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line, "AT_MOST", 4)
    for _ in range(9):
        submit()
    blank = dict.fromkeys(("size", "frames", "steps", "guidance", "seed"))
    spec = offer.make_spec(model="nano", prompt="bob's", **blank)
    join(bob, Role.CREATOR)
    last = actions.submit(owner=bob, spec=spec)
    first = line.page(Sieve(owner=bob.pk), after=None, shown=5)
    assert (first.stands, first.cut) == ([], True)
    assert _walk(Sieve(owner=bob.pk), 5) == ([last.pk], [10])
    assert _walk(Sieve(owner=bob.pk, pool="other"), 5) == ([], [])
    assert len(_walk(Sieve(model="nano", workspace=last.workspace_id), 3)[0]) == 10
    assert _walk(Sieve(model="another"), 3) == ([], [])


def test_held_jobs_are_looked_for_as_the_others(
    submit: Callable[..., Job], workspace: Workspace, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "AT_MOST", 2)
    accounts.set_quota(workspace, actor=None, max_running=1)
    made = [submit() for _ in range(6)]
    assert _walk(Sieve(owner=alice.pk), 3)[0] == [job.pk for job in made]
    assert _walk(Sieve(pool="other"), 3)[0] == []


def test_a_mark_that_no_page_gave_is_none(console: Client, submit: Callable[..., Job]) -> None:
    mark = Mark(among="line", rank=0, run_at=datetime(2026, 1, 1, tzinfo=UTC), job=UUID(int=1))
    assert Mark.decode(mark.encode()) == mark
    for text in ("", "nonsense", "W10", "WzFd", mark.encode()[:-4], mark.encode() * 9, "é"):
        with pytest.raises(BadFields):
            Mark.decode(text)
    submit()
    running = Mark(among="running", rank=0, run_at=mark.run_at, job=mark.job)
    for text in ("nonsense", running.encode()):
        assert len(console.get("/queue", {"waiting": text}).context["seen"].waiting.rows) == 1
