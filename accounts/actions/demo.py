"""The accounts that a site of one machine brings along."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from allauth.account.models import EmailAddress
from django.db import transaction

from accounts.actions.workspaces import open_workspace
from accounts.models import Membership, User, Workspace
from accounts.roles import Role, SiteRole

DEMO_ACCOUNTS: Mapping[str, SiteRole] = {
    "alice@example.com": SiteRole.MEMBER,
    "bob@example.com": SiteRole.MEMBER,
    "olga@example.com": SiteRole.OPERATOR,
    "charlie@example.com": SiteRole.MEMBER,
    "ada@example.com": SiteRole.ADMINISTRATOR,
}
DEMO_SLUG = "demo-studio"
DEMO_TEAM = ("alice@example.com", "bob@example.com")  # the second makes videos in the first's


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoLogin:
    email: str
    role: SiteRole
    password: str | None  # None: its owner has changed it, so only they know it
    hashed: str  # as it lies in the database


@transaction.atomic
def ensure_demo_accounts(
    *, known: Mapping[str, tuple[str, str]], chosen: str | None
) -> list[DemoLogin]:
    """The demo accounts, made where they are missing.

    known are the passwords given out at an earlier start with their hashes, by e-mail; chosen
    (T2V_DEMO_PASSWORD) is set for all of them. A password that its owner has changed is left alone.
    """
    logins = [
        _demo_login(email, role, known.get(email), chosen) for email, role in DEMO_ACCOUNTS.items()
    ]
    _ensure_team()
    return logins


def _ensure_team() -> None:
    """Once: who leaves the team later has left it."""
    owner, mate = (User.objects.get(email=email) for email in DEMO_TEAM)
    if Workspace.objects.filter(slug=DEMO_SLUG).exists():
        return
    team = open_workspace(owner, "Demo studio", slug=DEMO_SLUG)
    Membership.objects.create(workspace=team, user=mate, role=Role.CREATOR)
    User.objects.filter(pk__in=[owner.pk, mate.pk]).update(workspace=team)


def _demo_login(
    email: str, role: SiteRole, known: tuple[str, str] | None, chosen: str | None
) -> DemoLogin:
    user = User.objects.filter(email=email).first()
    if user is None:
        password: str | None = chosen or secrets.token_urlsafe(12)
        user = User.objects.create_user(
            email, password, role=role, is_staff=role is not SiteRole.MEMBER
        )
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    elif chosen is not None:
        password = chosen
        if known != (chosen, user.password) and not user.check_password(chosen):
            user.set_password(chosen)
            user.save(update_fields=["password"])
    else:
        password = known[0] if known is not None and _still_holds(user, *known) else None
    return DemoLogin(email=email, role=role, password=password, hashed=user.password)


def _still_holds(user: User, password: str, hashed: str) -> bool:
    # Equal hashes need no Argon2, which takes 0.2 s each; a sign-in may have renewed the hash.
    return user.password == hashed or user.check_password(password)
