"""Workspaces, and who is in them."""

from django.conf import settings
from django.db import transaction
from django.db.models import ProtectedError
from django.utils.crypto import get_random_string
from django.utils.text import slugify

from accounts import audit
from accounts.actions import members
from accounts.errors import BadFields, RoleTooLow, WorkspaceInUse
from accounts.models import ApiToken, Membership, User, Workspace
from accounts.roles import Permission, Role, allows

MAX_NAME = 80  # characters

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without what looks alike


@transaction.atomic
def open_workspace(owner: User, name: str, *, slug: str | None = None) -> Workspace:
    """A new workspace with one member, its owner. slug: what programs call it, if it must be so."""
    made = Workspace.objects.create(name=name, slug=slug or _slug(name))
    Membership.objects.create(workspace=made, user=owner, role=Role.OWNER)
    owner.__dict__.pop("memberships", None)
    audit.record("workspace.created", actor=owner, workspace=made, subject=name)
    return made


def _slug(name: str) -> str:
    """Readable, and with so much chance in it that no two are alike: 31^6 each."""
    words = slugify(name)[:40].strip("-") or "workspace"
    return f"{words}-{get_random_string(6, _ALPHABET)}"


def may_create(user: User) -> bool:
    """Whether people open workspaces themselves on this site, or this one is an administrator."""
    by_site = allows(Permission.ADMINISTER, site=user.site_role, role=None, scopes=user.scopes)
    return settings.T2V_OWN_WORKSPACES or by_site


@transaction.atomic
def create_workspace(user: User, name: str) -> Workspace:
    """One more, in which they work from now on.

    Raises BadFields and TooManyWorkspaces; and RoleTooLow for a token of another one alone, and
    where administrators alone do so.
    """
    if user.only_in is not None:
        raise RoleTooLow("This token is good in one workspace, and makes no other.")
    if not may_create(user):
        raise RoleTooLow("Administrators alone open workspaces here; have yourself invited.")
    name = _name(name)
    members.refuse_too_many(user)
    made = open_workspace(user, name)
    switch_workspace(user, made)
    return made


def switch_workspace(user: User, workspace: Workspace) -> None:
    """They must be in it."""
    user.workspace = workspace
    user.save(update_fields=["workspace"])


@transaction.atomic
def rename_workspace(actor: User, *, workspace: int, name: str) -> Workspace:
    """Raises BadFields, RoleTooLow and NoSuchWorkspace."""
    row = members.lock(workspace)
    members.authorise(actor, workspace, Permission.EDIT_WORKSPACE)
    was, row.name = row.name, _name(name)
    row.save(update_fields=["name"])
    audit.record("workspace.renamed", actor=actor, workspace=row, subject=row.name, was=was)
    return row


@transaction.atomic
def delete_workspace(actor: User, *, workspace: int) -> None:
    """With its members' places, its invitations and the tokens that are good there alone.

    Raises RoleTooLow and NoSuchWorkspace; and WorkspaceInUse where a job belongs to it, also one
    that was deleted and is not purged yet.
    """
    row = members.lock(workspace)
    members.authorise(actor, workspace, Permission.EDIT_WORKSPACE)
    audit.record("workspace.deleted", actor=actor, workspace=row, subject=row.name)
    for token in ApiToken.objects.filter(workspace=row):
        token.delete()  # one by one: each tells those who live on it
    try:
        row.delete()
    except ProtectedError as error:
        raise WorkspaceInUse from error
    actor.__dict__.pop("memberships", None)


def _name(given: str) -> str:
    """Raises BadFields."""
    name = given.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise BadFields({"name": f"A name has 1 to {MAX_NAME} characters, in one line."})
    return name
