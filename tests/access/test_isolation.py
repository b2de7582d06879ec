"""Two workspaces know nothing of each other, by whatever way they might."""

from collections.abc import Callable
from uuid import UUID

import pytest
import redis
from django.test import Client

from accounts import actions as accounts
from accounts import workspaces
from accounts.models import Membership, User, Workspace
from accounts.roles import Role, Scope
from jobs import actions, artifacts
from jobs.actions import Claim
from jobs.cursors import Cursor
from jobs.models import Job
from jobs.openai_shapes import video_id
from jobs.webhooks import endpoints
from jobs.webhooks.models import Delivery
from tests.access import table
from tests.access.cast import World
from tests.access.routes import routes

pytestmark = pytest.mark.django_db

RED = {"prompt": "a red circle moving right"}
# What stands in the studio's answers alone: its people, its name, its prompts and texts.
ITS_OWN = (b"mia@", b"alice@", b"the-studio", b"paper moon", b"guest@")


def program(user: User, *, workspace: Workspace | None = None) -> Client:
    scopes = [Scope.JOBS_READ, Scope.JOBS_WRITE]
    _, token = accounts.issue_token(user, name="x", scopes=scopes, workspace=workspace)
    return Client(headers={"Authorization": f"Bearer {token}"})


def test_no_page_and_no_answer_tells_an_outsider_anything_of_a_workspace(everybody: World) -> None:
    """Everything that may be looked at: with the outsider's own things and with the studio's."""
    told, shown = [], 0
    known = table.read()
    for route in routes():
        if not route.ours or "GET" not in table.open_methods(known, route):
            continue
        if route.name == "invitation":
            continue  # its address is the secret, and it says who invites
        for who in ("other", "elsewhere", "plain_operator"):
            got = everybody.ask(route, "GET", who)
            told += [
                (route.name, who, each)
                for each in ITS_OWN
                if each in got.body and (who, each) != ("elsewhere", b"mia@")  # her own token
            ]
            shown += got.kind == "ok"
            assert "public" not in got.headers.get("Cache-Control", ""), route.name
    assert not told, told
    assert shown > 30


def test_a_place_in_one_persons_list_is_no_way_into_anothers(
    alice: User, charlie: User, submit: Callable[..., Job]
) -> None:
    """Nor is a filter, an order, or an id to begin after."""
    hers = submit()
    at = Cursor(ordering="created_at", at=hers.created_at, row=UUID(int=0)).encode()
    his = program(charlie)
    for query in (
        *(f"cursor={at}", f"cursor={at}&limit=1", "ordering=finished_at", "ordering=created_at"),
        *("state=queued", "q=red", "search=red", f"owner={alice.pk}", "owner=alice@example.com"),
    ):
        answer = his.get(f"/api/v1/jobs?{query}")
        assert answer.status_code == 400 or answer.json()["results"] == [], query
    foreign = his.get(f"/v1/videos?after={video_id(hers.pk)}")
    missing = his.get(f"/v1/videos?after={video_id(UUID(int=7))}")
    assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content)


def test_a_mark_of_what_was_seen_tells_nobody_else_that_it_is_there(
    alice: User, charlie: User, submit: Callable[..., Job]
) -> None:
    address = f"/api/v1/jobs/{submit().pk}"
    mark = program(alice).get(address).headers["ETag"]
    for conditional in ({"If-None-Match": mark}, {"If-None-Match": "*"}, {"If-Match": mark}):
        assert program(alice).get(address, headers=conditional).status_code in {200, 304}
        assert program(charlie).get(address, headers=conditional).status_code == 404


def test_the_same_key_of_two_people_or_of_two_workspaces_makes_two_jobs(
    alice: User, charlie: User, workspace: Workspace
) -> None:
    second = accounts.open_workspace(alice, "Second")
    askers = (
        *(program(alice), program(charlie)),
        *(program(alice, workspace=where) for where in (workspace, second)),
    )
    key = {"Idempotency-Key": "the same"}
    for _ in range(2):
        answers = [
            each.post("/api/v1/jobs", RED, content_type="application/json", headers=key)
            for each in askers
        ]
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["id"] for answer in answers}) == 4
    assert Job.objects.count() == 4


def test_a_webhook_hears_of_its_owners_jobs_alone(
    alice: User,
    bob: User,
    charlie: User,
    join: Callable[[User, Role], None],
    submit: Callable[..., Job],
) -> None:
    join(bob, Role.MANAGER)
    for user in (alice, bob, charlie):
        endpoints.create(user, url="https://example.com/x", events=["job.cancelled"])
    actions.cancel(submit().pk)
    assert [each.endpoint.owner_id for each in Delivery.objects.all()] == [alice.pk]


def test_redis_and_storage_keep_ids_and_no_words(
    alice: User, claim: Callable[[], Claim], submit: Callable[..., Job], empty_redis: redis.Redis
) -> None:
    """A key is as hard to guess as an id: 122 bits of chance."""
    submit("a word that nobody else may read")
    held = claim()
    program(alice).get("/api/v1/jobs")
    names = [name.decode() for name in empty_redis.keys("*")]  # type: ignore[union-attr]
    values = b"".join(empty_redis.dump(name) or b"" for name in names)  # type: ignore[misc]
    assert names
    for text in ("nobody else", "alice@", workspaces.current(alice).slug):
        assert not any(text in name for name in names)
        assert text.encode() not in values
    assert held.job.version == 4
    assert artifacts.key_for(held.job, 1, artifacts.VIDEO) == f"jobs/{held.job}/1/video.mp4"


def test_who_was_removed_makes_nothing_more_there_and_hears_nothing_more(
    alice: User, bob: User, join: Callable[[User, Role], None], workspace: Workspace
) -> None:
    """Not by the key of an earlier request either: its answer is of a place they are not in."""
    join(bob, Role.CREATOR)
    asker, key = program(bob, workspace=workspace), {"Idempotency-Key": "once"}
    made = asker.post("/api/v1/jobs", RED, content_type="application/json", headers=key)
    assert made.status_code == 201
    endpoints.create(bob, url="https://example.com/x", events=["job.cancelled"])
    member = Membership.objects.get(user=bob, workspace=workspace).pk
    accounts.remove(alice, workspace=workspace.pk, member=member)
    again = asker.post("/api/v1/jobs", RED, content_type="application/json", headers=key)
    assert again.status_code == 401
    assert made.json()["id"].encode() not in again.content
    actions.cancel(UUID(made.json()["id"]))
    assert not Delivery.objects.exists()
