"""Who is in a workspace: who may say so, and that an owner always remains."""

import html
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import actions, workspaces
from accounts.actions import members
from accounts.errors import (
    BadFields,
    LastOwner,
    NoSuchMember,
    Refusal,
    RoleTooLow,
    TooManyMembers,
    TooManyWorkspaces,
)
from accounts.models import ApiToken, AuditEntry, Membership, User
from accounts.roles import Role, Scope
from accounts.tests.conftest import Team
from conftest import sign_in


def _fresh(user: User) -> User:
    """As the next request has them."""
    return User.objects.get(pk=user.pk)


MAY_SET = {  # actor: {(from, to)} that they may do to somebody else
    Role.VIEWER: set[tuple[Role, Role]](),
    Role.CREATOR: set[tuple[Role, Role]](),
    Role.MANAGER: {(old, new) for old in Role for new in Role if Role.OWNER not in (old, new)},
    Role.OWNER: {(old, new) for old in Role for new in Role},
}


@pytest.mark.django_db
@pytest.mark.parametrize("actor", list(Role))
def test_a_role_gives_and_takes_what_it_may_and_owners_are_the_owners_business(
    actor: Role, team: Team
) -> None:
    bob, charlie, workspace = team.bob, team.charlie, team.workspace
    team.join(bob, actor)
    team.join(charlie, Role.VIEWER)
    target = team.row(charlie)
    for old in Role:
        for new in Role:
            Membership.objects.filter(pk=target.pk).update(role=old)
            given = {"workspace": workspace.pk, "member": target.pk}
            if (old, new) in MAY_SET[actor]:
                assert actions.set_role(bob, **given, role=new).role == new
            else:
                with pytest.raises(RoleTooLow):
                    actions.set_role(bob, **given, role=new)
        Membership.objects.filter(pk=target.pk).update(role=old)
        if (old, old) in MAY_SET[actor]:
            actions.remove(bob, workspace=workspace.pk, member=target.pk)
            team.join(charlie, Role.VIEWER)
            target = team.row(charlie)
        else:
            with pytest.raises(RoleTooLow):
                actions.remove(bob, workspace=workspace.pk, member=target.pk)


@pytest.mark.django_db
def test_the_last_owner_stays_however_they_would_go(team: Team) -> None:
    alice, bob, workspace = team.alice, team.bob, team.workspace
    team.join(bob, Role.MANAGER)
    mine = team.row(alice).pk
    with pytest.raises(LastOwner):
        actions.leave(alice, workspace=workspace.pk)
    with pytest.raises(LastOwner):
        actions.set_role(alice, workspace=workspace.pk, member=mine, role=Role.MANAGER)
    with pytest.raises(LastOwner):
        actions.remove(alice, workspace=workspace.pk, member=mine)
    theirs = team.row(bob).pk
    actions.set_role(alice, workspace=workspace.pk, member=theirs, role=Role.OWNER)
    bob.is_active = False  # and so can sign in no more
    bob.save()
    with pytest.raises(LastOwner):
        actions.leave(alice, workspace=workspace.pk)


@pytest.mark.django_db
def test_a_workspace_is_handed_over_by_its_owner_alone(team: Team) -> None:
    alice, bob, workspace = team.alice, team.bob, team.workspace
    team.join(bob, Role.MANAGER)
    theirs = team.row(bob).pk
    with pytest.raises(RoleTooLow):
        actions.transfer(bob, workspace=workspace.pk, member=theirs)
    with pytest.raises(NoSuchMember):
        actions.transfer(alice, workspace=workspace.pk, member=_row_of_charlie(team.charlie))
    User.objects.filter(pk=bob.pk).update(is_active=False)
    with pytest.raises(BadFields):  # nobody would own it
        actions.transfer(alice, workspace=workspace.pk, member=theirs)
    User.objects.filter(pk=bob.pk).update(is_active=True)
    actions.transfer(alice, workspace=workspace.pk, member=theirs)
    roles = {row.user: row.role for row in Membership.objects.filter(workspace=workspace)}
    assert roles == {alice: Role.MANAGER, bob: Role.OWNER}
    with pytest.raises(BadFields):
        actions.transfer(bob, workspace=workspace.pk, member=theirs)
    assert AuditEntry.objects.filter(verb="workspace.transferred").count() == 1


def _row_of_charlie(charlie: User) -> int:
    return Membership.objects.get(user=charlie).pk  # in a workspace of his own


