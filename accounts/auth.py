"""How a request to the API says who it is from: a token, a JWT of allauth's, or the session.

A request with an Authorization header is never looked at for a cookie.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from allauth.headless.contrib.rest_framework.authentication import JWTTokenAuthentication
from allauth.headless.tokens.strategies.jwt.internal import session_key_from_sid
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.crypto import hash_token
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts import mfa, origin
from accounts.actions import TOKEN_PREFIX
from accounts.adapter import signed_in_lately
from accounts.errors import NoSecondFactor, OutOfScope, SignInAgain
from accounts.models import ApiToken, User
from accounts.roles import Scope
from accounts.sessions import Credential, live_tokens, narrowed, token_credential

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which loads this module by the settings

USED_EVERY = timedelta(minutes=1)  # last_used_at is written no more often
WHY_NOT = "This token is unknown, expired or revoked."


class TokenAuthentication(KnoxAuthentication):  # type: ignore[misc]  # knox has no types
    """Authorization: Bearer t2v_…"""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token.startswith(TOKEN_PREFIX):
            return None  # perhaps a JWT
        return self.authenticate_credentials(token.encode())

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiToken]:
        # Found by the digest of all of it: no time tells how much of it was right.
        shown = hash_token(token.decode("utf-8", "replace"))
        row = live_tokens().filter(digest=shown).first()
        if row is None:
            raise AuthenticationFailed(WHY_NOT)
        if row.last_used_at is None or timezone.now() - row.last_used_at > USED_EVERY:
            ApiToken.objects.filter(pk=row.pk).update(last_used_at=Now())
        origin.came_by(f"token {row.token_key}", user=row.user_id)
        return narrowed(row), row


class JWTAuthentication(JWTTokenAuthentication):  # type: ignore[misc]  # allauth has no types
    """Authorization: Bearer …, an access token of /_allauth/app/v1/auth/login.

    It lives as long as its session does, and has all that its user may do.
    """

    def authenticate(self, request: Request) -> tuple[User, dict[str, Any]] | None:
        found = super().authenticate(request)
        if found is None:
            if request.headers.get("Authorization"):
                raise AuthenticationFailed("Use Authorization: Bearer and a token.")
            return None
        user, payload = found
        if not user.is_active:
            raise AuthenticationFailed(WHY_NOT)
        origin.came_by("jwt", user=user.pk)
        return mfa.narrow(user, SessionStore(session_key_from_sid(payload["sid"]))), payload


TOKENS_ONLY = (TokenAuthentication, JWTAuthentication)


class InScope(BasePermission):
    """Signed in, and with a token that is for it: jobs:read to look, else jobs:write.

    A view's attribute `needs` names another scope; None: whatever the token is for.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        user = request.user
        if not isinstance(user, User) or not user.is_active:
            raise NotAuthenticated
        usual = Scope.JOBS_READ if request.method in SAFE_METHODS else Scope.JOBS_WRITE
        needed: Scope | None = getattr(view, "needs", usual)
        if needed is not None and needed not in user.scopes:
            # From a session, or a token that has it, only a missing second factor takes a scope.
            token = request.auth if isinstance(request.auth, ApiToken) else None
            lacks = token is not None and needed not in token.scopes
            raise OutOfScope(needed) if lacks else NoSecondFactor()
        return True


def caller_of(request: HttpRequest) -> User | AnonymousUser:
    """Whom a page's own request is from: its Authorization header says so where there is one.

    Raises AuthenticationFailed.
    """
    if "Authorization" not in request.headers:
        return request.user
    found = Request(request, authenticators=[each() for each in TOKENS_ONLY]).user
    assert isinstance(found, User | AnonymousUser)
    return found


def credential(request: Request) -> Credential:
    """By what right the request came, for what lives longer than it."""
    if isinstance(request.auth, ApiToken):
        return token_credential(request.auth)
    user = cast(User, request.user)
    if isinstance(request.auth, dict):
        return Credential(user.pk, session_key_from_sid(request.auth["sid"]) or "")
    return Credential(user.pk, request.session.session_key or "")


def refuse_unless_fresh(request: Request) -> None:
    """What outlives a session is not given to one that somebody may have walked up to.

    Raises SignInAgain. A token is no session: it made itself known just now.
    """
    if isinstance(request.auth, ApiToken):
        return
    session = SessionStore(credential(request).session)
    if not signed_in_lately(session, cast(User, request.user)):
        raise SignInAgain
