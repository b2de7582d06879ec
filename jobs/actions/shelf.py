"""What people do to many clips at once: favourites, tags, and deletion of some that may be deleted.

All or what is allowed: each verb changes what it may in one transaction, and says of each other job
why not. Doing it again changes nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count

from accounts import audit
from accounts.models import User
from accounts.roles import Permission, Scope
from jobs import dispatch
from jobs.access import access_jobs
from jobs.actions.deletion import delete, restore
from jobs.errors import OutOfScope, Refusal, TooManyTagNames, TooManyTags
from jobs.models import Favourite, Job, JobTag, Tag
from jobs.tag_name import TagName

MOST_MARKED = 200  # jobs of one verb
MOST_TAGS = 20  # of one job
MOST_TAG_NAMES = 500  # of one workspace
_LOCK = 0x746167  # "tag": of the advisory lock; the workspace is its second half


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of each job that was named: done (also where nothing was left to do) or refused."""

    done: list[UUID]
    refused: dict[UUID, Refusal] = field(default_factory=dict)
    changed: list[UUID] = field(default_factory=list)  # those of done that were otherwise before


@transaction.atomic
def favourite(user: User, jobs: Collection[UUID]) -> Outcome:
    """Of whatever they see. Raises OutOfScope."""
    found, refused = _seen(user, jobs)
    had = _favourites(user, found)
    fresh = [job for job in found if job.pk not in had]
    Favourite.objects.bulk_create(
        [
            Favourite(
                user=user,
                job=job,
                workspace_id=job.workspace_id,
                job_created_at=job.created_at,
            )
            for job in fresh
        ],
        ignore_conflicts=True,  # of the same person's other page
    )
    return Outcome(done=_ids(found), refused=refused, changed=_ids(fresh))


@transaction.atomic
def unfavourite(user: User, jobs: Collection[UUID]) -> Outcome:
    """Raises OutOfScope."""
    found, refused = _seen(user, jobs)
    had = _favourites(user, found)
    Favourite.objects.filter(user=user, job__in=had).delete()
    return Outcome(
        done=_ids(found), refused=refused, changed=[job.pk for job in found if job.pk in had]
    )


@transaction.atomic
def tag(user: User, jobs: Collection[UUID], name: TagName) -> Outcome:
    """A job that has MOST_TAGS already is refused, and all that a new name is one too many for.

    Raises OutOfScope.
    """
    found, refused = access_jobs(user, jobs, Permission.TAG)
    done: list[UUID] = []
    changed: list[UUID] = []
    for workspace, theirs in _by_workspace(found):
        _lock(workspace)
        try:
            made = _named(workspace, [name])[name.key]
        except TooManyTagNames as refusal:
            refused |= {job.pk: refusal for job in theirs}
            continue
        counts = _counts(theirs)
        has = set(JobTag.objects.filter(job__in=theirs, tag=made).values_list("job", flat=True))
        full = [job for job in theirs if job.pk not in has and counts[job.pk] >= MOST_TAGS]
        fresh = [job for job in theirs if job.pk not in has and counts[job.pk] < MOST_TAGS]
        JobTag.objects.bulk_create([_mark(user, job, made) for job in fresh])
        refused |= {job.pk: TooManyTags(MOST_TAGS) for job in full}
        done += [job.pk for job in theirs if job.pk not in refused]
        changed += _ids(fresh)
        _audit("job.tagged", user, workspace, fresh, name.name)
    return Outcome(done=done, refused=refused, changed=changed)


@transaction.atomic
def untag(user: User, jobs: Collection[UUID], name: TagName) -> Outcome:
    """Raises OutOfScope."""
    found, refused = access_jobs(user, jobs, Permission.TAG)
    changed: list[UUID] = []
    for workspace, theirs in _by_workspace(found):
        _lock(workspace)
        marks = JobTag.objects.filter(job__in=theirs, tag__workspace=workspace, tag__key=name.key)
        has = set(marks.values_list("job", flat=True))
        marks.delete()
        without = [job for job in theirs if job.pk in has]
        changed += _ids(without)
        _audit("job.untagged", user, workspace, without, name.name)
    return Outcome(done=_ids(found), refused=refused, changed=changed)


