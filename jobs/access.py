"""The only door to a job. Everything that shows or changes one comes through here."""

from uuid import UUID

from django.contrib.auth.models import AnonymousUser

from accounts.models import User
from accounts.roles import Permission, Role, allows
from jobs.errors import NotFound
from jobs.models import Job, JobQuerySet


def visible_jobs(user: User | AnonymousUser) -> JobQuerySet:
    """Every job this user may see."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return Job.objects.none()
    if allows(Role(user.role), Permission.SEE, owns=False):
        return Job.objects.all()
    return Job.objects.filter(owner=user)


def access_job(user: User | AnonymousUser, job_id: UUID, permission: Permission) -> Job:
    """The job with its request. Raises NotFound, the same for absent and forbidden ones."""
    job = visible_jobs(user).with_request().filter(pk=job_id).first()
    if job is None or isinstance(user, AnonymousUser):
        raise NotFound
    if not allows(Role(user.role), permission, owns=job.owner_id == user.pk):
        raise NotFound
    return job
