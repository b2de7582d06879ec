"""What somebody hostile tried by legal requests alone, and what must hold against it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.conf import LazySettings
from django.core import mail
from django.test import Client

from accounts import actions, invitations
from accounts.claims import Provider, parse_role_map
from accounts.errors import Refusal
from accounts.models import Invitation, User, Workspace
from accounts.roles import Role, Scope, SiteRole
from accounts.sso import configured
from accounts.tests.conftest import Team
from conftest import sign_in
from tests.provider.liar import Liar, lying

pytestmark = pytest.mark.django_db


# --- Invitations outlive no right ---


def _invited(actor: User, team: Team, email: str, role: Role, monkeypatch: Any) -> str:
    key = invitations.new_key()
    monkeypatch.setattr(invitations, "new_key", lambda: key)
    actions.invite(actor, workspace=team.workspace.pk, email=email, role=role)
    return key


@pytest.mark.parametrize("how", ["set_role", "transfer"])
def test_an_owner_who_is_none_any_more_has_no_owner_waiting_at_the_door(
    how: str, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, charlie, workspace = team.alice, team.bob, team.charlie, team.workspace
    team.join(bob, Role.OWNER if how == "set_role" else Role.MANAGER)
    EmailAddress.objects.create(user=charlie, email=charlie.email, verified=True, primary=True)
    key = _invited(alice, team, charlie.email, Role.OWNER, monkeypatch)
    if how == "set_role":
        mine = team.row(alice).pk
        actions.set_role(bob, workspace=workspace.pk, member=mine, role=Role.MANAGER)
    else:
        actions.transfer(alice, workspace=workspace.pk, member=team.row(bob).pk)
    with pytest.raises(Refusal):
        actions.accept(charlie, key)


def test_a_workspace_is_not_handed_to_an_account_that_is_closed(team: Team) -> None:
    team.join(team.bob, Role.MANAGER)
    User.objects.filter(pk=team.bob.pk).update(is_active=False)
    with pytest.raises(Refusal):
        actions.transfer(team.alice, workspace=team.workspace.pk, member=team.row(team.bob).pk)


def test_a_workspace_is_not_handed_over_by_a_session_that_is_not_fresh(
    team: Team, client: Client
) -> None:
    team.join(team.bob, Role.MANAGER)
    client.force_login(team.alice)  # some time ago
    where = f"/api/v1/workspaces/{team.workspace.slug}/transfer"
    given = {"member": team.row(team.bob).pk}
    answer = client.post(where, given, content_type="application/json")
    assert answer.status_code == 403
    assert team.row(team.alice).role == Role.OWNER


def test_no_button_hands_a_workspace_over_or_ends_it_in_a_session_that_is_not_fresh(
    team: Team, client: Client
) -> None:
    team.join(team.bob, Role.MANAGER)
    place, theirs = f"/settings/workspaces/{team.workspace.slug}", team.row(team.bob).pk
    client.force_login(team.alice)  # some time ago
    for where, sent in (
        (f"{place}/delete", {}),
        (f"{place}/transfer", {"member": theirs}),
        (f"{place}/members/{theirs}/role", {"role": "owner"}),
    ):
        assert "/reauthenticate/" in client.post(where, sent)["Location"], where
    assert team.row(team.bob).role == Role.MANAGER
    sign_in(client, team.alice)
    client.post(f"{place}/members/{theirs}/role", {"role": "owner"})
    assert team.row(team.bob).role == Role.OWNER


# --- Tokens ---


def test_a_token_of_before_they_operated_operates_nothing_without_a_second_factor(
    bob: User, ada: User, settings: LazySettings
) -> None:
    settings.T2V_REQUIRE_MFA = True
    _, token = actions.issue_token(bob, name="mine", scopes=list(Scope))
    actions.set_site_role(bob.pk, SiteRole.OPERATOR, by=ada, reason="x")
    client = Client(headers={"authorization": f"Bearer {token}"})
    assert client.get("/api/v1/workers").status_code == 403


def test_the_same_key_by_tokens_of_two_workspaces_is_two_requests(bob: User, team: Team) -> None:
    own = next(iter(bob.memberships))
    team.join(bob, Role.CREATOR)
    bob.__dict__.pop("memberships", None)

    slugs = []
    for where in (own, team.workspace.pk):
        place = Workspace.objects.get(pk=where)
        _, token = actions.issue_token(bob, name="x", scopes=[Scope.JOBS_WRITE], workspace=place)
        client = Client(headers={"authorization": f"Bearer {token}", "idempotency-key": "k"})
        answer = client.post(
            "/api/v1/jobs", {"prompt": "a red circle"}, content_type="application/json"
        )
        assert answer.status_code == 201, answer.content
        slugs.append((place.slug, answer.json()["workspace"]))
    assert all(wanted == got for wanted, got in slugs), slugs


# --- Signing up by an invitation ---


def test_a_link_opens_the_sign_up_for_its_own_address_alone(
    team: Team, client: Client, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.T2V_SIGNUP = "invited"
    key = _invited(team.alice, team, "dana@example.com", Role.VIEWER, monkeypatch)
    assert client.post(f"/invitations/{key}").status_code == 302
    word = "a long and strange word"
    client.post(
        "/accounts/signup/", {"email": "evil@example.com", "password1": word, "password2": word}
    )
    assert not User.objects.filter(email="evil@example.com").exists()


def test_a_link_that_was_withdrawn_opens_no_sign_up(
    team: Team, client: Client, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.T2V_SIGNUP = "invited"
    key = _invited(team.alice, team, "dana@example.com", Role.VIEWER, monkeypatch)
    assert client.post(f"/invitations/{key}").status_code == 302
    Invitation.objects.all().delete()
    word = "a long and strange word"
    client.post(
        "/accounts/signup/", {"email": "dana@example.com", "password1": word, "password2": word}
    )
    assert not User.objects.filter(email="dana@example.com").exists()


# --- Single sign-on ---


@pytest.fixture(scope="module")
def started() -> Iterator[Liar]:
    with lying() as liar:
        yield liar


@pytest.fixture
def liar(started: Liar, settings: LazySettings) -> Liar:
    started.honest()
    settings.T2V_OIDC = Provider(
        issuer=started.issuer,
        client_id="t2v",
        client_secret="a secret",
        name="Example login",
        domains=frozenset({"example.com"}),
        claim="groups",
        grants=parse_role_map("admins=administrator,ops=operator"),
        only=False,
    )
    settings.SOCIALACCOUNT_PROVIDERS = settings.T2V_OIDC.for_allauth()
    return started


def _come(liar: Liar, client: Client) -> Any:
    where = client.post("/accounts/sso/login/")["Location"]
    asked = {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}
    liar.nonce = asked["nonce"]
    return client.get("/accounts/sso/callback/", {"code": "x", "state": asked["state"]})


def test_nobody_comes_into_an_account_that_only_claims_their_address(
    liar: Liar, charlie: User, client: Client
) -> None:
    """Charlie has said that the boss's address is his new one, and has verified nothing."""
    EmailAddress.objects.create(user=charlie, email=charlie.email, verified=True, primary=True)
    evil = Client()
    sign_in(evil, charlie)
    evil.post("/accounts/email/", {"email": "boss@example.com", "action_add": ""})
    assert EmailAddress.objects.filter(user=charlie, email="boss@example.com").exists()
    liar.person |= {"sub": "boss", "email": "boss@example.com", "groups": ["admins"]}
    _come(liar, client)
    charlie.refresh_from_db()
    assert charlie.role == SiteRole.MEMBER
    assert client.session.get("_auth_user_id") != str(charlie.pk)


