"""Who is in a workspace, and as what. Each verb looks again under the lock on the workspace's row.

So of two that would leave it without an owner, the second one finds that it would.
"""

from django.db import transaction

from accounts import audit
from accounts.errors import (
    BadFields,
    LastOwner,
    NoSuchMember,
    NoSuchWorkspace,
    RoleTooLow,
    TooManyMembers,
    TooManyWorkspaces,
)
from accounts.models import ApiToken, Invitation, Membership, User, Workspace
from accounts.roles import Permission, Role, allows

MAX_MEMBERS = 500  # of one workspace
MAX_WORKSPACES = 20  # of one person


def lock(workspace: int) -> Workspace:
    """One verb at a time in each workspace; whose who only refer to its row need not wait.

    Raises NoSuchWorkspace for one that was deleted meanwhile.
    """
    row = Workspace.objects.select_for_update(no_key=True).filter(pk=workspace).first()
    if row is None:
        raise NoSuchWorkspace
    return row


def authorise(actor: User, workspace: int, permission: Permission) -> None:
    """By the role that the actor has now, not that of when the request began. Raises RoleTooLow."""
    role = None
    if actor.only_in in {None, workspace}:
        rows = Membership.objects.filter(workspace=workspace, user=actor)
        role = rows.values_list("role", flat=True).first()
    may = allows(
        permission,
        site=actor.site_role,
        role=None if role is None else Role(role),
        scopes=actor.scopes,
    )
    if not may:
        raise RoleTooLow


@transaction.atomic
def set_role(actor: User, *, workspace: int, member: int, role: Role) -> Membership:
    """Raises NoSuchMember, RoleTooLow, and LastOwner."""
    place = lock(workspace)
    row = _member(workspace, member)
    authorise(actor, workspace, needed(Role(row.role), role))
    if row.role == role:
        return row
    if row.role == Role.OWNER:
        keep_an_owner(row)
    before, row.role = row.role, role.value
    row.save(update_fields=["role"])
    if not role.rank >= Role.MANAGER.rank:
        withdraw_theirs(row)
    audit.record(
        "member.role_changed",
        actor=actor,
        workspace=place,
        subject=row.user.email,
        was=before,
        role=role.value,
    )
    return row


def needed(*roles: Role) -> Permission:
    """To give or take these roles: owners are the owners' own business."""
    return Permission.EDIT_WORKSPACE if Role.OWNER in roles else Permission.MANAGE_MEMBERS


@transaction.atomic
def remove(actor: User, *, workspace: int, member: int) -> None:
    """At once, with the tokens of theirs that are good in this workspace alone.

    Raises NoSuchMember, RoleTooLow, and LastOwner.
    """
    place = lock(workspace)
    row = _member(workspace, member)
    if row.user_id != actor.pk:
        authorise(actor, workspace, needed(Role(row.role)))
    end(row)
    actor.__dict__.pop("memberships", None)
    verb = "member.left" if row.user_id == actor.pk else "member.removed"
    audit.record(verb, actor=actor, workspace=place, subject=row.user.email, role=row.role)


def leave(user: User, *, workspace: int) -> None:
    """Raises NoSuchMember, and LastOwner."""
    row = Membership.objects.filter(workspace=workspace, user=user).first()
    if row is None:
        raise NoSuchMember
    remove(user, workspace=workspace, member=row.pk)


@transaction.atomic
def transfer(actor: User, *, workspace: int, member: int) -> Membership:
    """Another member owns it; the actor, if they did, is a manager from now on.

    Raises NoSuchMember, RoleTooLow, and BadFields for somebody who owns it already, or
    whose account is closed.
    """
    place = lock(workspace)
    row = _member(workspace, member)
    authorise(actor, workspace, Permission.EDIT_WORKSPACE)
    if row.role == Role.OWNER:
        raise BadFields({"member": "They own it already."})
    if not row.user.is_active:
        raise BadFields({"member": "Their account is closed; choose somebody who can come in."})
    row.role = Role.OWNER.value
    row.save(update_fields=["role"])
    mine = Membership.objects.filter(workspace=workspace, user=actor, role=Role.OWNER).first()
    if mine is not None:
        mine.role = Role.MANAGER.value
        mine.save(update_fields=["role"])
        actor.__dict__.pop("memberships", None)
    audit.record("workspace.transferred", actor=actor, workspace=place, subject=row.user.email)
    return row


def admit(user: User, *, workspace: int, role: Role) -> Membership:
    """A new member, or one who is in already, as they are. Under both locks of the caller's.

    Raises TooManyMembers, and TooManyWorkspaces.
    """
    members = Membership.objects.filter(workspace=workspace)
    row = members.filter(user=user).first()
    if row is not None:
        return row
    if members.count() >= MAX_MEMBERS:
        raise TooManyMembers(MAX_MEMBERS)
    refuse_too_many(user)
    return Membership.objects.create(workspace_id=workspace, user=user, role=role.value)


def refuse_too_many(user: User) -> None:
    """One of a person's at a time, so that they are counted. Raises TooManyWorkspaces."""
    User.objects.select_for_update(no_key=True).only("pk").get(pk=user.pk)
    if Membership.objects.filter(user=user).count() >= MAX_WORKSPACES:
        raise TooManyWorkspaces(MAX_WORKSPACES)


def _member(workspace: int, member: int) -> Membership:
    rows = Membership.objects.select_related("user").filter(workspace=workspace, pk=member)
    row = rows.first()
    if row is None:
        raise NoSuchMember
    return row


def keep_an_owner(row: Membership) -> None:
    """Raises LastOwner. One who may not come in any more owns nothing."""
    others = Membership.objects.filter(workspace=row.workspace_id, role=Role.OWNER)
    if not others.filter(user__is_active=True).exclude(pk=row.pk).exists():
        raise LastOwner


def end(row: Membership) -> None:
    if row.role == Role.OWNER:
        keep_an_owner(row)
    for token in ApiToken.objects.filter(user=row.user_id, workspace=row.workspace_id):
        token.delete()  # one by one: each tells those who live on it
    withdraw_theirs(row)
    User.objects.filter(pk=row.user_id, workspace=row.workspace_id).update(workspace=None)
    Membership.objects.get(pk=row.pk).delete()


def withdraw_theirs(row: Membership) -> None:
    """Who may not invite any more has nobody waiting at the door."""
    Invitation.objects.filter(workspace=row.workspace_id, invited_by=row.user_id).delete()
