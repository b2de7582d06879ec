"""What a workspace, or a person in one, may use of the site."""

from django.db import transaction
from django.dispatch import Signal

from accounts import audit
from accounts.errors import BadFields
from accounts.models import Membership, Quotas, User, Workspace

# Sent after the commit with workspace=<primary key>.
quota_changed = Signal()

# The most that a column holds; as a setting, 0 is no limit, and None the site's own.
COLUMNS = {
    "max_running": 2**31 - 1,
    "max_queued": 2**31 - 1,
    "max_gpu_seconds": 2**31 - 1,
    "max_stored_bytes": 2**63 - 1,
}


@transaction.atomic
def set_quota(
    where: Workspace | Membership, *, actor: User | None, reason: str = "", **columns: int | None
) -> None:
    """columns: of COLUMNS; those not named stay. Whoever calls has asked for Permission.ADMINISTER.

    What is under way goes on, whatever the quota is then. Raises BadFields.
    """
    bad = {
        name: f"A whole number from 0 (no limit) to {COLUMNS[name]:,}, or nothing for the site's."
        for name, value in columns.items()
        if value is not None and not 0 <= value <= COLUMNS[name]
    }
    if bad:
        raise BadFields(bad)
    workspace = where if isinstance(where, Workspace) else where.workspace
    # The lock that submits wait for: one that comes now is judged by the new numbers.
    Workspace.objects.select_for_update(no_key=True).only("pk").get(pk=workspace.pk)
    rows: type[Quotas] = type(where)
    before = rows._default_manager.only(*columns).get(pk=where.pk)
    changed = {name: value for name, value in columns.items() if getattr(before, name) != value}
    if not changed:
        return
    rows._default_manager.filter(pk=where.pk).update(**changed)
    for name, value in changed.items():
        setattr(where, name, value)
    audit.record(
        "quota.changed",
        actor=actor,
        workspace=workspace,
        subject=workspace.slug if isinstance(where, Workspace) else where.user.email,
        reason=reason,
        **{name: _told(getattr(before, name), value) for name, value in changed.items()},
    )
    transaction.on_commit(lambda: quota_changed.send(Workspace, workspace=workspace.pk))


def _told(before: int | None, now: int | None) -> str:
    old, new = ("the site's" if value is None else str(value) for value in (before, now))
    return f"{old} → {new}"
