"""The library's pages: which clips, in what order, and at what cost."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.http import QueryDict

from accounts.models import User, Workspace
from accounts.roles import Role
from conftest import video_of
from jobs import actions, shelf
from jobs.actions import Claim
from jobs.clip_filters import ORDERINGS, Filters, Shown
from jobs.cursors import Cursor
from jobs.errors import BadFields
from jobs.lifecycle import State
from jobs.models import Job, Tag
from jobs.shelf import Clips, clips
from jobs.tag_name import TagName
from jobs.tests.crowd import fill

pytestmark = pytest.mark.django_db
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def shown(alice: User, workspace: Workspace) -> Callable[..., Clips]:
    """A page of alice's library."""

    def _shown(query: str = "", **more: Any) -> Clips:
        return clips(alice, workspace.pk, replace(Filters.read(QueryDict(query)), **more))

    return _shown


@pytest.fixture
def several(
    alice: User,
    bob: User,
    join: Callable[[User, Role], None],
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
) -> dict[str, Job]:
    """By what is special about each, oldest first; all but the last two are clips."""
    join(bob, Role.CREATOR)
    spec = submit("bob's green square").request.render_spec()
    actions.cancel(Job.objects.get().pk)
    made = {"bobs": actions.submit(owner=bob, spec=spec)}
    made |= {name: submit(f"a red circle, {name}") for name in ("plain", "starred", "tagged")}
    made["both"] = submit("A blue-green Star rising", quality="fast")
    for _ in made:
        held = claim()
        actions.succeed(held, [video_of(held)])
    made["failed"] = submit("a red circle, failed")
    actions.fail(claim(), code="bad", message="It broke.", permanent=True)
    made["queued"] = submit("a red circle, queued")
    actions.favourite(alice, [made[name].pk for name in ("starred", "both", "failed")])
    actions.favourite(bob, [made["plain"].pk])
    actions.tag(alice, [made[name].pk for name in ("tagged", "both")], TagName.read("Film"))
    actions.tag(alice, [made["both"].pk], TagName.read("second"))
    return made


CLIPS = ["both", "tagged", "starred", "plain", "bobs"]


FOUND = [
    ("", CLIPS),
    ("ordering=created_at", CLIPS[::-1]),
    ("mine=1", ["both", "tagged", "starred", "plain"]),
    ("state=all", ["queued", "failed", *CLIPS, "(cancelled)"]),
    ("state=all&mine=1", ["queued", "failed", *CLIPS[:-1], "(cancelled)"]),
    ("state=undone", ["failed", "(cancelled)"]),
    ("state=unfinished", ["queued"]),
    ("favourite=1", ["both", "starred"]),
    ("favourite=1&state=all", ["failed", "both", "starred"]),
    ("favourite=1&ordering=created_at", ["starred", "both"]),
    ("tag=film", ["both", "tagged"]),
    ("tag=FILM&tag=second", ["both"]),
    ("tag=film&tag=nothing", []),
    ("tag=film&favourite=1", ["both"]),
    ("tag=film&favourite=1&mine=1&q=star", ["both"]),
    ("tag=film&q=circle", ["tagged"]),
    ("q=star", ["both", "starred"]),
    ("q=STARR", ["starred"]),
    ("q=ci+RE", ["tagged", "starred", "plain"]),
    ("q=blue-gre", ["both"]),
    ("q=a+blue+s", ["both"]),
    ("q=b", []),
    ("q=%27+%7C+%26%3A%2A", []),
    ("q=red+green", []),
    ("q=square&mine=1", []),
    ("quality=fast", ["both"]),
    ("quality=exact&mine=1", ["tagged", "starred", "plain"]),
    ("model=nano&tag=film", ["both", "tagged"]),
    ("model=sora", []),
    ("created_after=2999-01-01", []),
    ("created_before=2999-01-01&favourite=1", ["both", "starred"]),
    ("owner=0", []),
]


