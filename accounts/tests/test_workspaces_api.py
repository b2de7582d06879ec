"""Workspaces by REST: what each verb answers, and what it refuses to whom."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts import actions
from accounts.models import AuditEntry, Membership, User, Workspace
from accounts.roles import Role, Scope
from accounts.tests.conftest import Team
from conftest import sign_in

pytestmark = pytest.mark.django_db
ALL = "/api/v1/workspaces"
Ask = Callable[..., Any]


def _holder(user: User, *scopes: Scope, workspace: Workspace | None = None) -> Ask:
    """Asks with a token of theirs; (status, body)."""
    _, token = actions.issue_token(user, name="x", scopes=scopes, workspace=workspace)
    client = Client(headers={"Authorization": f"Bearer {token}"})

    def ask(method: str, address: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        answer = client.generic(
            method,
            address,
            "" if body is None else json.dumps(body),
            "application/json",
            headers=headers,
        )
        return answer.status_code, answer.json() if answer.content else None

    return ask


def test_a_workspace_lives_by_rest(
    alice: User, bob: User, workspace: Workspace, join: Callable[[User, Role], None]
) -> None:
    ask = _holder(alice, *Scope)
    status, made = ask("POST", ALL, {"name": "The film club"}, **{"Idempotency-Key": "1"})
    assert (status, made["name"], made["role"]) == (201, "The film club", "owner")
    assert ask("POST", ALL, {"name": "The film club"}, **{"Idempotency-Key": "1"}) == (201, made)
    one = f"{ALL}/{made['slug']}"
    assert ask("GET", one) == (200, made)
    assert {each["slug"] for each in ask("GET", ALL)[1]["results"]} == {
        made["slug"],
        workspace.slug,
    }
    status, renamed = ask("PATCH", one, {"name": "The cinema"})
    assert (status, renamed) == (200, made | {"name": "The cinema"})

    status, invited = ask("POST", f"{one}/invitations", {"email": "Dana@example.com"})
    assert (status, invited["email"], invited["role"]) == (201, "dana@example.com", "creator")
    assert [each["id"] for each in ask("GET", f"{one}/invitations")[1]["results"]] == [
        invited["id"]
    ]
    assert ask("DELETE", f"{one}/invitations/{invited['id']}") == (204, None)
    assert ask("DELETE", f"{one}/invitations/{invited['id']}")[0] == 404

    club = Workspace.objects.get(slug=made["slug"])
    theirs = Membership.objects.create(workspace=club, user=bob, role=Role.VIEWER)
    people = ask("GET", f"{one}/members")[1]["results"]
    assert [(each["email"], each["role"]) for each in people] == [
        ("alice@example.com", "owner"),
        ("bob@example.com", "viewer"),
    ]
    member = f"{one}/members/{theirs.pk}"
    assert ask("PATCH", member, {"role": "creator"})[1]["role"] == "creator"
    status, body = ask("PATCH", member, {"role": "emperor"})
    assert (status, list(body["fields"])) == (400, ["role"])
    status, body = ask("POST", f"{one}/leave")
    assert (status, body["code"]) == (409, "last_owner")
    assert ask("POST", f"{one}/transfer", {"member": theirs.pk})[1]["role"] == "owner"
    assert ask("DELETE", member)[1]["code"] == "forbidden"  # an owner now
    assert ask("POST", f"{one}/leave") == (200, {"left": club.slug})
    assert ask("GET", one)[0] == 404
    assert _holder(bob, *Scope)("DELETE", one) == (204, None)
    verbs = AuditEntry.objects.filter(workspace=club.slug).values_list("verb", flat=True)
    assert list(verbs.order_by("pk")) == [
        *("workspace.created", "workspace.renamed", "member.invited", "invitation.withdrawn"),
        *("member.role_changed", "workspace.transferred", "member.left", "workspace.deleted"),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"name": "Mine now"}),
        ("DELETE", "", None),
        ("GET", "/members", None),
        ("PATCH", "/members/MEMBER", {"role": "owner"}),
        ("DELETE", "/members/MEMBER", None),
        ("GET", "/invitations", None),
        ("POST", "/invitations", {"email": "dana@example.com"}),
        ("POST", "/leave", {}),
        ("POST", "/transfer", {"member": 1}),
    ],
)
def test_a_stranger_learns_nothing_and_a_viewer_changes_nothing(
    method: str, path: str, body: Any, team: Team
) -> None:
    alice, bob, workspace = team.alice, team.bob, team.workspace
    team.join(bob, Role.VIEWER)
    member = team.row(alice).pk
    address = f"{ALL}/{{}}{path.replace('MEMBER', str(member))}"
    stranger = _holder(team.charlie, *Scope)
    foreign = stranger(method, address.format(workspace.slug), body)
    assert foreign[0] == 404
    assert foreign == stranger(method, address.format("no-such"), body)
    status, answer = _holder(bob, *Scope)(method, address.format(workspace.slug), body)
    if path == "/leave" or (method == "GET" and path != "/invitations"):
        assert status == 200
    else:
        assert status in {403, 404}
    short = _holder(alice, Scope.JOBS_READ, Scope.JOBS_WRITE)
    status, answer = short(method, address.format(workspace.slug), body)
    reads = method == "GET" and path != "/invitations"
    assert status == (200 if reads else 403)
    assert reads or answer["code"] == "insufficient_scope"


def test_a_token_of_one_workspace_knows_no_other(
    alice: User, workspace: Workspace, charlie: User
) -> None:
    other = actions.create_workspace(alice, "Another one")
    alice = User.objects.get(pk=alice.pk)
    ask = _holder(alice, *Scope, workspace=workspace)
    assert [each["slug"] for each in ask("GET", "/api/v1/me")[1]["workspaces"]] == [workspace.slug]
    assert ask("GET", f"{ALL}/{other.slug}")[0] == 404
    status, made = ask("POST", "/api/v1/tokens", {"name": "y", "scopes": ["jobs:read"]})
    assert (status, made["workspace"]) == (201, workspace.slug)
    wider = {"name": "z", "scopes": ["jobs:read"], "workspace": other.slug}
    assert ask("POST", "/api/v1/tokens", wider)[1]["code"] == "bad_request"
    all_of_hers = _holder(alice, *Scope)
    made = all_of_hers("POST", "/api/v1/tokens", wider)[1]
    assert made["workspace"] == other.slug
    assert {each["workspace"] for each in ask("GET", "/api/v1/tokens")[1]["results"]} == {
        workspace.slug
    }
    assert ask("DELETE", f"/api/v1/tokens/{made['prefix']}")[0] == 404
    foreign = {"name": "z", "scopes": ["jobs:read"], "workspace": "no-such"}
    assert list(all_of_hers("POST", "/api/v1/tokens", foreign)[1]["fields"]) == ["workspace"]


def test_an_administrator_looks_into_any_workspace_and_operators_into_none(
    ada: User, olga: User, workspace: Workspace
) -> None:
    ask = _holder(ada, *Scope)
    status, shown = ask("GET", f"{ALL}/{workspace.slug}")
    assert (status, shown["role"]) == (200, None)
    assert ask("PATCH", f"{ALL}/{workspace.slug}", {"name": "Cleaned up"})[0] == 200
    assert _holder(olga, *Scope)("GET", f"{ALL}/{workspace.slug}")[0] == 404


def test_a_token_of_a_workspace_ends_with_the_place_in_it(
    alice: User, bob: User, workspace: Workspace, join: Callable[[User, Role], None]
) -> None:
    join(bob, Role.CREATOR)
    bound = _holder(bob, Scope.JOBS_READ, workspace=workspace)
    of_all = _holder(bob, Scope.JOBS_READ)
    assert bound("GET", "/api/v1/jobs")[0] == of_all("GET", "/api/v1/jobs")[0] == 200
    member = Membership.objects.get(user=bob, workspace=workspace).pk
    actions.remove(alice, workspace=workspace.pk, member=member)
    assert bound("GET", "/api/v1/jobs")[0] == 401
    join(bob, Role.CREATOR)
    assert bound("GET", "/api/v1/jobs")[0] == 401  # for good
    assert of_all("GET", "/api/v1/jobs")[0] == 200


def test_a_session_that_was_opened_long_ago_hands_nothing_over(team: Team, client: Client) -> None:
    team.join(team.bob, Role.MANAGER)
    one, row = f"{ALL}/{team.workspace.slug}", team.row(team.bob).pk
    client.force_login(team.alice)  # some time ago
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", f"{one}/transfer", {"member": row}),
        ("PATCH", f"{one}/members/{row}", {"role": "owner"}),
        ("DELETE", one, {}),
    ]
    for method, address, body in asked:
        answer = client.generic(method, address, json.dumps(body), "application/json")
        assert (answer.status_code, answer.json()["code"]) == (403, "sign_in_again"), address
    assert team.row(team.bob).role == Role.MANAGER
    sign_in(client, team.alice)
    assert client.post(asked[0][1], asked[0][2], "application/json").status_code == 200
