"""Signing in: passwords, second factors, who must have one, and what asks again who one is."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from allauth.core.internal import ratelimit
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, hotp_value
from django.conf import LazySettings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts import actions
from accounts.errors import BadFields
from accounts.models import AuditEntry, Invitation, User, Workspace
from accounts.roles import Role, Scope
from accounts.sessions import Credential, user_of
from conftest import PASSWORD, sign_in

pytestmark = pytest.mark.django_db
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NOW = 1_795_000_000  # seconds; the clock of tests that read a code
LOGIN = "/accounts/login/"


def log_in(client: Client, email: str, password: str = PASSWORD, **more: Any) -> Any:
    return client.post(LOGIN, {"login": email, "password": password}, **more)


def is_in(client: Client) -> bool:
    return client.get("/settings/security").status_code == 200


def code_at(seconds: float) -> str:
    return f"{hotp_value(SECRET, int(seconds) // 30):06}"


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one with each Argon2, which is what a sign-in takes its time for."""
    seen: list[str] = []
    for name in ("encode", "verify"):
        real = getattr(Argon2PasswordHasher, name)

        def counted(self: Any, *given: Any, _real: Any = real, _name: str = name) -> Any:
            seen.append(_name)
            return _real(self, *given)

        monkeypatch.setattr(Argon2PasswordHasher, name, counted)
    return seen


