"""What the single sign-on says of a person, and which roles that gives. Pure: no I/O.

T2V_OIDC_ROLE_MAP is a list of CLAIM VALUE=ROLE, divided by commas; ROLE is a site role, or
WORKSPACE:ROLE with the workspace's slug: video-admins=administrator,artists=studio:creator
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from accounts.roles import Role, SiteRole

_SITE_ROLES = list(SiteRole)  # in rising order, as those of a workspace


class BadRoleMap(ValueError):
    """One entry of the map cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    value: str  # of the claim
    role: SiteRole | Role
    workspace: str = ""  # slug, of a Role; empty: of a SiteRole


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """The single sign-on of this installation, as T2V_OIDC_* describe it."""

    issuer: str  # without a slash at its end
    client_id: str
    client_secret: str
    name: str
    domains: frozenset[str]  # lower case; empty: all
    claim: str  # where the roles stand, as groups or realm_access.roles
    grants: tuple[Grant, ...]
    only: bool  # nobody signs in with a password or a passkey

    @property
    def origin(self) -> str:
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}"

    def for_allauth(self) -> dict[str, Any]:
        """Its SOCIALACCOUNT_PROVIDERS."""
        app = {
            "provider_id": "sso",
            "name": self.name,
            "client_id": self.client_id,
            "secret": self.client_secret,
            "settings": {"server_url": self.issuer, "oauth_pkce_enabled": True},
        }
        return {"sso": {"APPS": [app]}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """The roles that somebody has from the provider. None: it says nothing of that."""

    site: SiteRole | None
    workspaces: Mapping[str, Role | None]  # role by slug; a None takes the membership away


def parse_role_map(text: str) -> tuple[Grant, ...]:
    """Raises BadRoleMap."""
    return tuple(_grant(entry.strip()) for entry in text.split(",") if entry.strip())


def _grant(entry: str) -> Grant:
    value, equals, target = entry.rpartition("=")
    workspace, colon, role = target.rpartition(":")
    if not equals or not value.strip():
        raise BadRoleMap(f"{entry!r} must look like value=role or value=workspace:role.")
    if colon and not re.fullmatch(r"[a-z0-9][a-z0-9-]*", workspace):
        raise BadRoleMap(f"{entry!r}: {workspace!r} is not the slug of a workspace.")
    known: type[SiteRole | Role] = Role if colon else SiteRole
    if role not in set(known):
        raise BadRoleMap(f"{entry!r}: {role!r} is none of {', '.join(known)}.")
    return Grant(value=value.strip(), role=known(role), workspace=workspace)


def identity(issuer: str, subject: str) -> str:
    """What an account is known by, 64 characters: another issuer's same subject is another person.

    A digest, for a subject may have 255 characters and its column has room for 191.
    """
    return hashlib.sha256(f"{issuer.rstrip('/')}\n{subject}".encode()).hexdigest()


def values_of(claims: Mapping[str, Any], path: str) -> frozenset[str]:
    """The strings at a path whose parts are divided by dots; none where there is nothing."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return frozenset({found})
    if not isinstance(found, list):
        return frozenset()
    return frozenset(each for each in found if isinstance(each, str))


def mapped(grants: Iterable[Grant], values: frozenset[str]) -> Mapped:
    """The highest role of each kind; where the map names a kind and no value gives one, the lowest
    of the site and none of the workspace."""
    site: SiteRole | None = None
    workspaces = dict[str, Role | None]()
    for grant in grants:
        given = grant.value in values
        if isinstance(grant.role, SiteRole):
            site = max(site or SiteRole.MEMBER, grant.role if given else SiteRole.MEMBER, key=_rank)
            continue
        before = workspaces.setdefault(grant.workspace, None)
        if given and (before is None or grant.role.rank > before.rank):
            workspaces[grant.workspace] = grant.role
    return Mapped(site=site, workspaces=workspaces)


def _rank(role: SiteRole) -> int:
    return _SITE_ROLES.index(role)


def domain_of(email: str) -> str:
    return email.rpartition("@")[2].lower()
