"""What becomes of a job that nobody wants any more: hidden at once, brought back, purged later."""

from datetime import timedelta
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.models import User
from jobs import dispatch
from jobs.actions.people import cancel
from jobs.errors import NotFound
from jobs.lifecycle import FINAL
from jobs.models import Job


def kept_for() -> timedelta:
    """How long a deleted job can be brought back."""
    return timedelta(hours=settings.T2V_DELETED_HOURS)


@transaction.atomic
def delete(job_id: UUID, *, by: User | None = None, tell: bool = True) -> None:
    """From now on nobody sees it; an unfinished one is cancelled. A second time changes nothing.

    Its files and rows go after kept_for, and not before it has ended: jobs/purge.py. tell: not for
    who deletes many, and says once that its owner's rights have changed. Raises NotFound.
    """
    locked = Job.objects.select_for_update().only("state", "owner_id", "workspace_id")
    job = locked.filter(pk=job_id).first()
    if job is None:
        raise NotFound
    if job.state not in FINAL:
        cancel(job_id)
    if Job.objects.filter(pk=job_id, deleted_at__isnull=True).update(deleted_at=Now()):
        if by is not None:
            audit.record("job.deleted", actor=by, workspace=job.workspace_id, subject=str(job_id))
        if tell:  # who looks at it now is asked again what they may see
            transaction.on_commit(partial(dispatch.rights_changed, job.owner_id))


@transaction.atomic
def restore(job_id: UUID, *, by: User | None = None) -> None:
    """Takes the deletion back; a cancelled job stays cancelled. Of one not deleted: nothing.

    Raises NotFound when its time is over, for the purge may have begun.
    """
    job = Job.objects.only("workspace_id").filter(pk=job_id, deleted_at__isnull=False).first()
    if job is None:
        return
    back = Job.objects.filter(pk=job_id, deleted_at__gt=Now() - kept_for())
    if not back.update(deleted_at=None):
        raise NotFound
    if by is not None:
        audit.record("job.restored", actor=by, workspace=job.workspace_id, subject=str(job_id))