@pytest.fixture
def quick(settings: LazySettings) -> None:
    """Many wrong passwords, without an Argon2 for each."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def strict(settings: LazySettings) -> None:
    """As in production."""
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.T2V_REQUIRE_MFA = True


# --- Passwords ---


@pytest.mark.parametrize(
    ("password", "complaint"),
    [
        ("elevenchars", "at least 12 characters"),
        ("administrator", "too common"),
        ("somebody@example.com", "too similar"),
        ("twelve chars", ""),
        ("x" * 40 + "é 🎬 " * 20, ""),
    ],
)
def test_a_password_is_long_and_not_common_and_nothing_else(
    password: str, complaint: str, client: Client
) -> None:
    given = {"email": "somebody@example.com", "password1": password, "password2": password}
    page = client.post("/accounts/signup/", given)
    assert page.status_code == (200 if complaint else 302)
    assert complaint in page.content.decode()


def test_a_wrong_password_takes_the_same_work_whether_or_not_there_is_an_account(
    alice: User, client: Client, hashes: list[str]
) -> None:
    answers = []
    for email in ("alice@example.com", "nobody@example.com"):
        hashes.clear()
        page = log_in(client, email, "not this one either")
        words = re.sub(r'value="[^"]*"', "", page.content.decode())
        answers.append((page.status_code, len(hashes), words))
    assert answers[0] == answers[1]
    assert answers[0][1] == 1


@pytest.mark.usefixtures("strict")
def test_signing_up_tells_nobody_who_has_an_account(
    alice: User, client: Client, hashes: list[str]
) -> None:
    seen, addresses = [], []
    for email in ("alice@example.com", "new@example.com"):
        hashes.clear()
        given = {"email": email, "password1": PASSWORD + "!", "password2": PASSWORD + "!"}
        answer = Client().post("/accounts/signup/", given)
        seen.append((answer.status_code, answer["Location"], len(hashes)))
        addresses.append(mail.outbox[-1].to)
    assert seen[0] == seen[1] == (302, "/accounts/confirm-email/", 1)
    assert addresses == [["alice@example.com"], ["new@example.com"]]


@pytest.mark.parametrize(
    ("mode", "invited", "opens"),
    [
        ("open", False, True),
        ("invited", False, False),
        ("invited", True, True),
        ("closed", True, False),
    ],
)
def test_who_may_sign_up_is_a_setting(  # noqa: PLR0917 - a row of the table, and the stage
    mode: str,
    invited: bool,
    opens: bool,
    settings: LazySettings,
    client: Client,
    workspace: Workspace,
    alice: User,
) -> None:
    settings.T2V_SIGNUP = mode
    if invited:
        Invitation.objects.create(
            workspace=workspace,
            email="new@example.com",
            role=Role.CREATOR,
            digest="its digest",
            invited_by=alice,
            expires_at=Now() + timedelta(days=1),
        )
        session = client.session
        session["invitation"] = "its digest"
        session.save()
    given = {"email": "other@example.com", "password1": PASSWORD, "password2": PASSWORD}
    page = client.post("/accounts/signup/", given)
    assert User.objects.filter(email="other@example.com").exists() is (mode == "open")
    if mode == "invited" and invited:
        assert b"The invitation is for new@example.com" in page.content
    client.cookies.clear() if mode == "open" else None
    given = {"email": "new@example.com", "password1": PASSWORD, "password2": PASSWORD}
    client.post("/accounts/signup/", given)
    headless = {"email": "newer@example.com", "password": PASSWORD}
    Client().post("/_allauth/app/v1/auth/signup", headless, content_type="application/json")
    assert User.objects.filter(email="new@example.com").exists() is opens
    assert User.objects.filter(email="newer@example.com").exists() is (mode == "open")


@pytest.mark.usefixtures("strict")
def test_nobody_comes_in_before_the_address_is_verified(alice: User, client: Client) -> None:
    assert log_in(client, "alice@example.com")["Location"] == "/accounts/confirm-email/"
    assert not is_in(client)
    link = re.search(r"http\S+(/accounts/confirm-email/\S+)", str(mail.outbox[-1].body))
    assert link
    client.post(link[1])
    log_in(client, "alice@example.com")
    assert is_in(client)


def test_a_reset_ends_all_sessions_signs_nobody_in_and_leaves_the_second_factor(
    alice: User, client: Client
) -> None:
    TOTP.activate(alice, SECRET)
    elsewhere = Client()
    sign_in(elsewhere, alice)
    held = Credential(alice.pk, str(elsewhere.session.session_key))
    assert user_of(held)
    client.post("/accounts/password/reset/", {"email": "alice@example.com"})
    link = re.search(r"http\S+(/accounts/password/reset/key/\S+)", str(mail.outbox[-1].body))
    assert link
    form = client.get(link[1])["Location"]
    fresh = "an entirely new one"
    client.post(form, {"password1": fresh, "password2": fresh})
    assert not is_in(client)
    assert not is_in(elsewhere)
    assert user_of(held) is None
    assert log_in(client, "alice@example.com", fresh)["Location"] == "/accounts/2fa/authenticate/"
    assert not is_in(client)
    assert client.get(form).status_code == 200  # the link was used
    assert b"is good no more" in client.get(link[1], follow=True).content


# --- Limits ---


@pytest.mark.usefixtures("quick")
def test_after_five_wrong_passwords_the_right_one_is_refused_whoever_sends_it(
    settings: LazySettings, client: Client
) -> None:
    User.objects.create_user("alice@example.com", PASSWORD)
    for number in range(5):
        forged = {"X-Forwarded-For": f"203.0.113.{number}"}
        assert log_in(client, "alice@example.com", "wrong", headers=forged).status_code == 200
    elsewhere = Client(REMOTE_ADDR="198.51.100.7")
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "another.example.com"]
    for host in ("testserver", "another.example.com"):
        page = log_in(elsewhere, "ALICE@example.com", headers={"Host": host})
        assert b"Too many failed login attempts" in page.content
    body = {"email": "alice@example.com", "password": PASSWORD}
    program = elsewhere.post("/_allauth/app/v1/auth/login", body, content_type="application/json")
    assert program.status_code == 400
    assert program.json()["errors"][0]["code"] == "too_many_login_attempts"


@pytest.fixture
def counted_anew(transactional_db: None) -> Iterator[None]:
    """The counts are no model's, so nobody empties their table after a test that commits."""
    cache.clear()
    yield
    cache.clear()


