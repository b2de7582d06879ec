"""The only door to a job. Everything that shows or changes one comes through here.

Of one table (accounts/roles.py) are made the predicates of single jobs, which the library rules
holds by name, and the condition of a list; jobs/tests/test_access.py holds them equal.
"""

from collections.abc import Collection
from uuid import UUID

import rules
from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q

from accounts import workspaces
from accounts.errors import NoWorkspace
from accounts.models import Membership, User
from accounts.roles import (
    ALL_SCOPES,
    ON_JOBS,
    SITE,
    Permission,
    Scope,
    SiteRole,
    allows,
    roles_with,
)
from jobs.errors import Forbidden, NotFound, OutOfScope, Refusal
from jobs.models import Job, JobQuerySet


def may(
    user: User | AnonymousUser,
    permission: Permission,
    *,
    workspace: int | None = None,
    owns: bool = False,
) -> bool:
    """On a job in that workspace, or in the workspace itself, or (None) on the site."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return False
    role = None if workspace is None else user.memberships.get(workspace)
    return allows(permission, site=user.site_role, role=role, owns=owns, scopes=user.scopes)


def _predicate(permission: Permission) -> rules.Predicate:
    def may_do(user: User | AnonymousUser, job: Job) -> bool:
        owns = job.owner_id == user.pk
        return may(user, permission, workspace=job.workspace_id, owns=owns)

    return rules.predicate(may_do, name=f"may_{permission}")


for _permission in ON_JOBS:
    rules.add_perm(f"jobs.{_permission}", _predicate(_permission))


def may_do(user: User | AnonymousUser, permission: Permission, job: Job) -> bool:
    """permission: one of ON_JOBS."""
    answer: bool = rules.has_perm(f"jobs.{permission}", user, job)
    return answer


def where(user: User | AnonymousUser, permission: Permission) -> Q | None:
    """The jobs with which the user may do so; None for no job at all."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return None
    if may(user, permission):
        return Q()
    any_role = roles_with(permission, owns=False, scopes=user.scopes)
    own_role = roles_with(permission, owns=True, scopes=user.scopes)
    theirs = [where for where, role in user.memberships.items() if role in any_role]
    own = [where for where, role in user.memberships.items() if role in own_role]
    if not theirs and not own:
        return None
    condition = Q(workspace__in=theirs)
    return condition if own == theirs else condition | Q(workspace__in=own, owner=user.pk)


def seen_workspaces(user: User) -> frozenset[int] | None:
    """Those in which they may see their own jobs; None: in all, and everybody's."""
    if may(user, Permission.SEE):
        return None
    roles = roles_with(Permission.SEE, owns=True, scopes=user.scopes)
    return frozenset(where for where, role in user.memberships.items() if role in roles)


def owner_sees(owner: str, workspace: str | int) -> Q:
    """Of rows with a job: whether its owner, at this field, may still see it.

    workspace: the field of the job's, or its id.
    """
    inside = Membership.objects.filter(
        user=OuterRef(owner),
        workspace=OuterRef(workspace) if isinstance(workspace, str) else workspace,
        role__in=roles_with(Permission.SEE, owns=True, scopes=ALL_SCOPES),
    )
    site = [role for role in SiteRole if Permission.SEE in SITE[role]]
    return Q(Exists(inside)) | Q(**{f"{owner}__role__in": site})


def jobs_for(user: User | AnonymousUser, permission: Permission) -> JobQuerySet:
    """With which the user may do so, deleted ones too."""
    condition = where(user, permission)
    return Job.objects.none() if condition is None else Job.objects.filter(condition)


def visible_jobs(user: User | AnonymousUser) -> JobQuerySet:
    """Every job this user may see, by the token of this request if there is one."""
    return jobs_for(user, Permission.SEE).kept()


def listed_jobs(user: User, workspace: int | None = None) -> JobQuerySet:
    """What lists show: the jobs of one workspace, the one they work in if none is named.

    Raises NoWorkspace; of a workspace that they may not see, no job.
    """
    where = workspaces.current_id(user) if workspace is None else workspace
    if not may(user, Permission.SEE, workspace=where):
        return Job.objects.none()
    return Job.objects.filter(workspace=where).kept()


def workspace_to_submit_in(user: User, workspace: int | None = None) -> int:
    """The one that they work in, if none is named. Raises NoWorkspace, Forbidden and OutOfScope."""
    where = workspaces.current_id(user) if workspace is None else workspace
    if may(user, Permission.SUBMIT, workspace=where):
        return where
    if where not in user.memberships:
        raise NoWorkspace
    if allows(Permission.SUBMIT, site=user.site_role, role=user.memberships[where]):
        raise OutOfScope(Scope.JOBS_WRITE)
    raise Forbidden("Viewers of a workspace make no videos in it; ask to be a creator.")


def access_deleted(user: User | AnonymousUser, job_id: UUID) -> Job:
    """One to bring back, deleted or not, of those who may delete it. Raises NotFound."""
    job = jobs_for(user, Permission.DELETE).to_show().filter(pk=job_id).first()
    if job is None:
        raise NotFound
    return job


def access_job(user: User | AnonymousUser, job_id: UUID, permission: Permission) -> Job:
    """The job with its request.

    Raises NotFound, the same for absent and invisible ones; OutOfScope for what the role allows and
    the token does not; Forbidden for what is to be seen and no more.
    """
    if isinstance(user, AnonymousUser):
        raise NotFound
    if Scope.JOBS_READ not in user.scopes:
        raise OutOfScope(Scope.JOBS_READ)
    job = visible_jobs(user).to_show().filter(pk=job_id).first()
    if job is None:
        raise NotFound
    if may_do(user, permission, job):
        return job
    raise _refusal(user, permission, job)


def access_jobs(
    user: User, wanted: Collection[UUID], permission: Permission, *, deleted: bool = False
) -> tuple[list[Job], dict[UUID, Refusal]]:
    """Those of the wanted ones with which they may do so, and of each other one why not.

    By one query; deleted: also those that were, of those who may delete them. Raises OutOfScope.
    """
    if Scope.JOBS_READ not in user.scopes:
        raise OutOfScope(Scope.JOBS_READ)
    seen = jobs_for(user, Permission.DELETE) if deleted else visible_jobs(user)
    found = {job.pk: job for job in seen.to_show().filter(pk__in=wanted)}
    refused: dict[UUID, Refusal] = {one: NotFound() for one in wanted if one not in found}
    for job in found.values():
        if not may_do(user, permission, job):
            refused[job.pk] = _refusal(user, permission, job)
    return [job for job in found.values() if job.pk not in refused], refused


def _refusal(user: User, permission: Permission, job: Job) -> Refusal:
    """Of what they see and may not do."""
    role, owns = user.memberships.get(job.workspace_id), job.owner_id == user.pk
    if allows(permission, site=user.site_role, role=role, owns=owns):
        return OutOfScope(Scope.ADMIN if Scope.JOBS_WRITE in user.scopes else Scope.JOBS_WRITE)
    return Forbidden(f"Your role in this workspace does not let you {permission} this video.")
