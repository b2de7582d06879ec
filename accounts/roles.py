"""Who may do what, as a table. Pure: no I/O, no framework."""

from enum import StrEnum


class Role(StrEnum):
    MEMBER = "member"  # makes videos; sees and cancels their own jobs
    OPERATOR = "operator"  # keeps the service running: sees and cancels every job, admin console


class Permission(StrEnum):
    SUBMIT = "submit"
    SEE = "see"
    CANCEL = "cancel"
    SEE_ANY = "see_any"
    CANCEL_ANY = "cancel_any"


_OWN = frozenset({Permission.SUBMIT, Permission.SEE, Permission.CANCEL})

TABLE: dict[Role, frozenset[Permission]] = {
    Role.MEMBER: _OWN,
    Role.OPERATOR: _OWN | {Permission.SEE_ANY, Permission.CANCEL_ANY},
}

_FOR_ANY = {Permission.SEE: Permission.SEE_ANY, Permission.CANCEL: Permission.CANCEL_ANY}


def allows(role: Role, permission: Permission, *, owns: bool) -> bool:
    """Whether the role has the permission on a job that it owns, or that somebody else owns."""
    if owns:
        return permission in TABLE[role]
    return _FOR_ANY.get(permission) in TABLE[role]