@pytest.mark.usefixtures("quick", "counted_anew")
def test_of_twelve_at_once_five_are_tried_and_all_processes_count_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Who waits a second for the count is turned away as well, and has used up the address's.
    for name in ("CACHE_LOCK_WAIT_TIMEOUT", "CACHE_LOCK_TIMEOUT"):
        monkeypatch.setattr(ratelimit, name, 100)
    User.objects.create_user("alice@example.com", PASSWORD)

    def wrong(_: int) -> None:
        try:
            log_in(Client(), "alice@example.com", "wrong")
        finally:
            connection.close()

    def tried() -> int:
        return AuditEntry.objects.filter(verb="signin.failed").count()

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(wrong, range(12)))
    assert tried() == 5
    for _ in range(5):
        wrong(0)
    assert tried() == 5
    with connection.cursor() as cursor:  # where each process looks
        cursor.execute("SELECT count(*) FROM accounts_cache WHERE cache_key LIKE '%login_failed%'")
        assert cursor.fetchone() == (2,)  # the address's and the account's


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("proxies", "where", "told_apart"),
    [
        (0, "{0}", False),  # no proxy of ours: anybody can write the header
        (1, "{0}", True),
        (1, "{0}, 192.0.2.1", False),  # what stands before our proxy's own entry is the caller's
        (2, "{0}, 192.0.2.1", True),
        (3, "{0}", False),  # it came past our proxies
    ],
)
def test_ten_a_minute_are_counted_by_the_address_that_our_own_proxy_saw(
    proxies: int, where: str, told_apart: bool, settings: LazySettings, client: Client
) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    for number in range(10):
        header = {"X-Forwarded-For": where.format("203.0.113.1")}
        page = log_in(client, f"nobody{number}@example.com", "wrong", headers=header)
        assert b"Too many" not in page.content
    header = {"X-Forwarded-For": where.format("203.0.113.2")}
    page = log_in(client, "nobody10@example.com", "wrong", headers=header)
    assert (b"Too many" not in page.content) is told_apart


# --- Second factors ---


def test_a_code_signs_in_once(alice: User) -> None:
    TOTP.activate(alice, SECRET)
    one, other = Client(), Client()
    with time_machine.travel(NOW, tick=False):
        for client in (one, other):
            log_in(client, "alice@example.com")
            client.post("/accounts/2fa/authenticate/", {"code": code_at(NOW)})
        assert (is_in(one), is_in(other)) == (True, False)
    with time_machine.travel(NOW + 30, tick=False):
        other.post("/accounts/2fa/authenticate/", {"code": code_at(NOW)})
        assert not is_in(other)
        other.post("/accounts/2fa/authenticate/", {"code": code_at(NOW + 30)})
        assert is_in(other)


def test_a_recovery_code_signs_in_once(alice: User) -> None:
    TOTP.activate(alice, SECRET)
    code = RecoveryCodes.activate(alice).get_unused_codes()[0]
    one, other = Client(), Client()
    for client in (one, other):
        log_in(client, "alice@example.com")
        client.post("/accounts/2fa/authenticate/", {"code": code})
    assert (is_in(one), is_in(other)) == (True, False)


def test_five_wrong_codes_are_enough(alice: User, client: Client) -> None:
    TOTP.activate(alice, SECRET)
    log_in(client, "alice@example.com")
    for _ in range(5):
        client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    page = client.post("/accounts/2fa/authenticate/", {"code": code_at(time.time())})
    assert b"Too many failed login attempts" in page.content


def test_the_secret_of_a_second_factor_is_not_in_the_database(alice: User) -> None:
    factor = TOTP.activate(alice, SECRET).instance
    factor.refresh_from_db()
    assert SECRET not in str(factor.data)
    with time_machine.travel(NOW, tick=False):
        assert factor.wrap().validate_code(code_at(NOW))


# --- Operators ---


def program(client: Client, email: str) -> dict[str, str]:
    """The header of somebody who signs in as a program does."""
    body = {"email": email, "password": PASSWORD}
    where = "/_allauth/app/v1/auth"
    answer = client.post(f"{where}/login", body, content_type="application/json")
    if answer.status_code == 401:
        answer = client.post(
            f"{where}/2fa/authenticate",
            {"code": code_at(time.time())},
            content_type="application/json",
            headers={"X-Session-Token": answer.json()["meta"]["session_token"]},
        )
    assert answer.status_code == 200, answer.json()
    return {"Authorization": f"Bearer {answer.json()['meta']['access_token']}"}