@pytest.mark.django_db
def test_who_loses_the_right_meanwhile_has_lost_it(team: Team) -> None:
    """bob's request began while he was a manager: what it knows of that is old."""
    alice, bob, workspace = team.alice, team.bob, team.workspace
    team.join(bob, Role.MANAGER)
    team.join(team.charlie, Role.VIEWER)
    assert bob.memberships[workspace.pk] is Role.MANAGER
    theirs = team.row(bob).pk
    actions.set_role(alice, workspace=workspace.pk, member=theirs, role=Role.CREATOR)
    with pytest.raises(RoleTooLow):
        actions.remove(bob, workspace=workspace.pk, member=team.row(team.charlie).pk)


@pytest.mark.django_db
def test_a_token_of_one_workspace_says_nothing_in_another(team: Team) -> None:
    other = actions.create_workspace(team.alice, "Another one")
    team.join(team.bob, Role.VIEWER)
    alice = _fresh(team.alice)
    alice.only_in = other.pk
    with pytest.raises(RoleTooLow):
        actions.remove(alice, workspace=team.workspace.pk, member=team.row(team.bob).pk)
    with pytest.raises(RoleTooLow):
        actions.create_workspace(alice, "A third one")
    with pytest.raises(BadFields):
        actions.issue_token(alice, name="wider", scopes=[Scope.JOBS_READ])


