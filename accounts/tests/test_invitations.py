"""From an invitation to a member: by a link that is good once, for one address, for seven days."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.conf import LazySettings
from django.core import mail
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import actions, invitations
from accounts.actions import invitations as verbs
from accounts.errors import BadFields, RoleTooLow, TooManyInvitations, TooManyMails
from accounts.models import AuditEntry, Invitation, Membership, User, Workspace
from accounts.roles import Role
from accounts.tests.conftest import Team
from conftest import PASSWORD

pytestmark = pytest.mark.django_db
Invite = Callable[..., str]


@pytest.fixture
def invite(
    alice: User,
    workspace: Workspace,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> Invite:
    """Alice invites; the address that the link of the mail leads to."""

    def _invite(email: str = "bob@example.com", role: Role = Role.CREATOR) -> str:
        with django_capture_on_commit_callbacks(execute=True):
            actions.invite(alice, workspace=workspace.pk, email=email, role=role)
        return _link(mail.outbox[-1])

    return _invite


def _link(message: Any) -> str:
    found = re.search(r"https?://[^/]+(/invitations/\S+)", str(message.body))
    assert found is not None
    return found[1]


def _words(answer: Any) -> str:
    """Of a page, without its token against forgery, which is another one each time."""
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", answer.content.decode())


def _verify(user: User) -> None:
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)


def _roles(workspace: Workspace) -> dict[str, str]:
    return dict(Membership.objects.filter(workspace=workspace).values_list("user__email", "role"))


def test_somebody_with_an_account_joins_by_the_link_once(
    invite: Invite, bob: User, workspace: Workspace, client: Client
) -> None:
    link = invite()
    message = mail.outbox[-1]
    assert message.to == ["bob@example.com"]
    assert workspace.name in message.body
    key = link.rpartition("/")[2]
    assert not Invitation.objects.filter(digest__contains=key).exists()
    _verify(bob)
    client.force_login(bob)
    answer = client.get(link)
    assert "alice@example.com" in answer.content.decode()
    assert answer.status_code == 200
    assert "bob@example.com" not in _roles(workspace)  # looking is not accepting
    assert client.post(link).status_code == 302
    assert _roles(workspace)["bob@example.com"] == Role.CREATOR
    bob.refresh_from_db()
    assert bob.workspace == workspace
    for method in (client.get, client.post):
        assert method(link).status_code == 404
    verbs_told = set(AuditEntry.objects.values_list("verb", flat=True))
    assert {"member.invited", "member.joined"} <= verbs_told


def test_an_invitation_is_only_for_a_verified_address(
    invite: Invite, bob: User, charlie: User, workspace: Workspace, client: Client
) -> None:
    link = invite()
    _verify(charlie)
    EmailAddress.objects.create(user=bob, email=bob.email, verified=False, primary=True)
    for user in (charlie, bob):
        client.force_login(user)
        assert "Join the workspace" not in client.get(link).content.decode()
        assert client.post(link).status_code == 403
        assert user.email not in _roles(workspace)
    EmailAddress.objects.create(user=charlie, email="Bob@Example.com", verified=True)
    client.force_login(charlie)  # who has shown that this address is his, too
    assert client.post(link).status_code == 302


def test_who_signs_up_by_the_link_has_verified_the_address(
    invite: Invite, workspace: Workspace, client: Client
) -> None:
    link = invite("dana@example.com", Role.VIEWER)
    before = client.get(link)
    assert not client.session.get(invitations.SESSION_KEY)
    assert before.status_code == 200
    answer = client.post(link)
    assert answer["Location"].startswith("/accounts/signup/?next=")
    form = {"email": "dana@example.com", "password1": PASSWORD, "password2": PASSWORD}
    answer = client.post(answer["Location"], form)
    assert answer["Location"] == link
    dana = User.objects.get(email="dana@example.com")
    assert EmailAddress.objects.get(user=dana, verified=True).email == "dana@example.com"
    assert client.post(link).status_code == 302
    assert _roles(workspace)["dana@example.com"] == Role.VIEWER


def test_a_link_that_is_old_withdrawn_or_replaced_opens_nothing(
    invite: Invite,
    team: Team,
    client: Client,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    alice, bob, workspace = team.alice, team.bob, team.workspace
    _verify(bob)
    client.force_login(bob)

    def row() -> Invitation:
        return Invitation.objects.get(workspace=workspace)

    def resend() -> None:
        with django_capture_on_commit_callbacks(execute=True):
            actions.resend(alice, workspace=workspace.pk, invitation=row().pk)

    seven_days = timedelta(days=7)
    link = invite()
    assert abs(row().expires_at - row().created_at - seven_days) < timedelta(seconds=1)
    answers = {_words(client.get("/invitations/t2vi_never-made"))}
    for ending in (
        resend,
        lambda: Invitation.objects.update(expires_at=Now()),
        lambda: invite("bob@example.com", Role.VIEWER),
        lambda: actions.withdraw(alice, workspace=workspace.pk, invitation=row().pk),
    ):
        ending()
        gone = client.get(link)
        assert gone.status_code == 404
        answers.add(_words(gone))
        assert client.post(link).status_code == 404
        link = _link(mail.outbox[-1]) if ending is resend else invite()
        assert client.get(link).status_code == 200
    assert len(answers) == 1  # nothing tells which it was
    assert "bob@example.com" not in _roles(workspace)


def test_inviting_tells_nobody_who_has_an_account(
    alice: User, bob: User, workspace: Workspace, client: Client
) -> None:
    client.force_login(alice)
    address = f"/api/v1/workspaces/{workspace.slug}/invitations"
    told = []
    for email in ("bob@example.com", "eve@example.com"):
        with CaptureQueriesContext(connection) as asked:
            answer = client.post(address, {"email": email}, content_type="application/json")
        body = answer.json()
        assert body.pop("email") == email
        told.append((answer.status_code, set(body), body["role"], len(asked)))
    assert told[0] == told[1]
    assert told[0][0] == 201


def test_who_may_invite_whom_and_how_many(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob, workspace = team.alice, team.bob, team.workspace

    def invites(user: User, email: str, role: Role = Role.VIEWER) -> None:
        actions.invite(user, workspace=workspace.pk, email=email, role=role)

    team.join(bob, Role.CREATOR)
    with pytest.raises(RoleTooLow):
        invites(bob, "dana@example.com")
    Membership.objects.filter(user=bob, workspace=workspace).update(role=Role.MANAGER)
    with pytest.raises(RoleTooLow):
        invites(bob, "dana@example.com", Role.OWNER)
    for bad in ("", "dana", "dana@example.com\nBcc: all@example.com", "bob@example.com"):
        with pytest.raises(BadFields):
            invites(alice, bad)
    monkeypatch.setattr(verbs, "MAX_INVITATIONS", 2)
    invites(bob, "dana@example.com")
    invites(bob, "DANA@example.com")  # the same one again
    invites(bob, "eve@example.com")
    with pytest.raises(TooManyInvitations):
        invites(alice, "frank@example.com")
    monkeypatch.setattr(verbs, "MAX_MAILS", 3)
    with pytest.raises(TooManyMails):
        invites(bob, "eve@example.com")
    invites(alice, "eve@example.com")  # who had one sent
    # Who manages no more has nobody waiting at the door.
    row = Membership.objects.get(user=bob, workspace=workspace)
    actions.set_role(alice, workspace=workspace.pk, member=row.pk, role=Role.CREATOR)
    assert list(Invitation.objects.values_list("email", flat=True)) == ["eve@example.com"]


def test_a_mail_that_nobody_took_stands_as_not_sent(
    invite: Invite, alice: User, client: Client, settings: LazySettings, workspace: Workspace
) -> None:
    client.force_login(alice)
    page = f"/settings/workspaces/{workspace.slug}/members"
    invite()
    assert "was not sent" not in client.get(page).content.decode()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9  # nobody listens there
    mail.outbox.clear()
    with pytest.raises(IndexError):  # there is no mail to find a link in
        invite("dana@example.com")
    assert "The mail was not sent" in client.get(page).content.decode()


def test_expired_invitations_are_forgotten(invite: Invite) -> None:
    invite()
    assert actions.forget_expired_invitations() == 0
    Invitation.objects.update(expires_at=Now())
    assert actions.forget_expired_invitations() == 1


@pytest.mark.parametrize("ends", ["set_role", "transfer", "by_a_query"])
def test_an_invitation_is_worth_what_its_inviter_may_give_when_it_is_accepted(
    ends: str, invite: Invite, team: Team, client: Client
) -> None:
    alice, bob, charlie, place = team.alice, team.bob, team.charlie, team.workspace.pk
    team.join(bob, Role.MANAGER if ends == "transfer" else Role.OWNER)
    _verify(charlie)
    link = invite("charlie@example.com", Role.OWNER)
    mine = team.row(alice)
    if ends == "set_role":
        actions.set_role(bob, workspace=place, member=mine.pk, role=Role.MANAGER)
    elif ends == "transfer":
        actions.transfer(alice, workspace=place, member=team.row(bob).pk)
    else:  # as a single sign-on may
        Membership.objects.filter(pk=mine.pk).update(role=Role.VIEWER)
    client.force_login(charlie)
    assert client.post(link).status_code == 404
    assert charlie.email not in _roles(team.workspace)


def test_a_pasted_list_invites_each_and_leaves_who_was_refused_in_the_field(
    team: Team, client: Client, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    team.join(team.bob, Role.VIEWER)
    page = f"/settings/workspaces/{team.workspace.slug}/members"
    client.force_login(team.alice)
    pasted = (
        "Dana Ng <dana@example.com>, eve@example.com;\nbob@example.com\neve@example.com no@where"
    )
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(page, {"email": pasted, "role": "viewer"})
    assert answer.status_code == 400
    waiting = Invitation.objects.filter(workspace=team.workspace).order_by("email")
    assert [row.email for row in waiting] == ["dana@example.com", "eve@example.com"]
    assert len(mail.outbox) == 2
    assert answer.context["form"]["email"].value().split() == ["bob@example.com", "no@where"]
    said = answer.content.decode()
    assert "bob@example.com: They are a member already." in said
    assert "no@where: Write an e-mail address" in said
    assert "2 invitations are on their way." in said
    many = " ".join(f"person{number}@example.com" for number in range(21))
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(page, {"email": many, "role": "viewer"})
    assert "invite at most 20 at once" in answer.content.decode()
    assert len(mail.outbox) == 2
