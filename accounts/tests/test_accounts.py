"""Signing in, out and up, by e-mail; and the demo accounts of one machine."""

import re

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client

from accounts import actions
from accounts.models import User
from accounts.roles import SiteRole
from conftest import PASSWORD

pytestmark = pytest.mark.django_db


def _sign_in(client: Client, email: str, password: str) -> bool:
    client.post("/accounts/login/", {"login": email, "password": password})
    return "_auth_user_id" in client.session


def test_a_person_signs_in_by_email_in_any_case_and_out_again(alice: User, client: Client) -> None:
    assert _sign_in(client, "Alice@Example.com", PASSWORD)
    assert client.get("/").context["form"]
    client.post("/accounts/logout/")
    assert "_auth_user_id" not in client.session
    assert "form" not in client.get("/").context


def test_a_wrong_password_and_an_unknown_address_are_answered_alike(
    alice: User, client: Client
) -> None:
    def answer(email: str) -> tuple[int, str]:
        got = client.post("/accounts/login/", {"login": email, "password": "wrong password 1"})
        return got.status_code, str(got.context["form"].errors).replace(email, "")

    assert answer("alice@example.com") == answer("nobody@example.com")


def test_a_person_signs_up_with_a_good_password_only(client: Client) -> None:
    def sign_up(password: str) -> bool:
        values = {"email": "dana@example.com", "password1": password, "password2": password}
        client.post("/accounts/signup/", values)
        return User.objects.filter(email="dana@example.com").exists()

    assert not sign_up("short")
    assert not sign_up("password1234")
    assert sign_up("four words in a row")
    assert User.objects.get(email="dana@example.com").role == SiteRole.MEMBER


def test_a_forgotten_password_is_reset_by_email(alice: User, client: Client) -> None:
    client.post("/accounts/password/reset/", {"email": "alice@example.com"})
    (message,) = mail.outbox
    link = re.search(r"https?://[^/]+(/accounts/password/reset/key/\S+)", str(message.body))
    assert link is not None
    page = client.get(link[1], follow=True)
    new = "another good password"
    client.post(page.request["PATH_INFO"], {"password1": new, "password2": new})
    assert not _sign_in(Client(), "alice@example.com", PASSWORD)
    assert _sign_in(Client(), "alice@example.com", new)


def test_two_accounts_never_share_an_address_in_another_case(alice: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User(email="ALICE@example.com", password="!").save()


def test_the_demo_accounts_are_made_once_and_their_owners_passwords_stay() -> None:
    made = actions.ensure_demo_accounts(known={}, chosen=None)
    known = {login.email: (str(login.password), login.hashed) for login in made}
    assert len({password for password, _ in known.values()}) == 5
    assert {user.email: user.role for user in User.objects.all()} == dict(actions.DEMO_ACCOUNTS)

    alice = User.objects.get(email="alice@example.com")
    alice.set_password("her own long password")
    alice.save()
    again = {
        login.email: login.password
        for login in actions.ensure_demo_accounts(known=known, chosen=None)
    }
    given = {email: password for email, (password, _) in known.items()}
    assert again == given | {"alice@example.com": None}


def test_a_chosen_demo_password_is_set_for_all_of_them(client: Client) -> None:
    actions.ensure_demo_accounts(known={}, chosen=None)
    actions.ensure_demo_accounts(known={}, chosen="chosen for the demo")
    for email in actions.DEMO_ACCOUNTS:
        assert _sign_in(Client(), email, "chosen for the demo")


@pytest.mark.parametrize(("who", "status"), [("olga", 200), ("alice", 403), ("charlie", 403)])
def test_the_admin_console_is_for_operators(
    who: str, status: int, client: Client, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(who))
    assert client.get("/admin/jobs/job/").status_code == status
    assert client.post("/admin/jobs/job/add/").status_code == 403
