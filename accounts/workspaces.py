"""Which workspace somebody works in."""

from django.db.models import QuerySet

from accounts.errors import BadFields, NoSuchWorkspace, NoWorkspace
from accounts.models import User, Workspace
from accounts.roles import Permission, allows


def of(user: User) -> QuerySet[Workspace]:
    """All that this request of theirs may touch, by name."""
    return Workspace.objects.filter(pk__in=user.memberships).order_by("name", "pk")


def current_id(user: User) -> int:
    """The token's; else the one they chose last, if they are still in it; else their oldest.

    Raises NoWorkspace.
    """
    theirs = user.memberships
    if user.workspace_id in theirs:
        assert user.workspace_id is not None
        return user.workspace_id
    if not theirs:
        raise NoWorkspace
    return next(iter(theirs))


def current(user: User) -> Workspace:
    """Raises NoWorkspace."""
    return Workspace.objects.get(pk=current_id(user))


def named(user: User, slug: str) -> Workspace | None:
    """One of theirs; None where there is no such one, or they are not in it."""
    return None if "\0" in slug else of(user).filter(slug=slug).first()


def chosen(user: User, slug: str | None) -> int | None:
    """The id of one of theirs that a request names; None where it names none.

    Raises BadFields, for absent and foreign ones alike.
    """
    if slug is None:
        return None
    found = named(user, slug)
    if found is None:
        raise BadFields({"workspace": "There is no such workspace, or you are not in it."})
    return found.pk


def opened(user: User, slug: str) -> Workspace:
    """One of theirs; of an administrator any. Raises NoSuchWorkspace, for absent and foreign ones.

    What they may do in it is for the action to say.
    """
    theirs = user.memberships  # asked for absent ones too: no clock tells them from foreign ones
    found = None if "\0" in slug else Workspace.objects.filter(slug=slug).first()
    if found is None or not (found.pk in theirs or may(user, Permission.MANAGE_MEMBERS, found.pk)):
        raise NoSuchWorkspace
    return found


def may(user: User, permission: Permission, workspace: int) -> bool:
    """One of accounts.roles.IN_WORKSPACE, in that workspace."""
    role = user.memberships.get(workspace)
    return allows(permission, site=user.site_role, role=role, scopes=user.scopes)
