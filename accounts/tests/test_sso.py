"""Single sign-on, against a real provider in a process of its own: who comes in, as whom."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount
from django.conf import LazySettings
from django.test import Client

from accounts import actions
from accounts.claims import BadRoleMap, identity, mapped, parse_role_map, values_of
from accounts.claims import Provider as Known
from accounts.models import AuditEntry, Membership, User, Workspace
from accounts.roles import Role, SiteRole
from conftest import PASSWORD, sign_in
from tests.provider.process import CLIENT, SECRET, Provider, running

pytestmark = pytest.mark.django_db
BEGIN, BACK = "/accounts/sso/login/", "/accounts/sso/callback/"
GRANTS = "admins=administrator,ops=operator,artists=studio:creator,leads=studio:manager"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    callback = f"http://127.0.0.1:8000{BACK}"
    with running(tmp_path_factory.mktemp("provider"), callback) as started:
        yield started


Configure = Callable[..., None]


@pytest.fixture
def configure(provider: Provider, settings: LazySettings) -> Configure:
    """Sets T2V_OIDC_*."""

    def _configure(*domains: str, only: bool = False, issuer: str = provider.issuer) -> None:
        settings.T2V_OIDC = Known(
            issuer=issuer,
            client_id=CLIENT,
            client_secret=SECRET,
            name="Example login",
            domains=frozenset(domains),
            claim="groups",
            grants=parse_role_map(GRANTS),
            only=only,
        )
        settings.SOCIALACCOUNT_PROVIDERS = settings.T2V_OIDC.for_allauth()

    settings.BASE_URL = "http://127.0.0.1:8000"
    _configure()
    return _configure


@pytest.fixture
def come(provider: Provider, configure: Configure) -> Callable[..., Any]:
    """Signs somebody in through the provider; the last answer of ours."""

    def _come(email: str, client: Client | None = None, **form: str) -> Any:
        client = client or Client()
        question = client.post(BEGIN, form)["Location"]
        back = urlsplit(provider.send_back(question, email))
        return client.get(f"{back.path}?{back.query}")

    return _come


def is_in(client: Client, email: str) -> bool:
    page = client.get("/settings/security")
    return page.status_code == 200 and email in page.content.decode()


def test_somebody_new_comes_in_with_a_password_nowhere_and_an_account_here(
    come: Callable[..., Any], client: Client, settings: LazySettings
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.T2V_SIGNUP = "invited"
    assert come("new@example.com", client, next="/settings/tokens")["Location"] == (
        "/settings/tokens"
    )
    assert is_in(client, "new@example.com")
    user = User.objects.get(email="new@example.com")
    assert not user.has_usable_password()
    assert EmailAddress.objects.get(user=user).verified
    assert list(user.memberships.values()) == [Role.OWNER]
    assert AuditEntry.objects.filter(verb="signin.succeeded", actor_id=user.pk).count() == 1


def test_the_question_is_asked_with_pkce_and_a_nonce_and_nothing_of_the_callers(
    configure: Configure, client: Client
) -> None:
    where = f"{BEGIN}?scope=offline_access&auth_params=redirect_uri%3Dhttps%3A%2F%2Fevil.example"
    asked = parse_qs(urlsplit(client.post(where)["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"http://127.0.0.1:8000{BACK}"]
    assert set(asked["scope"][0].split()) == {"openid", "profile", "email"}
    assert len(asked["nonce"][0]) >= 32
    assert client.get(BEGIN).status_code == 200  # a link signs nobody in


def test_an_identity_is_the_issuers_subject_whatever_becomes_of_the_address(
    come: Callable[..., Any], provider: Provider, client: Client
) -> None:
    come("new@example.com", client)
    known = SocialAccount.objects.get()
    assert known.uid == identity(provider.issuer, known.extra_data["sub"])
    assert identity("https://other.example", known.extra_data["sub"]) != known.uid
    User.objects.update(email="renamed@example.com")
    EmailAddress.objects.update(email="renamed@example.com")
    assert is_in(client, "renamed@example.com")
    again = Client()
    come("new@example.com", again)
    assert is_in(again, "renamed@example.com")
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("email", "domains", "signup", "words"),
    [
        ("unverified@example.com", (), "open", "not verified"),
        ("mallory@elsewhere.example", ("example.com",), "open", "may not come in"),
        ("unverified@example.com", ("example.com",), "open", "not verified"),
        ("new@example.com", (), "closed", "by invitation"),
        ("alice@example.com", (), "open", "You have an account already"),
    ],
)
def test_who_may_not_come_in_reads_why(  # noqa: PLR0917 - a row of the table, and the stage
    email: str,
    domains: tuple[str, ...],
    signup: str,
    words: str,
    alice: User,
    come: Callable[..., Any],
    configure: Configure,
    settings: LazySettings,
    client: Client,
) -> None:
    configure(*domains)
    settings.T2V_SIGNUP = signup
    page = come(email, client)
    assert words in page.content.decode()
    assert not is_in(client, email)
    assert User.objects.count() == 1


def test_a_known_domain_leads_to_the_account_of_the_address_once(
    alice: User, come: Callable[..., Any], configure: Configure, client: Client
) -> None:
    """Whoever signed up with the address and never verified it is out then."""
    configure("example.com")
    squatter = Client()
    EmailAddress.objects.create(user=alice, email=alice.email, verified=False, primary=True)
    sign_in(squatter, alice)
    come("alice@example.com", client)
    assert is_in(client, "alice@example.com")
    assert User.objects.count() == 1
    assert not is_in(squatter, "alice@example.com")
    alice.refresh_from_db()
    assert not alice.check_password(PASSWORD)
    assert SocialAccount.objects.get().user == alice


@pytest.mark.parametrize("domains", [(), ("example.com",)])
def test_who_only_began_to_change_to_an_address_gets_nothing_of_its_owners(  # noqa: PLR0917
    domains: tuple[str, ...],
    charlie: User,
    provider: Provider,
    come: Callable[..., Any],
    configure: Configure,
    client: Client,
) -> None:
    configure(*domains)
    thief = Client()
    sign_in(thief, charlie)
    EmailAddress.objects.create(user=charlie, email=charlie.email, verified=True, primary=True)
    thief.post("/accounts/email/", {"email": "new@example.com", "action_add": ""})
    assert EmailAddress.objects.filter(user=charlie, email="new@example.com").exists()
    provider.set_groups("new@example.com", "admins")
    come("new@example.com", client)
    provider.set_groups("new@example.com")
    boss = User.objects.get(email="new@example.com")
    assert boss.site_role is SiteRole.ADMINISTRATOR
    assert User.objects.get(pk=charlie.pk).site_role is SiteRole.MEMBER
    assert not EmailAddress.objects.filter(user=charlie, email="new@example.com").exists()
    assert is_in(thief, charlie.email)


def test_an_address_that_only_looks_alike_leads_nowhere(
    charlie: User, come: Callable[..., Any], configure: Configure, client: Client
) -> None:
    """To Postgres' UPPER() the letter ı is an I, as i is."""
    configure("example.com")
    alike = "al\u0131ce@example.com"
    User.objects.filter(pk=charlie.pk).update(email=alike)
    EmailAddress.objects.create(user=charlie, email=alike, verified=True, primary=True)
    come("alice@example.com", client)
    assert is_in(client, "alice@example.com")
    assert not SocialAccount.objects.filter(user=charlie).exists()


