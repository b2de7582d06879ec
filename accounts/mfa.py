"""The second factor: who needs one, which session has shown one, and how its secrets are kept."""

import base64
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.middleware import AuthenticationMiddleware, get_user
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from accounts import origin
from accounts.models import User
from accounts.roles import Scope, SiteRole

# What counts as one. Recovery codes come with them, never alone.
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def shows_second_factor(records: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the ways that a session was signed in by was a second factor. Pure."""
    return any(record.get("method") == "mfa" for record in records)


def must_have_one(user: User) -> bool:
    """Who can do more than their own work, where the installation asks for it (T2V_REQUIRE_MFA)."""
    powerful = user.site_role is not SiteRole.MEMBER or user.is_staff or user.is_superuser
    return bool(settings.T2V_REQUIRE_MFA) and powerful


def has_one(user: User) -> bool:
    found: bool = Authenticator.objects.filter(user_id=user.pk, type__in=FACTORS).exists()
    return found


def may_operate(user: User, session: Any) -> bool:
    """Whether this session may do what the role gives beyond one's own work.

    session is Django's. For ordinary people it is not even looked at.
    """
    if not must_have_one(user):
        return True
    request: Any = SimpleNamespace(session=session)
    return shows_second_factor(get_authentication_records(request, user)) and has_one(user)


def narrow(user: User, session: Any) -> User:
    """Takes the scope admin from an operator whose session has shown no second factor."""
    if not may_operate(user, session):
        user.scopes = user.scopes - {Scope.ADMIN}
    return user


class Authentication(AuthenticationMiddleware):
    """Django's own; the user of a session is narrowed."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)

        def looked_up() -> AbstractBaseUser | AnonymousUser:
            user = get_user(request)
            if isinstance(user, User):
                origin.is_from(user.pk)
            return narrow(user, request.session) if isinstance(user, User) else user

        request.user = SimpleLazyObject(looked_up)  # type: ignore[assignment]


class SecondFactorFirst:
    """Sends people without one away from the console, to where they get or show one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith((reverse("admin:index"), reverse("queue"))):
            return self._get_response(request)
        user = request.user
        if not isinstance(user, User) or not user.is_staff or Scope.ADMIN in user.scopes:
            return self._get_response(request)
        if not has_one(user):
            messages.warning(request, "The console needs a second factor. Set one up here first.")
            return redirect("security")
        ways = get_adapter(request).get_reauthentication_methods(user)
        shown = next(way["url"] for way in ways if way["id"].startswith("mfa"))
        return redirect(f"{shown}?{urlencode({'next': request.get_full_path()})}")


def count_as_shown(request: HttpRequest, user: User, authenticator: Any, **_: Any) -> None:
    """Setting up the first one shows it; setting up a further one proves nothing of the first."""
    others = Authenticator.objects.filter(user_id=user.pk, type__in=FACTORS)
    if authenticator.type in FACTORS and not others.exclude(pk=authenticator.pk).exists():
        record_authentication(request, user, "mfa", id=authenticator.pk, type=authenticator.type)


def connect() -> None:
    authenticator_added.connect(count_as_shown)


class SecondFactors(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """Keeps their secrets encrypted: a copy of the database alone signs nobody in."""

    def encrypt(self, text: str) -> str:
        return _box(settings.SECRET_KEY).encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _box(settings.SECRET_KEY).decrypt(encrypted_text.encode()).decode()

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:
        before = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        return f"Passkey {before + 1}"

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Not the last of somebody who must have one; another one may be added first."""
        others = Authenticator.objects.filter(user_id=authenticator.user_id, type__in=FACTORS)
        return not must_have_one(authenticator.user) or (
            authenticator.type not in FACTORS or others.exclude(pk=authenticator.pk).exists()
        )


@cache
def _box(key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"t2v second factors 1")
    return Fernet(base64.urlsafe_b64encode(derived.derive(key.encode())))
