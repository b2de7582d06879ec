"""No door tells whether somebody has an account: not by its words, and not by a clock."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.conf import LazySettings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.test import Client

from accounts.models import User, Workspace

pytestmark = pytest.mark.django_db

KNOWN, UNKNOWN = "bob@example.com", "nobody@example.com"
WRONG = "wrong horse battery"
APP = "/_allauth/app/v1/auth"
_CHANCE = re.compile(
    r'csrfmiddlewaretoken" value="\w+"|nonce="[^"]+"|"session_token": "\w+"|t2v-csrf[^;]+'
)

Ask = Callable[[Client, str], Any]


def _form(path: str, **fields: str) -> Ask:
    """{} stands for the address."""
    return lambda client, email: client.post(
        path, {name: value.replace("{}", email) for name, value in fields.items()}
    )


def _program(path: str, **fields: str) -> Ask:
    return lambda client, email: client.post(
        path,
        json.dumps({name: value.replace("{}", email) for name, value in fields.items()}),
        content_type="application/json",
    )


DOORS: Mapping[str, Ask] = {
    "sign-in": _form("/accounts/login/", login="{}", password=WRONG),
    "reset": _form("/accounts/password/reset/", email="{}"),
    "sign-up": _form("/accounts/signup/", email="{}", password1=WRONG, password2=WRONG),
    "a program's sign-in": _program(f"{APP}/login", email="{}", password=WRONG),
    "a program's reset": _program(f"{APP}/password/request", email="{}"),
    "a program's sign-up": _program(f"{APP}/signup", email="{}", password=WRONG),
}


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each password that was hashed: what takes a tenth of a second."""
    made: list[str] = []
    encode = Argon2PasswordHasher.encode

    def counted(self: Argon2PasswordHasher, password: str, salt: str) -> str:
        made.append(password)
        return str(encode(self, password, salt))

    monkeypatch.setattr(Argon2PasswordHasher, "encode", counted)
    verify = Argon2PasswordHasher.verify

    def verified(self: Argon2PasswordHasher, password: str, encoded: str) -> bool:
        made.append(password)
        return bool(verify(self, password, encoded))

    monkeypatch.setattr(Argon2PasswordHasher, "verify", verified)
    return made


def _seen(answer: Any, email: str) -> tuple[object, ...]:
    """All that the asker sees, without the address and without chance."""
    body = _CHANCE.sub("", answer.content.decode().replace(email, "ADDRESS"))
    return answer.status_code, answer.headers.get("Location"), body


@pytest.mark.parametrize("door", DOORS)
def test_a_known_and_an_unknown_address_are_answered_alike(
    door: str, bob: User, hashes: list[str], settings: LazySettings
) -> None:
    """As in production, where an address is to be verified first."""
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_RATE_LIMITS = False
    EmailAddress.objects.create(user=bob, email=KNOWN, verified=True, primary=True)
    seen, took = [], []
    for email in (KNOWN, UNKNOWN):
        hashes.clear()
        seen.append(_seen(DOORS[door](Client(), email), email))
        took.append(len(hashes))
    assert seen[0] == seen[1]
    assert took[0] == took[1]


def test_an_invitation_does_not_say_whether_its_guest_has_an_account(
    alice: User, bob: User, workspace: Workspace, client: Client
) -> None:
    client.force_login(alice)
    told = []
    for email in (KNOWN, UNKNOWN):
        answer = client.post(
            f"/api/v1/workspaces/{workspace.slug}/invitations",
            {"email": email, "role": "viewer"},
            content_type="application/json",
        )
        shape = {name: value for name, value in answer.json().items() if not name.endswith("_at")}
        told.append((answer.status_code, shape | {"email": "", "id": 0}))
    assert told[0] == told[1]
    assert told[0][0] == 201