@pytest.mark.usefixtures("strict")
def test_an_operator_without_a_second_factor_has_no_rights_of_one(
    olga: User, client: Client
) -> None:
    EmailAddress.objects.create(user=olga, email=olga.email, verified=True, primary=True)
    log_in(client, olga.email)
    assert client.get("/admin/")["Location"] == "/settings/security"
    assert b"needs a second factor" in client.get("/settings/security").content
    for asked in (client.get("/api/v1/workers"), _with(program(Client(), olga.email))):
        assert (asked.status_code, asked.json()["code"]) == (403, "second_factor_needed")
    assert client.get("/api/v1/me").json()["scopes"] == ["jobs:read", "jobs:write"]
    assert client.get("/queue")["Location"] == "/settings/security"
    live = user_of(Credential(olga.pk, str(client.session.session_key)))
    assert live
    assert Scope.ADMIN not in live.scopes
    with pytest.raises(BadFields, match="second factor"):
        actions.issue_token(live, name="x", scopes=[Scope.ADMIN])


def _with(headers: dict[str, str]) -> Any:
    return Client().get("/api/v1/workers", headers=headers)


@pytest.mark.usefixtures("strict")
def test_an_operator_with_one_has_them_where_it_was_shown(olga: User, client: Client) -> None:
    EmailAddress.objects.create(user=olga, email=olga.email, verified=True, primary=True)
    sign_in(client, olga)  # a session from before
    TOTP.activate(olga, SECRET)
    with time_machine.travel(NOW, tick=False):
        where = client.get("/queue?x=1")["Location"]
        assert where == "/accounts/2fa/reauthenticate/?next=%2Fqueue%3Fx%3D1"
        assert client.get("/api/v1/workers").status_code == 403
        assert client.post(where, {"code": code_at(NOW)})["Location"] == "/queue?x=1"
        assert client.get("/queue").status_code == 200
        assert client.get("/api/v1/workers").status_code == 200
    with time_machine.travel(NOW + 30, tick=False):
        assert _with(program(Client(), olga.email)).status_code == 200
        page = client.post("/accounts/2fa/totp/deactivate/")
        assert b"cannot deactivate" in page.content
        Authenticator.objects.filter(user=olga).delete()
        assert client.get("/api/v1/workers").status_code == 403


