"""Everybody who may come to an address, and what is theirs: made once, then asked as thousands.

The workspace is alice's. mia made the jobs, tokens and webhooks that the addresses name, but for
who was removed: to them they name a job of their own there.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from allauth.account.internal.flows.login import (
    AUTHENTICATION_METHODS_SESSION_KEY,
    record_authentication,
)
from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.db.models.functions import Now
from django.test import Client

from accounts import actions as accounts
from accounts import workspaces
from accounts.models import ApiToken, Membership, User, Workspace
from accounts.roles import Role, Scope, SiteRole
from accounts.session_store import SEEN
from conftest import PASSWORD
from tests.access.bodies import body_for
from tests.access.cells import Got, ask, browser_headers
from tests.access.routes import Route
from tests.access.things import MISSING, jobs_of, things_of

READ, WRITE, ADMIN = Scope.JOBS_READ, Scope.JOBS_WRITE, Scope.ADMIN
# Columns of the table, in its order.
PEOPLE = {
    "anonymous": "nobody is signed in",
    "viewer": "of the workspace",
    "creator": "of the workspace; the job is a mate's",
    "maker": "a creator of the workspace; the job, the token, the webhook are theirs",
    "manager": "of the workspace",
    "owner": "of the workspace",
    "removed": "made a job there, and was removed from the workspace then",
    "other": "the owner of another workspace",
    "operator": "of the site",
    "administrator": "of the site",
    "closed": "an owner of the workspace whose account was closed while they were signed in",
    "forged": "the owner's session, used by a page of somebody else's: no CSRF token",
    "unknown": "a token that nobody has made, beside the owner's session",
    "revoked": "a token of the maker's, revoked",
    "expired": "a token of the maker's, too old",
    "reads": "a token of the maker's with the scope jobs:read",
    "writes": "a token of the maker's with the scope jobs:write",
    "elsewhere": "a token of the maker's with both, good in another workspace alone",
    "removed_token": "of who was removed, good in that workspace alone",
    "closed_token": "of whose account was closed",
    "owner_token": "of the owner's with every scope, good in that workspace alone",
    "plain_operator": "an operator's token with jobs:read and jobs:write, without admin",
    "admin_only": "an operator's token with the scope admin alone",
}
# To the code of others nobody shows a token of ours.
SIGNED_IN = (
    *("anonymous", "maker", "owner", "other", "operator", "administrator"),
    *("closed", "forged", "unknown"),
)
# If none of them gets anywhere with a method, nobody does, and the others are not asked.
STRONGEST = ("anonymous", "maker", "owner", "administrator", "writes", "owner_token", "admin_only")
# A GET of theirs puts into the session what the next POST is to be held against.
KEEPING = {"mfa_activate_totp", "mfa_add_webauthn", "mfa_login_webauthn"}
KEEPING |= {f"headless:app:mfa:{each}" for each in ("login_webauthn", "manage_totp")}
SLUG = "the-studio"


@dataclass(frozen=True, kw_only=True)
class World:
    """headers are what each of PEOPLE sends; values what stands in an address, by the route's
    name and who asks."""

    headers: Mapping[str, Mapping[str, str]]
    values: Callable[[str, str], dict[str, str]]

    def address(self, route: Route, who: str, *, missing: bool = False) -> str:
        """missing: of the same kind, but of things that nobody has made."""
        values = self.values(route.name, who)
        return route.address(values | MISSING if missing else values)

    def ask(self, route: Route, method: str, who: str, *, missing: bool = False) -> Got:
        body, kind = body_for(route, method, self.values(route.name, who))
        address = self.address(route, who, missing=missing)
        keeps = route.name in KEEPING
        return ask(method, address, self.headers[who], body, kind, keeps=keeps)


@cache
def _hashed() -> str:
    return make_password(PASSWORD)  # Argon2 is slow on purpose: once is enough


def person(name: str, site: SiteRole = SiteRole.MEMBER) -> User:
    user = User.objects.create(
        email=f"{name}@example.com",
        password=_hashed(),
        role=site,
        is_staff=site is not SiteRole.MEMBER,
    )
    # The page of addresses would make the row at its first look.
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def member(name: str, workspace: Workspace, role: Role) -> User:
    user = person(name)
    Membership.objects.create(workspace=workspace, user=user, role=role)
    user.workspace = workspace
    user.save(update_fields=["workspace"])
    return _fresh(user)


def _fresh(user: User) -> User:
    """Without what an instance remembers of its memberships."""
    return User.objects.get(pk=user.pk)


def signed_in(user: User) -> str:
    """The key of a session in which they have shown just now who they are.

    In an hour, that is: asked for over 300 s, on a busy machine, it would be written as seen, where
    a request may write nothing, and they would be asked who they are once more.
    """
    client = Client()
    client.force_login(user)
    session = client.session
    request: Any = SimpleNamespace(session=session)
    record_authentication(request, user, "password", email=user.email)
    session[SEEN] = int(time.time()) + 3600  # seconds
    for shown in session[AUTHENTICATION_METHODS_SESSION_KEY]:
        shown["at"] += 3600
    session.save()
    assert session.session_key is not None
    return session.session_key


def _session(user: User, *, forged: bool = False) -> dict[str, str]:
    return browser_headers(signed_in(user), forged=forged)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _token(user: User, *scopes: Scope, workspace: Workspace | None = None) -> dict[str, str]:
    """Used in a moment: however long the others take before it, its next use writes nothing."""
    row, token = accounts.issue_token(user, name="a program", scopes=scopes, workspace=workspace)
    ApiToken.objects.filter(pk=row.pk).update(last_used_at=Now() + timedelta(days=1))
    return _bearer(token)


def _ended_tokens(user: User) -> dict[str, dict[str, str]]:
    revoked, first = accounts.issue_token(user, name="revoked", scopes=[WRITE])
    accounts.revoke_token(revoked)
    old, second = accounts.issue_token(
        user, name="old", scopes=[WRITE], expires_in=timedelta(days=1)
    )
    ApiToken.objects.filter(pk=old.pk).update(expiry=Now() - timedelta(seconds=1))
    return {"revoked": _bearer(first), "expired": _bearer(second)}


def world(folder: Path) -> World:
    alice, charlie = person("alice"), person("charlie")
    studio = workspaces.current(alice)
    Workspace.objects.filter(pk=studio.pk).update(slug=SLUG)
    studio.refresh_from_db()
    mia, rita = (member(name, studio, Role.CREATOR) for name in ("mia", "rita"))
    dora = member("dora", studio, Role.OWNER)
    olga, ada = person("olga", SiteRole.OPERATOR), person("ada", SiteRole.ADMINISTRATOR)
    her_own = Workspace.objects.exclude(pk=studio.pk).get(members__user=mia)
    things, ritas = things_of(mia, studio, folder), jobs_of(rita, studio, folder)
    headers: dict[str, Mapping[str, str]] = {
        "anonymous": browser_headers(),
        "viewer": _session(member("vera", studio, Role.VIEWER)),
        "creator": _session(member("bob", studio, Role.CREATOR)),
        "maker": _session(mia),
        "manager": _session(member("max", studio, Role.MANAGER)),
        "owner": _session(alice),
        "removed": _session(rita),
        "other": _session(charlie),
        "operator": _session(olga),
        "administrator": _session(ada),
        "closed": _session(dora),
        "forged": _session(alice, forged=True),
        "unknown": _session(alice) | _bearer("t2v_" + 64 * "0"),
        "reads": _token(mia, READ),
        "writes": _token(mia, WRITE),
        "elsewhere": _token(mia, READ, WRITE, workspace=her_own),
        "removed_token": _token(rita, READ, WRITE, workspace=studio),
        "closed_token": _token(dora, *Scope),
        "owner_token": _token(_fresh(alice), *Scope, workspace=studio),
        "plain_operator": _token(olga, READ, WRITE),
        "admin_only": _token(olga, ADMIN),
        **_ended_tokens(mia),
    }
    Membership.objects.filter(user=rita, workspace=studio).delete()
    User.objects.filter(pk=dora.pk).update(is_active=False)

    def values(route: str, who: str) -> dict[str, str]:
        return things.values(route, ritas if who in {"removed", "removed_token"} else None)

    return World(headers={who: headers[who] for who in PEOPLE}, values=values)
