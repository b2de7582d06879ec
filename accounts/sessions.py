"""Whether somebody who came in some time ago still may, and who that is."""

from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any

from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from accounts import mfa
from accounts.models import ApiToken, Membership, User
from accounts.roles import Scope


class Standing(Enum):
    GOOD = "good"
    SIGNED_OUT = "signed out"  # here, elsewhere, by a new password; or the token was revoked
    CLOSED = "closed"  # the account was deactivated or deleted


@dataclass(frozen=True, slots=True)
class Credential:
    """Who opened a connection that lives on, and by what right."""

    user: int  # primary key
    session: str = ""  # key of the session that signed in
    token: str = ""  # or the digest of the token that was shown


def credential_of(session_key: str | None) -> Credential | None:
    """As a request with that cookie would be answered; None for nobody."""
    if not session_key:
        return None
    session = SessionStore(session_key)
    # get_user only reads the session: its key, its user, and the hash of the user's password.
    request: Any = SimpleNamespace(session=session)
    user = get_user(request)
    if not isinstance(user, User) or not user.is_active:
        return None
    return Credential(user.pk, session_key)


def token_credential(token: ApiToken) -> Credential:
    return Credential(token.user_id, token=token.digest)


def live_tokens() -> QuerySet[ApiToken]:
    """Those that open something: not expired, of somebody who may come in; with their users.

    One of a single workspace ends with their place in it, however that ended.
    """
    tokens: QuerySet[ApiToken] = ApiToken.objects.select_related("user")
    in_time = Q(expiry__isnull=True) | Q(expiry__gt=Now())
    place = Membership.objects.filter(user=OuterRef("user"), workspace=OuterRef("workspace"))
    return tokens.filter(
        in_time, Q(workspace__isnull=True) | Q(Exists(place)), user__is_active=True
    )


def user_of(credential: Credential) -> User | None:
    """With the scopes of the credential; None when it opens nothing any more."""
    if credential.token:
        token = live_tokens().filter(digest=credential.token).first()
        return None if token is None else narrowed(token)
    if credential_of(credential.session) != credential:
        return None
    user = User.objects.filter(pk=credential.user).first()
    return None if user is None else mfa.narrow(user, SessionStore(credential.session))


def narrowed(token: ApiToken) -> User:
    """The token's user, who may do by it what it is for. Who may write may look."""
    user: User = token.user
    scopes = {scope for scope in Scope if scope in token.scopes}
    user.scopes = frozenset(scopes | ({Scope.JOBS_READ} if Scope.JOBS_WRITE in scopes else set()))
    user.only_in = token.workspace_id
    if Scope.ADMIN in scopes and mfa.must_have_one(user) and not mfa.has_one(user):
        user.scopes -= {Scope.ADMIN}  # made before they had to, or before it was taken away
    return user


def standing(credential: Credential) -> Standing:
    if user_of(credential) is not None:
        return Standing.GOOD
    if not User.objects.filter(pk=credential.user, is_active=True).exists():
        return Standing.CLOSED
    return Standing.SIGNED_OUT