@pytest.mark.usefixtures("strict")
def test_a_token_of_before_gives_an_operator_nothing_without_a_second_factor(bob: User) -> None:
    _, token = actions.issue_token(bob, name="x", scopes=[Scope.JOBS_READ, Scope.ADMIN])
    User.objects.filter(pk=bob.pk).update(role="operator")
    headers = {"Authorization": f"Bearer {token}"}
    answer = _with(headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_needed")
    TOTP.activate(bob, SECRET)
    assert _with(headers).status_code == 200


@pytest.mark.usefixtures("strict")
@pytest.mark.django_db(transaction=True)
def test_setting_one_up_counts_as_showing_it(olga: User, client: Client) -> None:
    sign_in(client, olga)
    session = client.session
    session["mfa.totp.secret"] = SECRET
    session.save()
    with time_machine.travel(time.time(), tick=False):
        answer = client.post("/accounts/2fa/totp/activate/", {"code": code_at(time.time())})
        assert answer.status_code == 302, answer.content.decode()
        assert client.get("/api/v1/workers").status_code == 200


def test_an_ordinary_person_needs_no_second_factor(
    alice: User, client: Client, settings: LazySettings
) -> None:
    settings.T2V_REQUIRE_MFA = True
    sign_in(client, alice)
    assert len(client.get("/api/v1/me").json()["scopes"]) == 3


def test_the_console_has_no_sign_in_of_its_own(olga: User, alice: User, client: Client) -> None:
    for method in (client.get, client.post):
        answer = method("/admin/login/?next=/admin/models/")
        assert answer["Location"] == "/accounts/login/?next=%2Fadmin%2Fmodels%2F"
    client.post("/admin/login/", {"username": olga.email, "password": PASSWORD})
    assert not is_in(client)


# --- Who are you, once more ---


@pytest.mark.parametrize(
    ("where", "given"),
    [
        ("/settings/tokens", {"name": "x", "scopes": ["jobs:read"]}),
        ("/settings/tokens/{prefix}/revoke", {}),
        ("/accounts/email/", {"email": "other@example.com", "action_add": ""}),
        ("/accounts/2fa/totp/activate/", {}),
        ("/accounts/2fa/webauthn/add/", {}),
        ("/accounts/2fa/recovery-codes/generate/", {}),
    ],
)
def test_what_gives_lasting_power_asks_again_after_five_minutes(
    where: str, given: dict[str, Any], alice: User, client: Client
) -> None:
    TOTP.activate(alice, SECRET)
    token, _ = actions.issue_token(alice, name="hers", scopes=["jobs:read"])
    where = where.format(prefix=token.token_key)
    sign_in(client, alice, "mfa")
    session = client.session
    records = session["account_authentication_methods"]
    session["account_authentication_methods"] = [{**records[0], "at": time.time() - 301}]
    session.save()
    assert client.post(where, given)["Location"].startswith("/accounts/2fa/reauthenticate/")
    body = {"name": "x", "scopes": ["jobs:read"]}
    answer = client.post("/api/v1/tokens", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "sign_in_again")
    sign_in(client, alice)  # by the password alone
    assert client.post(where, given)["Location"].startswith("/accounts/2fa/reauthenticate/")
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert client.post(where, given)["Location"].startswith("/accounts/2fa/reauthenticate/")
    sign_in(client, alice, "mfa")
    assert "reauthenticate" not in client.post(where, given).get("Location", "")


def test_a_token_asked_for_too_late_is_made_once_the_password_was_given(
    alice: User, client: Client
) -> None:
    client.force_login(alice)
    given = {"name": "my script", "scopes": ["jobs:read"], "expires_in_days": "30"}
    where = client.post("/settings/tokens", given)["Location"]
    assert not alice.auth_token_set.exists()
    page = client.post(where, {"password": PASSWORD})
    assert b"t2v_" in page.content
    assert [token.name for token in alice.auth_token_set.all()] == ["my script"]


def test_all_other_sessions_end_at_one_press(alice: User, client: Client) -> None:
    others = [Client(), Client()]
    for each in (client, *others):
        log_in(each, "alice@example.com")
        assert is_in(each)
    assert client.get("/settings/security").content.count(b"127.0.0.1") == 3
    client.post("/accounts/sessions/")
    assert [is_in(each) for each in (client, *others)] == [True, False, False]
    assert Session.objects.count() == 1


# --- Pages ---

OUTSIDE = [
    "account_login",
    "account_signup",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key_done",
    "account_email_verification_sent",
    "account_inactive",
    "socialaccount_login_cancelled",
    "socialaccount_login_error",
]
INSIDE = [
    "security",
    "account_email",
    "account_change_password",
    "account_logout",
    "mfa_reauthenticate",
    "mfa_deactivate_totp",
    "mfa_view_recovery_codes",
    "mfa_generate_recovery_codes",
    "mfa_list_webauthn",
    "mfa_add_webauthn",
    "usersessions_list",
    "socialaccount_connections",
]


def test_every_page_around_signing_in_is_a_page_of_ours(alice: User, client: Client) -> None:
    for name in OUTSIDE:
        _is_ours(client, reverse(name))
    sign_in(client, alice)
    for name in ("mfa_activate_totp", "account_reauthenticate"):
        _is_ours(client, reverse(name))
    TOTP.activate(alice, SECRET)
    RecoveryCodes.activate(alice)
    sign_in(client, alice, "mfa")
    for name in INSIDE:
        _is_ours(client, reverse(name))


def _is_ours(client: Client, where: str) -> None:
    page = client.get(where)
    html = page.content.decode()
    assert page.status_code in {200, 401}, where
    assert 'class="site-header"' in html, where
    assert "<h1" in html, where
    assert " style=" not in html, where
    assert not re.search(r"<script(?![^>]*( src=|application/json))", html), where
