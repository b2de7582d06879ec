"""Favourites and tags: whose they are, how many there may be, and what becomes of them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from accounts.models import AuditEntry, User, Workspace
from accounts.roles import Role, Scope
from conftest import video_of
from jobs import actions
from jobs.actions import Claim
from jobs.actions import shelf as verbs
from jobs.errors import BadTag, OutOfScope, TooManyTags
from jobs.marks import Marks, TagUse, marks_of, tags_of
from jobs.models import Favourite, Job, JobTag, Tag
from jobs.purge import purge_deleted
from jobs.tag_name import TagName
from jobs.tests.crowd import fill

pytestmark = pytest.mark.django_db
Clip = Callable[[], Job]


def called(name: str) -> TagName:
    return TagName.read(name)


@pytest.fixture
def clip(submit: Callable[..., Job], claim: Callable[..., Claim]) -> Clip:
    """A clip of alice's."""

    def _clip() -> Job:
        job = submit()
        held = claim()
        actions.succeed(held, [video_of(held)])
        return Job.objects.get(pk=job.pk)

    return _clip


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Holiday", "Holiday"),
        ("  two   words ", "two words"),
        ("cafe\u0301", "café"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("x" * 40, "x" * 40),
    ],
)
def test_a_tag_is_kept_as_it_was_typed_but_for_its_spaces(typed: str, name: str) -> None:
    assert called(typed).name == name
    assert called(typed.upper()).key == called(typed.lower()).key


@pytest.mark.parametrize(
    "typed", ["", "  ", "x" * 41, "a,b", "a\x00b", "a\nb\x07", "\u202eevil", "\u200d", "\ud800"]
)
def test_what_no_tag_can_be_called_is_refused_at_its_field(typed: str) -> None:
    with pytest.raises(BadTag) as refused:
        called(typed)
    assert list(refused.value.fields) == ["tag"]


def test_a_workspace_has_a_tag_once_however_it_is_spelled(
    clip: Clip, alice: User, workspace: Workspace
) -> None:
    one, two = clip(), clip()
    actions.tag(alice, [one.pk], called("Straße"))
    outcome = actions.tag(alice, [one.pk, two.pk], called("STRASSE"))
    assert (set(outcome.done), outcome.changed) == ({one.pk, two.pk}, [two.pk])
    assert tags_of(workspace.pk) == [TagUse(name="Straße", used=2)]
    assert marks_of(alice, [one, two]) == dict.fromkeys([one.pk, two.pk], Marks(tags=("Straße",)))
    actions.untag(alice, [one.pk], called("strasse"))
    assert tags_of(workspace.pk) == [TagUse(name="Straße", used=1)]


def test_favourites_are_each_persons_own(
    clip: Clip, alice: User, bob: User, join: Callable[[User, Role], None]
) -> None:
    job = clip()
    join(bob, Role.VIEWER)
    for _ in range(2):
        outcome = actions.favourite(bob, [job.pk])
        assert outcome.done == [job.pk]
    assert outcome.changed == []
    assert marks_of(bob, [job]) == {job.pk: Marks(favourite=True)}
    assert marks_of(alice, [job]) == {job.pk: Marks()}
    actions.unfavourite(alice, [job.pk])
    assert marks_of(bob, [job]) == {job.pk: Marks(favourite=True)}
    assert actions.unfavourite(bob, [job.pk]).changed == [job.pk]
    assert marks_of(bob, [job]) == {job.pk: Marks()}


@pytest.mark.parametrize(
    ("role", "code"),
    [(Role.VIEWER, "forbidden"), (Role.CREATOR, "forbidden"), (Role.MANAGER, None)],
)
def test_who_may_delete_a_clip_may_tag_it(
    role: Role, code: str | None, clip: Clip, bob: User, join: Callable[[User, Role], None]
) -> None:
    job = clip()
    join(bob, role)
    outcome = actions.tag(bob, [job.pk], called("mine"))
    assert [why.code for why in outcome.refused.values()] == ([code] if code else [])
    assert JobTag.objects.filter(job=job).exists() == (code is None)
    assert actions.untag(bob, [job.pk], called("mine")).refused.keys() == outcome.refused.keys()


def test_of_many_the_ones_that_are_allowed_are_done_and_the_others_say_why(
    clip: Clip,
    charlie: User,
    bob: User,
    join: Callable[[User, Role], None],
) -> None:
    theirs, nobodys = clip(), uuid4()
    join(bob, Role.CREATOR)
    own = actions.submit(owner=bob, spec=theirs.request.render_spec())
    for verb in (actions.delete_several, actions.restore_several):
        outcome = verb(bob, [theirs.pk, own.pk, nobodys])
        assert (outcome.done, outcome.changed) == ([own.pk], [own.pk])
        hidden = verb is actions.restore_several  # as a single one is refused
        codes = {theirs.pk: "not_found" if hidden else "forbidden", nobodys: "not_found"}
        assert {job: why.code for job, why in outcome.refused.items()} == codes
    strangers = actions.favourite(charlie, [theirs.pk, own.pk])
    assert (strangers.done, len(strangers.refused)) == ([], 2)
    entries = AuditEntry.objects.filter(verb__in=["job.deleted", "job.restored"])
    assert {entry.subject for entry in entries} == {str(own.pk)}


def test_what_is_tagged_by_whom_is_written_down_once_for_all(clip: Clip, alice: User) -> None:
    jobs = [clip().pk, clip().pk]
    for _ in range(2):
        actions.tag(alice, jobs, called("for the film"))
    actions.untag(alice, jobs[:1], called("for the film"))
    entries = AuditEntry.objects.filter(verb__contains="tagged").order_by("pk")
    assert [(each.verb, each.data) for each in entries] == [
        ("job.tagged", {"tag": "for the film", "jobs": 2}),
        ("job.untagged", {"tag": "for the film", "jobs": 1}),
    ]


