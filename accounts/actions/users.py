"""What administrators do to accounts."""

from django.db import transaction

from accounts import audit
from accounts.errors import LastAdministrator
from accounts.models import User
from accounts.roles import SiteRole


@transaction.atomic
def set_site_role(user: int, role: SiteRole, *, by: User | None, reason: str) -> User:
    """At once, for all that they hold open, too. by: None for the single sign-on.

    Raises LastAdministrator.
    """
    row = _locked(user)
    if row.site_role is role:
        return row
    if row.site_role is SiteRole.ADMINISTRATOR:
        _refuse_the_last(row)
    before, row.role = row.role, role.value
    row.is_staff = role is not SiteRole.MEMBER  # what allauth's door to the console asks
    row.save(update_fields=["role", "is_staff"])
    audit.record(
        "user.role_changed",
        actor=by,
        subject=row.email,
        was=before,
        role=role.value,
        reason=reason,
    )
    return row


@transaction.atomic
def set_active(user: int, active: bool, *, by: User, reason: str) -> User:
    """Closes an account, or opens it again. Raises LastAdministrator."""
    row = _locked(user)
    if row.is_active is active:
        return row
    if not active and row.site_role is SiteRole.ADMINISTRATOR:
        _refuse_the_last(row)
    row.is_active = active
    row.save(update_fields=["is_active"])
    verb = "user.opened" if active else "user.closed"
    audit.record(verb, actor=by, subject=row.email, reason=reason)
    return row


@transaction.atomic
def end_sessions(user: int, *, by: User, reason: str) -> None:
    """All of them at once, however many: what they are checked by is another from now on."""
    row = _locked(user)
    row.sessions_ended += 1
    row.save(update_fields=["sessions_ended"])
    audit.record("user.sessions_ended", actor=by, subject=row.email, reason=reason)


def _locked(user: int) -> User:
    """With all administrators, so that of two who take the role from each other one is refused."""
    rows = User.objects.select_for_update(no_key=True).order_by("pk")
    administrators = rows.filter(role=SiteRole.ADMINISTRATOR) | rows.filter(pk=user)
    return next(row for row in administrators if row.pk == user)


def _refuse_the_last(row: User) -> None:
    others = User.objects.filter(role=SiteRole.ADMINISTRATOR, is_active=True).exclude(pk=row.pk)
    if row.is_active and not others.exists():
        raise LastAdministrator
