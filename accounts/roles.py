"""Who may do what, as tables. Pure: no I/O, no framework."""

from collections.abc import Collection
from enum import StrEnum


class Role(StrEnum):
    """What a person is in one workspace; each may do what those before it may."""

    VIEWER = "viewer"  # sees its videos
    CREATOR = "creator"  # makes videos; cancels, deletes, retries and tags their own
    MANAGER = "manager"  # does so with anybody's, and says who else is in the workspace
    OWNER = "owner"  # names, hands over and ends the workspace; one always remains

    @property
    def rank(self) -> int:
        """From 0, the least, upwards."""
        return list(Role).index(self)


class SiteRole(StrEnum):
    """What a person is on the whole site, whatever they are in its workspaces."""

    MEMBER = "member"  # nothing more than their workspaces make of them
    OPERATOR = "operator"  # keeps the service running: every job, workers, the console
    ADMINISTRATOR = "administrator"  # also: people, workspaces, quotas, the audit log


class Scope(StrEnum):
    """What a token may be used for, of all that its owner may do."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    ADMIN = "admin"  # what a role gives beyond one's own jobs


ALL_SCOPES = frozenset(Scope)


class Permission(StrEnum):
    # On jobs
    SUBMIT = "submit"
    SEE = "see"
    CANCEL = "cancel"
    DELETE = "delete"
    RETRY = "retry"
    TAG = "tag"  # favourites are each person's own: who sees a video may have it among them
    # In a workspace
    SEE_AUDIT = "see_audit"
    MANAGE_MEMBERS = "manage_members"  # those that are no owners
    EDIT_WORKSPACE = "edit_workspace"
    # On the site
    OPERATE = "operate"  # workers and the queue
    ADMINISTER = "administer"  # people, workspaces, quotas


_VERBS = frozenset({Permission.CANCEL, Permission.DELETE, Permission.RETRY, Permission.TAG})
ON_JOBS = _VERBS | {Permission.SEE}
IN_WORKSPACE = frozenset(
    {Permission.SEE_AUDIT, Permission.MANAGE_MEMBERS, Permission.EDIT_WORKSPACE}
)

_VIEWER = frozenset({Permission.SEE})
_CREATOR = _VIEWER | {Permission.SUBMIT}
_MANAGER = _CREATOR | _VERBS | {Permission.SEE_AUDIT, Permission.MANAGE_MEMBERS}

# In the workspace, on whatever is in it.
TABLE: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.CREATOR: _CREATOR,
    Role.MANAGER: _MANAGER,
    Role.OWNER: _MANAGER | {Permission.EDIT_WORKSPACE},
}
# In the workspace, on one's own jobs, besides.
OWN: dict[Role, frozenset[Permission]] = {
    role: frozenset() if role is Role.VIEWER else _VERBS for role in Role
}
# Everywhere.
SITE: dict[SiteRole, frozenset[Permission]] = {
    SiteRole.MEMBER: frozenset(),
    SiteRole.OPERATOR: ON_JOBS | {Permission.OPERATE},
    SiteRole.ADMINISTRATOR: ON_JOBS | IN_WORKSPACE | {Permission.OPERATE, Permission.ADMINISTER},
}

# What a token must be for; of those on jobs, the verbs on those of others need ADMIN as well.
_NEEDED: dict[Permission, frozenset[Scope]] = {
    Permission.SEE: frozenset({Scope.JOBS_READ}),
    Permission.SUBMIT: frozenset({Scope.JOBS_WRITE}),
    **dict.fromkeys(_VERBS, frozenset({Scope.JOBS_WRITE})),
    **dict.fromkeys(
        IN_WORKSPACE | {Permission.OPERATE, Permission.ADMINISTER}, frozenset({Scope.ADMIN})
    ),
}


def allows(
    permission: Permission,
    *,
    site: SiteRole,
    role: Role | None,
    owns: bool = False,
    scopes: Collection[Scope] = ALL_SCOPES,
) -> bool:
    """Whether somebody has the permission in a workspace, or on a job that is in it.

    role is theirs in that workspace, None for who is not in it; owns: the job is their own. scopes
    are those of the token that is used; a person in a browser has them all.
    """
    needed = _NEEDED[permission]
    if role is not None:
        if owns and permission in OWN[role] and needed <= set(scopes):
            return True
        of_others = {Scope.ADMIN} if permission in _VERBS else set()
        if permission in TABLE[role] and needed | of_others <= set(scopes):
            return True
    return permission in SITE[site] and needed | {Scope.ADMIN} <= set(scopes)


def roles_with(permission: Permission, *, owns: bool, scopes: Collection[Scope]) -> list[Role]:
    """Those that have it in their workspace, whatever their holder is on the site."""
    return [
        role
        for role in Role
        if allows(permission, site=SiteRole.MEMBER, role=role, owns=owns, scopes=scopes)
    ]