def test_who_had_an_account_of_an_address_that_they_never_verified_is_out(
    alice: User, come: Callable[..., Any], configure: Configure, client: Client
) -> None:
    configure("example.com")
    EmailAddress.objects.create(user=alice, email=alice.email, verified=False, primary=True)
    EmailAddress.objects.create(user=alice, email="thief@example.net", verified=True)
    _, token = actions.issue_token(alice, name="x", scopes=["jobs:read"])
    TOTP.activate(alice, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    come("alice@example.com", client)
    assert is_in(client, "alice@example.com")
    headers = {"Authorization": f"Bearer {token}"}
    assert Client().get("/api/v1/me", headers=headers).status_code == 401
    known = EmailAddress.objects.filter(user=alice)
    assert [(each.email, each.verified) for each in known] == [("alice@example.com", True)]


def test_its_owner_connects_an_account(
    alice: User, bob: User, come: Callable[..., Any], client: Client
) -> None:
    sign_in(client, alice)
    come("alice@example.com", client, process="connect")
    assert SocialAccount.objects.get().user == alice
    fresh = Client()
    come("alice@example.com", fresh)
    assert is_in(fresh, "alice@example.com")
    other = Client()
    sign_in(other, bob)
    come("alice@example.com", other, process="connect")
    assert SocialAccount.objects.get().user == alice
    assert is_in(other, "bob@example.com")
    page = client.get("/accounts/3rdparty/").content.decode()
    assert "Disconnect" in page


def test_a_second_factor_here_is_asked_after_the_provider(
    alice: User, come: Callable[..., Any], client: Client
) -> None:
    sign_in(client, alice)
    come("alice@example.com", client, process="connect")
    TOTP.activate(alice, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    fresh = Client()
    assert come("alice@example.com", fresh)["Location"] == "/accounts/2fa/authenticate/"
    assert not is_in(fresh, "alice@example.com")


def test_who_has_neither_password_nor_second_factor_shows_once_more_there_who_they_are(
    come: Callable[..., Any], client: Client
) -> None:
    come("new@example.com", client)
    session = client.session
    records = session["account_authentication_methods"]
    session["account_authentication_methods"] = [{**records[0], "at": records[0]["at"] - 301}]
    session.save()
    given = {"name": "x", "scopes": ["jobs:read"]}
    where = client.post("/settings/tokens", given)["Location"]
    assert where == f"{BEGIN}?next=%2Fsettings%2Ftokens"
    assert b"Continue" in client.get(where).content
    assert "prompt=login" in client.post(where)["Location"]
    assert come("new@example.com", client, next="/settings/tokens")["Location"] == (
        "/settings/tokens"
    )
    assert client.post("/settings/tokens", given).status_code == 201


def test_roles_come_and_go_with_the_claim_at_every_sign_in(
    alice: User, ada: User, provider: Provider, come: Callable[..., Any]
) -> None:
    studio = actions.open_workspace(alice, "Studio", slug="studio")
    elsewhere = actions.open_workspace(alice, "Elsewhere")
    for groups, site, role in (
        (["ops", "artists"], SiteRole.OPERATOR, Role.CREATOR),
        (["admins", "ops", "leads", "artists"], SiteRole.ADMINISTRATOR, Role.MANAGER),
        (["artists"], SiteRole.MEMBER, Role.CREATOR),
        ([], SiteRole.MEMBER, None),
    ):
        provider.set_groups("new@example.com", *groups)
        come("new@example.com")
        user = User.objects.get(email="new@example.com")
        assert (user.site_role, user.is_staff) == (site, site is not SiteRole.MEMBER)
        assert user.memberships.get(studio.pk) == role
        assert elsewhere.pk not in user.memberships
        assert len(user.memberships) == (1 if role is None else 2)
    verbs = AuditEntry.objects.filter(subject="new@example.com").values_list("verb", flat=True)
    wanted = {"user.role_changed", "member.role_changed", "member.joined", "member.removed"}
    assert wanted <= set(verbs)


def test_the_last_owner_of_a_workspace_stays_one(
    alice: User, bob: User, come: Callable[..., Any], client: Client
) -> None:
    studio = actions.open_workspace(alice, "Studio", slug="studio")
    sign_in(client, alice)
    come("alice@example.com", client, process="connect")
    come("alice@example.com")
    assert Membership.objects.get(workspace=studio, user=alice).role == Role.OWNER
    Membership.objects.create(workspace=studio, user=bob, role=Role.OWNER)
    come("alice@example.com")
    assert not Membership.objects.filter(workspace=studio, user=alice).exists()
    assert Workspace.objects.filter(slug="studio").exists()


def test_the_last_administrator_of_the_site_stays_one(
    ada: User, alice: User, come: Callable[..., Any], client: Client
) -> None:
    User.objects.filter(pk=ada.pk).update(role=SiteRole.MEMBER, is_staff=False)
    User.objects.filter(pk=alice.pk).update(role=SiteRole.ADMINISTRATOR, is_staff=True)
    sign_in(client, alice)
    come("alice@example.com", client, process="connect")
    come("alice@example.com")
    assert User.objects.get(pk=alice.pk).site_role is SiteRole.ADMINISTRATOR
    User.objects.filter(pk=ada.pk).update(role=SiteRole.ADMINISTRATOR)
    come("alice@example.com")
    assert User.objects.get(pk=alice.pk).site_role is SiteRole.MEMBER


def test_where_the_provider_is_the_only_way_no_password_opens_anything(
    alice: User, come: Callable[..., Any], configure: Configure, client: Client
) -> None:
    configure(only=True)
    page = client.get("/accounts/login/").content.decode()
    assert "Example login" in page
    assert "password" not in page.lower()
    page = client.post(
        "/accounts/login/", {"login": "alice@example.com", "password": PASSWORD}
    ).content.decode()
    assert not is_in(client, "alice@example.com")
    body = {"email": "alice@example.com", "password": PASSWORD}
    login = "/_allauth/app/v1/auth/login"
    assert client.post(login, body, content_type="application/json").status_code == 400
    given = {"email": "n@example.com", "password1": PASSWORD, "password2": PASSWORD}
    client.post("/accounts/signup/", given)
    assert User.objects.count() == 1
    come("new@example.com", client)
    assert is_in(client, "new@example.com")


def test_without_a_provider_there_is_no_page_for_one(client: Client) -> None:
    for where in (BEGIN, BACK):
        assert client.get(where).status_code == 404


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ops", "must look like"),
        ("=operator", "must look like"),
        ("ops=boss", "none of member, operator, administrator"),
        ("ops=studio:boss", "none of viewer, creator, manager, owner"),
        ("ops=The Studio:viewer", "not the slug"),
    ],
)
def test_a_map_of_roles_that_cannot_be_used_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(BadRoleMap, match=complaint):
        parse_role_map(text)


def test_the_claim_may_lie_deep_and_the_highest_role_counts() -> None:
    grants = parse_role_map("a=operator, b=administrator, c=studio:viewer, d=studio:owner")
    claims = {"realm_access": {"roles": ["a", "c", 7]}, "groups": "a", "x.y": ["dotted"]}
    assert values_of(claims, "realm_access.roles") == {"a", "c"}
    assert values_of(claims, "groups") == {"a"}
    assert values_of(claims, "x.y") == {"dotted"}
    assert values_of(claims, "realm_access.none.deeper") == frozenset()
    both = mapped(grants, frozenset({"a", "b", "c", "d"}))
    assert (both.site, both.workspaces) == (SiteRole.ADMINISTRATOR, {"studio": Role.OWNER})
    none = mapped(grants, frozenset())
    assert (none.site, none.workspaces) == (SiteRole.MEMBER, {"studio": None})
    assert mapped((), frozenset({"a"})).site is None