@pytest.mark.parametrize("rare", [1_000, 0])
def test_a_page_holds_what_its_filters_say(
    rare: int,
    several: dict[str, Job],
    shown: Callable[..., Clips],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether the words are rare, and looked up, or common, and met on the way."""
    monkeypatch.setattr(shelf, "RARE", rare)
    names, job = {job.pk: name for name, job in several.items()}, several["plain"]
    pages = {query: shown(query) for query, _ in FOUND}
    held = {q: [names.get(each.pk, "(cancelled)") for each in pages[q].jobs] for q in pages}
    assert held == dict(FOUND)
    for query, expected in FOUND:
        assert (pages[query].next, pages[query].previous) == (None, None)
        counted = clips(
            job.owner, job.workspace_id, Filters.read(QueryDict(query)), counted=True
        ).total
        assert counted == shelf.Total(clips=len(expected), more=False)


def test_a_library_holds_no_deleted_clips_and_nobody_elses(
    several: dict[str, Job], shown: Callable[..., Clips], charlie: User, workspace: Workspace
) -> None:
    actions.delete(several["both"].pk)
    for query, left in (("favourite=1", 1), ("tag=film", 1), ("q=star", 1), ("state=all", 7)):
        assert len(shown(query).jobs) == left
    for filters in (Filters(), Filters(favourite=True), Filters(q="star"), Filters(tags=("film",))):
        assert clips(charlie, workspace.pk, filters) == Clips()
        nothing = clips(charlie, workspace.pk, filters, counted=True).total
        assert nothing == shelf.Total(clips=0, more=False)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=dreaming", "state"),
        ("ordering=-finished_at", "ordering"),
        ("favourite=yes", "favourite"),
        ("mine=true", "mine"),
        ("owner=alice", "owner"),
        ("limit=-1", "limit"),
        ("tag=a,b", "tag"),
        ("tag=a&tag=b&tag=c&tag=d&tag=e&tag=f", "tag"),
        ("q=" + "x" * 201, "q"),
        ("model=%00", "model"),
        ("created_after=yesterday", "created_after"),
        ("cursor=x", "cursor"),
        ("at=x", "at"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused_at_its_field(query: str, field: str) -> None:
    with pytest.raises(BadFields) as refused:
        Filters.read(QueryDict(query))
    assert list(refused.value.fields) == [field]


def test_a_filter_that_leaves_nothing_out_is_told_from_one_that_does() -> None:
    place = Cursor(ordering="-created_at", at=START, row=uuid4())
    assert not Filters(ordering="created_at", limit=5, at=uuid4(), cursor=place).narrows
    assert Filters(q="x").narrows
    assert Filters(state=Shown.ALL).narrows


def _mark_all(user: User, workspace: Workspace) -> None:
    """A favourite, and tagged as film, are all of their jobs."""
    tag = Tag.objects.create(workspace=workspace, name="film", key="film")
    marked = "INSERT INTO {} (job_id, job_created_at, {}) SELECT id, created_at, {} FROM jobs_job"
    with connection.cursor() as cursor:
        for table, columns, values in (
            ("jobs_favourite", "user_id, workspace_id", "owner_id, workspace_id"),
            ("jobs_jobtag", "tag_id", str(tag.pk)),
        ):
            cursor.execute(
                marked.format(table, columns, values) + " WHERE owner_id = %s", [user.pk]
            )


@pytest.fixture
def crowd(alice: User, workspace: Workspace, shown: Callable[..., Clips]) -> Callable[..., Clips]:
    """As shown, of 22 clips, all of them marked; 12 were made in the same moment."""
    fill(alice, 22, alike=12, clips=True)
    _mark_all(alice, workspace)
    return shown


@pytest.mark.parametrize("walked", [5_000, 4])
def test_pages_have_no_gaps_or_repeats_and_lead_back(
    walked: int, crowd: Callable[..., Clips], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a page sees fewer clips than it can hold."""
    asked = ("", "mine=1", "favourite=1", "tag=film", "q=red", "q=cir&state=all", "model=nano")
    for query in (f"{one}&ordering={order}" for one in asked for order in ORDERINGS):
        with monkeypatch.context() as patch:
            wanted = [job.pk for job in crowd(query, limit=100).jobs]
            assert len(wanted) == (23 if "all" in query else 22)
            patch.setattr(shelf, "WALKED", walked)
            patch.setattr(shelf, "RARE", 0 if walked == 4 else 1_000)
            pages = [crowd(query, limit=5)]
            assert pages[0].previous is None
            while pages[-1].next:
                pages.append(crowd(query, limit=5, cursor=pages[-1].next))
                assert len(pages) < 30
            assert [job.pk for page in pages for job in page.jobs] == wanted, query
            back = [pages[-1]]
            while back[-1].previous:
                back.append(crowd(query, limit=5, cursor=back[-1].previous))
                assert len(back) < 30
            assert [job.pk for page in back[::-1] for job in page.jobs] == wanted, query


def test_a_link_to_a_clip_leads_to_the_page_that_begins_with_it(
    crowd: Callable[..., Clips],
) -> None:
    for query in ("", "favourite=1", "tag=film", "ordering=created_at"):
        wanted = [job.pk for job in crowd(query).jobs]
        page = crowd(query, at=wanted[7], limit=3)
        assert [job.pk for job in page.jobs] == wanted[7:10]
        before = crowd(query, cursor=page.previous, limit=3)
        assert [job.pk for job in before.jobs] == wanted[4:7]
        following = crowd(query, cursor=page.next, limit=3)
        assert [job.pk for job in following.jobs] == wanted[10:13]
        assert [job.pk for job in crowd(query, at=uuid4(), limit=3).jobs] == wanted[:3]


def test_a_total_that_would_take_long_says_at_least(
    alice: User, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def total(limit: int = 2, **asked: Any) -> str:
        return str(clips(alice, workspace.pk, Filters(limit=limit, **asked), counted=True).total)

    fill(alice, 9, clips=True)
    assert total() == total(limit=48) == "9 clips"
    monkeypatch.setattr(shelf, "COUNTED", 4)
    assert total() == "at least 4 clips"
    monkeypatch.setattr(shelf, "COUNTED", 1_000)
    monkeypatch.setattr(shelf, "WALKED", 5)
    assert total(model="nano") == total(model="nano", limit=48) == "at least 5 clips"
    monkeypatch.setattr(shelf, "COUNTED_READ", 3)
    assert total(model="nano") == "at least 3 clips"
    assert total(favourite=True) == "0 clips"
    monkeypatch.setattr(shelf, "WALKED", 100)  # it comes to the end, and says how many there are
    assert total(model="nano") == "9 clips"
    assert total(owner=0) == "0 clips"
    assert str(shelf.Total(clips=1, more=False)) == "1 clip"


def test_a_page_costs_at_most_six_queries_whatever_is_asked(
    alice: User,
    workspace: Workspace,
    shown: Callable[..., Clips],
    django_assert_max_num_queries: Callable[[int], AbstractContextManager[Any]],
) -> None:
    fill(alice, 60, clips=True)
    _mark_all(alice, workspace)
    at = Job.objects.filter(state="succeeded")[30].pk
    for query, most in (("", 2), ("mine=1", 2), ("favourite=1", 3), ("tag=film", 4), ("q=red", 3)):
        with django_assert_max_num_queries(most):
            assert len(shown(query).jobs) == 48
    with django_assert_max_num_queries(6):
        shown("tag=film&favourite=1&mine=1&model=nano&q=red", at=at)


MINUTES = 6_000


@pytest.fixture
def many(alice: User, bob: User, workspace: Workspace) -> User:
    """Alice has a clip for each of so many minutes, and bob as well; hers are marked."""
    for owner in (alice, bob):
        fill(owner, MINUTES, clips=True)
    _mark_all(alice, workspace)
    with connection.cursor() as cursor:
        cursor.execute("SELECT gin_clean_pending_list('jobs_prompt_words')")  # as autovacuum does
        cursor.execute("ANALYZE jobs_favourite, jobs_jobtag, jobs_tag")
        # Taken for empty, as they were when a vacuum came by, they would be what all is joined to.
        cursor.execute("ANALYZE accounts_user, accounts_workspace")
    return alice


def _rows_read(plan: dict[str, Any], of: str = "jobs_") -> int:
    """By the scan that read most, of one of our large tables."""
    deeper = [_rows_read(part, of) for part in plan.get("Plans", [])]
    if not str(plan.get("Relation Name", "")).startswith(of):
        return max(deeper, default=0)
    passed_over = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    once: float = plan["Actual Rows"] + sum(plan.get(name, 0) for name in passed_over)
    loops: int = plan["Actual Loops"]
    return max([*deeper, round(once * loops)])


class _Explained:
    """Of each query, before it runs, by which plan it has read what."""

    def __init__(self) -> None:
        self.plans: list[dict[str, Any]] = []

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if sql.startswith("SELECT"):
            execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params, many, context)
            self.plans.append(context["cursor"].fetchone()[0][0]["Plan"])
        return execute(sql, params, many, context)


COSTS = [  # a query, and the most rows that one of its scans may read
    ("", 60),
    ("mine=1", 60),
    ("ordering=created_at", 60),
    ("favourite=1", 1_100),
    ("tag=film", 1_100),
    ("created_before=2026-01-03", 60),
    ("q=nowhere", 60),
    ("q=circle", 1_100),
    ("state=unfinished", 1_100),
]


def test_a_page_reads_no_more_than_it_may(
    many: User, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 6,000 clips among 12,000; what is looked up is looked up for 1,000 at the most."""
    monkeypatch.setattr(shelf, "WALKED", 1_000)
    monkeypatch.setattr(shelf, "RARE", 500)
    middle = Job.objects.get(owner=many, created_at=START + timedelta(minutes=MINUTES // 2 + 1))
    with connection.cursor() as asked:
        # As on flash. By the price of a turning disk, and before a vacuum has come by, to sort this
        # small table seems as cheap as a walk along its index.
        asked.execute("SET LOCAL random_page_cost = 1.1")
    costs = []
    for query, most_rows in COSTS:
        filters = Filters.read(QueryDict(query))
        place = Cursor(ordering=filters.ordering, at=middle.created_at, row=middle.pk)
        for cursor in (None, place, replace(place, back=True)):
            explained = _Explained()
            with connection.execute_wrapper(explained):
                clips(many, workspace.pk, replace(filters, cursor=cursor))
            assert explained.plans
            read = max(_rows_read(plan) for plan in explained.plans)
            costs.append((query, read, most_rows, explained.plans))
            # Of a word that all have: RARE by the index of words, then those that are shown.
            prompts = max(_rows_read(plan, "jobs_jobrequest") for plan in explained.plans)
            costs.append((f"prompts of {query}", prompts, 600, explained.plans))
    assert [cost for cost in costs if cost[1] > cost[2]] == []


def test_a_page_that_finds_nothing_in_what_it_may_look_at_says_where_to_go_on(
    alice: User, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the rows are read: of 10 clips, 4 to a page, none is what is asked for."""
    fill(alice, 10, clips=True)
    monkeypatch.setattr(shelf, "WALKED", 4)
    newest = list(
        Job.objects.filter(workspace=workspace, state=State.SUCCEEDED)
        .newest_first()
        .values_list("pk", flat=True)
    )
    filters, looked_up_to = Filters.read(QueryDict("model=sora")), []
    while (page := clips(alice, workspace.pk, filters)).next is not None:
        assert page.jobs == []
        looked_up_to.append(page.next.row)
        filters = replace(filters, cursor=page.next)
    assert looked_up_to == [newest[3], newest[7]]
