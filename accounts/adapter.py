"""How allauth does things in this house."""

import secrets
import time
from types import SimpleNamespace
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.models import EmailAddress
from allauth.core import context
from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.http import HttpRequest
from django.urls import reverse

from accounts import invitations, mfa
from accounts.models import User

NOWHERE = "0.0.0.0"  # noqa: S104 - of a request that came over no network, as by a Unix socket


def signs_up(request: HttpRequest) -> bool:
    """Whether somebody without an account may make one with a password."""
    if settings.T2V_OIDC is not None and settings.T2V_OIDC.only:
        return False
    if settings.T2V_SIGNUP == "invited":
        return invitations.of_session(request) is not None
    return bool(settings.T2V_SIGNUP == "open")


class Accounts(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return signs_up(request)

    def clean_email(self, email: str) -> str:
        """Where accounts are by invitation, one makes one account, for the address it went to."""
        cleaned: str = super().clean_email(email)
        request: HttpRequest = context.request
        signs_up = request.resolver_match and request.resolver_match.url_name == "account_signup"
        if settings.T2V_SIGNUP == "invited" and signs_up:
            invitation = invitations.of_session(request)
            if invitation is not None and invitation.email != cleaned.lower():
                raise ValidationError(f"The invitation is for {invitation.email}.")
        return cleaned

    def get_client_ip(self, request: HttpRequest) -> str:
        try:
            address: str = super().get_client_ip(request)
        except ImproperlyConfigured:
            # Fewer addresses in X-Forwarded-For than we have proxies: it came past one of them.
            return request.META.get("REMOTE_ADDR") or NOWHERE
        except PermissionError:
            return NOWHERE
        return address

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Of the account alone: allauth's has the host in it, so each name of ours counted anew."""
        return str(credentials.get("email", credentials.get("username", ""))).lower()

    def send_account_already_exists_mail(self, email: str) -> None:
        """Somebody signs up who has an account; takes as long as it takes to make one."""
        make_password(secrets.token_urlsafe())
        super().send_account_already_exists_mail(email)

    # --- Where the single sign-on is the only way in (T2V_OIDC_ONLY) ---

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        super().pre_authenticate(request, **credentials)
        _refuse_passwords()

    def clean_password(self, password: str, user: User | None = None) -> str:
        _refuse_passwords()
        cleaned: str = super().clean_password(password, user)
        return cleaned

    def send_password_reset_mail(self, user: User, email: str, context: dict[str, Any]) -> None:
        if settings.T2V_OIDC is not None and settings.T2V_OIDC.only:
            return
        # Not to whoever only began to change theirs to it: its real owner would set the password
        # of that account, and work in it beside the other one.
        theirs = EmailAddress.objects.filter(user=user, email=email.lower(), verified=True)
        if user.email == email.lower() or theirs.exists():
            super().send_password_reset_mail(user, email, context)

    # --- Who they are, once more, before what is dangerous ---

    def is_reauthentication_required(self, *, app: str, **more: Any) -> bool:
        """False, or raises ReauthenticationRequired.

        It never leaves the answer to allauth, which takes a password for enough where there is a
        second factor, and an account with neither for one that need not be asked.
        """
        request: HttpRequest = context.request
        if not signed_in_lately(request.session, request.user):
            raise ReauthenticationRequired
        return False

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        ways: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if isinstance(user, User) and mfa.has_one(user):
            return [way for way in ways if way["id"].startswith("mfa")]
        if settings.T2V_OIDC is None:
            return ways
        if settings.T2V_OIDC.only:
            ways = [way for way in ways if way["id"] != "reauthenticate"]
        return ways or [
            {
                "id": "sso",
                "description": f"Use {settings.T2V_OIDC.name}",
                "url": reverse("sso_login"),
            }
        ]


def signed_in_lately(session: Any, user: Any) -> bool:
    """In the last five minutes; who has a second factor, by that. session is Django's.

    A password alone would let somebody who stole it, and came in before there was a second factor,
    make one of their own.
    """
    request: Any = SimpleNamespace(session=session)
    records = get_authentication_records(request, user)
    if mfa.has_one(user):
        records = [record for record in records if mfa.shows_second_factor([record])]
    times = [record["at"] for record in records]
    return bool(times) and time.time() - max(times) < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT


def _refuse_passwords() -> None:
    if settings.T2V_OIDC is not None and settings.T2V_OIDC.only:
        raise ValidationError(
            f"This site knows no passwords; sign in with {settings.T2V_OIDC.name}."
        )