def test_the_last_administrator_stays_one_whatever_the_provider_says(
    liar: Liar, ada: User, client: Client
) -> None:
    EmailAddress.objects.create(user=ada, email=ada.email, verified=True, primary=True)
    liar.person |= {"sub": "ada", "email": "ada@example.com", "groups": []}
    _come(liar, client)
    assert client.session.get("_auth_user_id") == str(ada.pk)
    ada.refresh_from_db()
    assert ada.role == SiteRole.ADMINISTRATOR


# --- Second factors ---


def test_a_session_of_before_the_second_factor_gets_no_recovery_codes_by_a_password(
    olga: User, client: Client, settings: LazySettings
) -> None:
    """Whoever has the password and came in before it was set up must not get around it."""
    settings.T2V_REQUIRE_MFA = True
    sign_in(client, olga, "password")
    TOTP.activate(olga, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    page = client.post("/accounts/2fa/recovery-codes/generate/")
    assert not Authenticator.objects.filter(
        user=olga, type=Authenticator.Type.RECOVERY_CODES
    ).exists(), page


@pytest.mark.parametrize("theirs", ["boss@kıno.example", "boſs@kino.example"])
def test_an_address_that_only_looks_alike_in_upper_case_is_another(
    theirs: str, liar: Liar, charlie: User, client: Client, settings: LazySettings
) -> None:
    """Charlie owns that domain, and has verified the address: for Postgres' UPPER the boss's."""
    settings.T2V_OIDC = replace(configured(), domains=frozenset({"kino.example"}))
    EmailAddress.objects.create(user=charlie, email=theirs, verified=True, primary=True)
    liar.person |= {"sub": "boss", "email": "boss@kino.example", "groups": ["admins"]}
    _come(liar, client)
    charlie.refresh_from_db()
    assert charlie.role == SiteRole.MEMBER
    assert client.session.get("_auth_user_id") != str(charlie.pk)


def test_an_invitation_is_for_no_address_that_only_looks_alike_in_upper_case(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    EmailAddress.objects.create(
        user=team.charlie, email="dana@kıno.example", verified=True, primary=True
    )
    key = _invited(team.alice, team, "dana@kino.example", Role.OWNER, monkeypatch)
    with pytest.raises(Refusal):
        actions.accept(team.charlie, key)


# --- Addresses that somebody only claims ---


@pytest.fixture
def claimed(charlie: User) -> str:
    """Charlie has said that this is his new address, and has verified nothing."""
    EmailAddress.objects.create(user=charlie, email=charlie.email, verified=True, primary=True)
    EmailAddress.objects.create(user=charlie, email="dana@example.com", verified=False)
    return "dana@example.com"


def test_who_is_invited_signs_up_though_somebody_else_claims_the_address(
    claimed: str, team: Team, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = _invited(team.alice, team, claimed, Role.CREATOR, monkeypatch)
    where = client.post(f"/invitations/{key}")["Location"]
    word = "a long and strange word"
    client.post(where, {"email": claimed, "password1": word, "password2": word})
    assert User.objects.filter(email=claimed).exists()


def test_no_reset_leads_into_an_account_that_only_claims_the_address(
    claimed: str, charlie: User, client: Client
) -> None:
    client.post("/accounts/password/reset/", {"email": claimed})
    assert not [each for each in mail.outbox if "/reset/key/" in str(each.body)]
