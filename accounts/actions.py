"""The only writer of accounts."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from allauth.account.models import EmailAddress
from django.db import transaction

from accounts.models import User
from accounts.roles import Role

DEMO_ACCOUNTS: Mapping[str, Role] = {
    "alice@example.com": Role.MEMBER,
    "bob@example.com": Role.MEMBER,
    "olga@example.com": Role.OPERATOR,
    "charlie@example.com": Role.MEMBER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoLogin:
    email: str
    role: Role
    password: str | None  # None: its owner has changed it, so only they know it


@transaction.atomic
def ensure_demo_accounts(*, known: Mapping[str, str], chosen: str | None) -> list[DemoLogin]:
    """The demo accounts, made where they are missing.

    known are the passwords given out at an earlier start, by e-mail; chosen (T2V_DEMO_PASSWORD)
    is set for all four. A password that its owner has changed since is left alone.
    """
    return [
        DemoLogin(email=email, role=role, password=_demo_password(email, role, known, chosen))
        for email, role in DEMO_ACCOUNTS.items()
    ]


def _demo_password(
    email: str, role: Role, known: Mapping[str, str], chosen: str | None
) -> str | None:
    user = User.objects.filter(email=email).first()
    if user is None:
        password = chosen or secrets.token_urlsafe(12)
        user = User.objects.create_user(email, password, role=role, is_staff=role is Role.OPERATOR)
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
        return password
    password_then = known.get(email)
    if chosen is not None:
        if not user.check_password(chosen):
            user.set_password(chosen)
            user.save(update_fields=["password"])
        return chosen
    if password_then is not None and user.check_password(password_then):
        return password_then
    return None