@transaction.atomic
def set_tags(user: User, job: Job, names: Sequence[TagName]) -> None:
    """These and no others; job is one that they may tag. Raises TooManyTags, TooManyTagNames."""
    wanted = {name.key: name for name in names}
    if len(wanted) > MOST_TAGS:
        raise TooManyTags(MOST_TAGS)
    _lock(job.workspace_id)
    has = {mark.tag.key: mark for mark in job.tagged.select_related("tag")}
    fresh = [name for key, name in wanted.items() if key not in has]
    gone = [mark for key, mark in has.items() if key not in wanted]
    JobTag.objects.filter(pk__in=[mark.pk for mark in gone]).delete()
    if fresh:
        made = _named(job.workspace_id, fresh)
        JobTag.objects.bulk_create([_mark(user, job, made[name.key]) for name in fresh])
    for name in fresh:
        _audit("job.tagged", user, job.workspace_id, [job], name.name)
    for mark in gone:
        _audit("job.untagged", user, job.workspace_id, [job], mark.tag.name)


@transaction.atomic
def delete_several(user: User, jobs: Collection[UUID]) -> Outcome:
    """Raises OutOfScope."""
    found, refused = access_jobs(user, jobs, Permission.DELETE)
    for job in _in_order(found):
        delete(job.pk, by=user, tell=False)
    for owner in {job.owner_id for job in found}:
        transaction.on_commit(partial(dispatch.rights_changed, owner))
    return Outcome(done=_ids(found), refused=refused, changed=_ids(found))


@transaction.atomic
def restore_several(user: User, jobs: Collection[UUID]) -> Outcome:
    """Raises OutOfScope."""
    found, refused = access_jobs(user, jobs, Permission.DELETE, deleted=True)
    for job in _in_order(found):
        try:
            restore(job.pk, by=user)
        except Refusal as refusal:  # it is refused before anything is written
            refused[job.pk] = refusal
    done = [job for job in found if job.pk not in refused]
    changed = [job.pk for job in done if job.deleted_at is not None]
    return Outcome(done=_ids(done), refused=refused, changed=changed)


def _seen(user: User, jobs: Collection[UUID]) -> tuple[list[Job], dict[UUID, Refusal]]:
    """To have one among one's favourites needs no role, but a token that may write."""
    if Scope.JOBS_WRITE not in user.scopes:
        raise OutOfScope(Scope.JOBS_WRITE)
    return access_jobs(user, jobs, Permission.SEE)


def _favourites(user: User, jobs: list[Job]) -> set[UUID]:
    return set(Favourite.objects.filter(user=user, job__in=jobs).values_list("job", flat=True))


def _ids(jobs: Iterable[Job]) -> list[UUID]:
    return [job.pk for job in jobs]


def _in_order(jobs: list[Job]) -> list[Job]:
    """Two people's locks on the same rows then wait for each other and never both."""
    return sorted(jobs, key=lambda job: job.pk)


def _by_workspace(jobs: list[Job]) -> list[tuple[int, list[Job]]]:
    """In one order everywhere, as the locks are taken."""
    found: defaultdict[int, list[Job]] = defaultdict(list)
    for job in jobs:
        found[job.workspace_id].append(job)
    return sorted(found.items())


def _lock(workspace: int) -> None:
    """Until the end of the transaction nobody else changes the workspace's tags.

    So what is counted here holds, and nobody waits for each other crosswise.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, str(workspace)])


def _named(workspace: int, names: Sequence[TagName]) -> dict[str, Tag]:
    """The workspace's tags of those names, by key; new ones are made. Raises TooManyTagNames.

    Those on no job make room first. Call under the lock.
    """
    known = Tag.objects.filter(workspace=workspace)
    found = {one.key: one for one in known.filter(key__in=[name.key for name in names])}
    fresh = [name for name in names if name.key not in found]
    if fresh and known.count() + len(fresh) > MOST_TAG_NAMES:
        known.filter(used__lte=0).exclude(pk__in=[one.pk for one in found.values()]).delete()
        if known.count() + len(fresh) > MOST_TAG_NAMES:
            raise TooManyTagNames(MOST_TAG_NAMES)
    for name in fresh:
        found[name.key] = Tag.objects.create(workspace_id=workspace, name=name.name, key=name.key)
    return found


def _counts(jobs: list[Job]) -> dict[UUID, int]:
    """Tags of each job."""
    rows = JobTag.objects.filter(job__in=jobs).values_list("job").annotate(Count("pk"))
    return defaultdict(int, dict(rows))


def _mark(user: User, job: Job, made: Tag) -> JobTag:
    return JobTag(job=job, tag=made, made_by=user, job_created_at=job.created_at)


def _audit(verb: str, user: User, workspace: int, jobs: list[Job], name: str) -> None:
    """One entry for all of them; none where nothing changed."""
    if not jobs:
        return
    subject, number = str(jobs[0].pk), len(jobs)
    audit.record(verb, actor=user, workspace=workspace, subject=subject, tag=name, jobs=number)
