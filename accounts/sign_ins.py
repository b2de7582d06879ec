"""What allauth tells of signing in: into the audit log, and the roles of the single sign-on."""

from typing import Any

from allauth.account import signals as account
from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa import signals as mfa
from allauth.socialaccount import signals as social
from django.conf import settings
from django.contrib.auth import signals as auth
from django.http import HttpRequest

from accounts import audit
from accounts.actions.sso import apply_roles
from accounts.claims import mapped
from accounts.models import User


def connect() -> None:
    account.user_logged_in.connect(_came_in)
    auth.user_login_failed.connect(_failed)
    auth.user_logged_out.connect(_left)
    mfa.authentication_failed.connect(_failed_second)
    mfa.authenticator_added.connect(_factor_added)
    mfa.authenticator_reset.connect(_factor_added)
    mfa.authenticator_removed.connect(_factor_removed)
    for signal in (account.password_changed, account.password_set, account.password_reset):
        signal.connect(_password_changed)
    account.email_changed.connect(_email_changed)
    social.social_account_added.connect(_identity_added)
    social.social_account_removed.connect(_identity_removed)


def _came_in(request: HttpRequest, user: User, sociallogin: Any = None, **_: Any) -> None:
    ways = [record["method"] for record in get_authentication_records(request, user)]
    audit.record("signin.succeeded", actor=user, way=", ".join(dict.fromkeys(ways)))
    if sociallogin is not None and settings.T2V_OIDC is not None:
        said = frozenset(sociallogin.account.extra_data.get("roles", []))
        apply_roles(user, mapped(settings.T2V_OIDC.grants, said))


def _failed(credentials: dict[str, Any], **_: Any) -> None:
    """Of an address that nobody has, nothing is kept: people type their password there."""
    email = str(credentials.get("email") or credentials.get("username") or "")
    user = User.objects.filter(email=email.lower()).only("email").first()
    audit.record("signin.failed", actor=None, subject=user.email if user else "", way="password")


def _failed_second(user: User, **_: Any) -> None:
    audit.record("signin.failed", actor=None, subject=user.email, way="second factor")


def _left(user: User | None, **_: Any) -> None:
    if user is not None:
        audit.record("signout", actor=user)


def _factor_added(user: User, authenticator: Any, **_: Any) -> None:
    audit.record("mfa.added", actor=user, kind=str(authenticator.type))


def _factor_removed(user: User, authenticator: Any, **_: Any) -> None:
    audit.record("mfa.removed", actor=user, kind=str(authenticator.type))


def _password_changed(user: User, **_: Any) -> None:
    audit.record("password.changed", actor=user)


def _email_changed(user: User, from_email_address: Any, to_email_address: Any, **_: Any) -> None:
    before = from_email_address.email if from_email_address else ""
    audit.record("email.changed", actor=user, subject=to_email_address.email, before=before)


def _identity_added(sociallogin: Any, **_: Any) -> None:
    audit.record("identity.connected", actor=sociallogin.user)


def _identity_removed(socialaccount: Any, **_: Any) -> None:
    audit.record("identity.disconnected", actor=socialaccount.user)