def test_a_clip_has_at_most_twenty_tags(clip: Clip, alice: User) -> None:
    full, other = clip(), clip()
    actions.set_tags(alice, full, [called(f"tag {number}") for number in range(20)])
    outcome = actions.tag(alice, [full.pk, other.pk], called("one more"))
    assert outcome.done == [other.pk]
    assert [why.code for why in outcome.refused.values()] == ["too_many_tags"]
    assert actions.tag(alice, [full.pk], called("TAG 7")).done == [full.pk], "it has that one"
    with pytest.raises(TooManyTags):
        actions.set_tags(alice, other, [called(f"tag {number}") for number in range(21)])
    assert marks_of(alice, [other])[other.pk].tags == ("one more",)


def test_a_workspace_has_so_many_tags_and_those_on_no_clip_make_room(
    clip: Clip, alice: User, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "MOST_TAG_NAMES", 3)
    job = clip()
    actions.set_tags(alice, job, [called("one"), called("two"), called("three")])
    outcome = actions.tag(alice, [job.pk], called("four"))
    assert [why.code for why in outcome.refused.values()] == ["too_many_tag_names"]
    actions.untag(alice, [job.pk], called("two"))
    assert actions.tag(alice, [job.pk], called("four")).done == [job.pk]
    assert {each.name for each in tags_of(workspace.pk)} == {"one", "three", "four"}


def test_a_list_of_tags_replaces_what_was_there(clip: Clip, alice: User) -> None:
    job = clip()
    actions.set_tags(alice, job, [called("one"), called("two")])
    actions.set_tags(alice, job, [called("TWO"), called("three")])
    assert marks_of(alice, [job])[job.pk].tags == ("two", "three")
    actions.set_tags(alice, job, [])
    assert marks_of(alice, [job]) == {job.pk: Marks()}


@pytest.mark.django_db(transaction=True)
def test_marks_go_and_come_back_with_their_clip_and_are_purged_with_it(
    clip: Clip, alice: User, workspace: Workspace, media: object, settings: Any
) -> None:
    job = clip()
    actions.favourite(alice, [job.pk])
    actions.tag(alice, [job.pk], called("old"))
    actions.delete_several(alice, [job.pk])
    assert actions.favourite(alice, [job.pk]).done == []
    actions.restore_several(alice, [job.pk])
    assert marks_of(alice, [job]) == {job.pk: Marks(favourite=True, tags=("old",))}
    settings.T2V_DELETED_HOURS = 0
    actions.delete_several(alice, [job.pk])
    assert actions.restore_several(alice, [job.pk]).done == []
    assert purge_deleted() == 1
    assert not Favourite.objects.exists()
    assert not JobTag.objects.exists()
    assert Tag.objects.get().used == 0
    assert tags_of(workspace.pk) == []


@pytest.mark.django_db(transaction=True)
def test_a_release_that_knows_no_marks_deletes_what_has_some(clip: Clip, alice: User) -> None:
    """As it does that: row by row of the tables that it knows."""
    job = clip()
    actions.favourite(alice, [job.pk])
    actions.tag(alice, [job.pk], called("old"))
    with transaction.atomic(), connection.cursor() as cursor:
        for table in ("jobs_artifact", "jobs_attempt", "jobs_jobrequest", "jobs_jobevent"):
            cursor.execute(f"DELETE FROM {table} WHERE job_id = %s", [job.pk])  # noqa: S608
        cursor.execute("DELETE FROM jobs_job WHERE id = %s", [job.pk])
    assert not Favourite.objects.exists()
    assert Tag.objects.get().used == 0


def test_a_token_that_only_reads_marks_nothing(clip: Clip, alice: User) -> None:
    job = clip()
    alice.scopes = frozenset({Scope.JOBS_READ})
    with pytest.raises(OutOfScope):
        actions.favourite(alice, [job.pk])
    outcome = actions.tag(alice, [job.pk], called("mine"))
    assert [why.code for why in outcome.refused.values()] == ["insufficient_scope"]


def test_two_hundred_are_marked_at_the_price_of_one(
    alice: User, django_assert_max_num_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    fill(alice, 200, clips=True)
    jobs: list[UUID] = list(Job.objects.values_list("pk", flat=True)[:200])
    for verb, most in ((actions.favourite, 7), (actions.unfavourite, 7)):
        with django_assert_max_num_queries(most):
            assert len(verb(alice, jobs).changed) == 200
    with django_assert_max_num_queries(14):
        assert len(actions.tag(alice, jobs, called("all")).changed) == 200
    found = list(Job.objects.filter(pk__in=jobs))
    with django_assert_max_num_queries(2):
        assert {marks.tags for marks in marks_of(alice, found).values()} == {("all",)}


@pytest.mark.django_db(transaction=True)
def test_many_who_tag_at_once_make_no_more_tags_than_there_may_be(
    submit: Callable[..., Job], alice: User, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "MOST_TAG_NAMES", 3)
    monkeypatch.setattr(verbs, "MOST_TAGS", 4)
    jobs = [submit().pk for _ in range(2)]
    _ = alice.memberships  # before the threads, which share her
    start = Barrier(6)

    def tag(number: int) -> list[str]:
        try:
            start.wait(60)
            outcome = actions.tag(alice, jobs[:: 1 - 2 * (number % 2)], called(f"tag {number}"))
            return [why.code for why in outcome.refused.values()]
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        told = list(threads.map(tag, range(6)))
    assert sorted(told) == [[]] * 3 + [["too_many_tag_names"] * 2] * 3
    assert [each.used for each in tags_of(workspace.pk)] == [2, 2, 2]