@pytest.mark.django_db
def test_the_bounds_hold(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, workspace = team.alice, team.workspace
    monkeypatch.setattr(members, "MAX_WORKSPACES", 2)
    actions.create_workspace(alice, "The second")
    with pytest.raises(TooManyWorkspaces):
        actions.create_workspace(alice, "The third")
    monkeypatch.setattr(members, "MAX_MEMBERS", 2)
    team.join(team.bob, Role.VIEWER)
    with pytest.raises(TooManyMembers):
        members.admit(team.charlie, workspace=workspace.pk, role=Role.VIEWER)
    for name in ("", "x" * 81, "two\nlines"):
        with pytest.raises(BadFields):
            actions.rename_workspace(alice, workspace=workspace.pk, name=name)


# --- Of two at the same time, the second finds what the first did ---------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_owner_remains_however_many_leave_at_once(team: Team) -> None:
    everybody, workspace = (team.alice, team.bob, team.charlie), team.workspace
    rows: dict[int, int] = {}

    def leaves(user: User) -> None:
        actions.leave(user, workspace=workspace.pk)

    def demotes(user: User) -> None:
        given = {"workspace": workspace.pk, "member": rows[user.pk]}
        actions.set_role(user, **given, role=Role.VIEWER)

    for verb in (leaves, demotes):
        Membership.objects.filter(workspace=workspace).delete()
        rows |= {
            user.pk: Membership.objects.create(workspace=workspace, user=user, role=Role.OWNER).pk
            for user in everybody
        }
        assert sorted(_together(verb, everybody)) == ["", "", "last_owner"]
        owners = Membership.objects.filter(workspace=workspace, role=Role.OWNER)
        assert owners.count() == 1


def _together(verb: Callable[[Any], object], users: tuple[User, ...]) -> list[str]:
    """What each was refused with; all begin at the same moment."""
    start, answers = threading.Barrier(len(users)), list[str]()

    def run(user: User) -> None:
        try:
            start.wait(60)
            verb(user)
            answers.append("")
        except Refusal as refusal:
            answers.append(refusal.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return answers


# --- Pages ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_a_page_offers_is_what_its_viewer_may_do(team: Team, client: Client) -> None:
    bob, charlie, workspace = team.bob, team.charlie, team.workspace
    team.join(bob, Role.CREATOR)
    page = f"/settings/workspaces/{workspace.slug}/members"
    client.force_login(bob)
    answer = client.get(page)
    assert [(row.roles, row.removable) for row in answer.context["rows"]] == [([], False)] * 2
    assert "Invite people" not in answer.content.decode()
    Membership.objects.filter(user=bob, workspace=workspace).update(role=Role.MANAGER)
    answer = client.get(page)
    assert [bool(row.roles) for row in answer.context["rows"]] == [False, True]  # alice owns it
    assert "Invite people" in answer.content.decode()
    client.force_login(charlie)
    for address in (page, f"/settings/workspaces/{workspace.slug}"):
        assert client.get(address).status_code == 404
    assert client.get("/settings/workspaces/there-is-none/members").status_code == 404


@pytest.mark.django_db
def test_the_switcher_leads_to_another_workspace_of_ones_own_and_to_no_other(
    team: Team, client: Client
) -> None:
    bob, workspace = team.bob, team.workspace
    own = workspaces.current(bob)
    client.force_login(bob)
    assert 'class="menu switcher"' not in client.get("/settings/tokens").content.decode()
    team.join(bob, Role.VIEWER)
    assert 'class="menu switcher"' in client.get("/settings/tokens").content.decode()
    for slug, status, then in (
        (own.slug, 302, own),
        (workspace.slug, 302, workspace),
        ("no-such", 404, workspace),
        ("\0", 404, workspace),
    ):
        answer = client.post("/settings/workspaces/switch", {"workspace": slug})
        assert answer.status_code == status
        assert workspaces.current(_fresh(bob)) == then


@pytest.mark.django_db
def test_where_administrators_open_workspaces_nobody_else_does_and_quotas_are_not_evaded(
    alice: User, ada: User, client: Client, settings: LazySettings
) -> None:
    settings.T2V_OWN_WORKSPACES = False
    with pytest.raises(RoleTooLow):
        actions.create_workspace(alice, "Another one")
    actions.create_workspace(ada, "The studio")
    eve = User.objects.create_user("eve@example.com")
    assert eve.memberships == {}
    client.force_login(eve)
    answer = client.get("/", follow=True)
    assert answer.redirect_chain == [("/settings/workspaces", 302)]
    assert "administrators open workspaces" in answer.content.decode()
    answer = client.get("/api/v1/jobs")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_workspace")
    answer = client.post("/api/v1/jobs", {"prompt": "a red circle"}, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_workspace")


@pytest.mark.django_db
def test_a_token_is_made_for_one_workspace_where_there_is_a_choice(
    team: Team, client: Client
) -> None:
    sign_in(client, team.bob)
    form = {"name": "x", "scopes": ["jobs:read"], "expires_in_days": "90"}
    assert "Good in" not in client.get("/settings/tokens").content.decode()
    assert (
        client.post("/settings/tokens", {**form, "workspace": team.workspace.slug}).status_code
        == 400
    )
    team.join(team.bob, Role.CREATOR)
    assert "Good in" in client.get("/settings/tokens").content.decode()
    answer = client.post("/settings/tokens", {**form, "workspace": team.workspace.slug})
    assert answer.status_code == 201
    assert ApiToken.objects.get().workspace == team.workspace
    assert f"in {team.workspace.name} alone" in html.unescape(answer.content.decode())


@pytest.mark.django_db
def test_a_change_of_role_is_taken_back_by_one_button(team: Team, client: Client) -> None:
    team.join(team.bob, Role.CREATOR)
    page = f"/settings/workspaces/{team.workspace.slug}/members"
    change = f"{page}/{team.row(team.bob).pk}/role"
    client.force_login(team.alice)
    said = list(get_messages(client.post(change, {"role": "manager"}).wsgi_request))
    undo = said[0].extra_tags.removeprefix("undo:")
    assert team.row(team.bob).role == Role.MANAGER
    assert client.get(undo).status_code == 405
    assert client.post(undo).status_code == 302
    assert team.row(team.bob).role == Role.CREATOR
    sign_in(client, team.alice)  # to give it away is no slip of the mouse
    given = list(get_messages(client.post(change, {"role": "owner"}).wsgi_request))
    assert team.row(team.bob).role == Role.OWNER
    assert given[-1].extra_tags == ""


@pytest.mark.django_db
def test_members_are_found_and_paged_at_the_same_cost(
    team: Team,
    client: Client,
    django_assert_num_queries: Callable[..., Any],
) -> None:
    page = f"/settings/workspaces/{team.workspace.slug}/members"
    client.force_login(team.alice)
    client.get(page)
    with CaptureQueriesContext(connection) as few:
        client.get(page)
    people = User.objects.bulk_create(
        User(email=f"person{number:03}@example.com", name=f"Nr {number}") for number in range(119)
    )
    Membership.objects.bulk_create(
        Membership(workspace=team.workspace, user=person, role=Role.VIEWER) for person in people
    )
    seen, where = list[str](), page
    for size in (50, 50, 20):
        with django_assert_num_queries(len(few)):
            answer = client.get(where)
        shown = [row.member.user.email for row in answer.context["rows"]]
        assert len(shown) == size
        seen += shown
        where = page + (answer.context["next"] or "")
    assert answer.context["next"] is None
    assert seen == sorted(seen)
    assert len(set(seen)) == 120
    found = client.get(page, {"q": "nr 117"}).context["rows"]
    assert [row.member.user.email for row in found] == ["person117@example.com"]
    assert "Nobody here" in client.get(page, {"q": "<b>"}).content.decode()
