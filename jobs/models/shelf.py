"""What people put onto clips to find them again: favourites, and the tags of a workspace.

Each mark carries the job's created_at, which never changes, so that an index of the marks alone is
the order of a page. Their foreign keys are the database's own (0013): a release that does not know
these tables deletes jobs, people and workspaces, and takes their marks along.
"""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from jobs import counters, tag_name
from jobs.models.job import Job

# Indexed and constrained by hand.
_BARE: dict[str, Any] = {"related_name": "+", "db_index": False, "db_constraint": False}


class Favourite(models.Model):
    """One person's own; nobody else sees it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, **_BARE)
    job = models.ForeignKey(Job, models.CASCADE, **_BARE | {"related_name": "favourites"})
    workspace = models.ForeignKey("accounts.Workspace", models.CASCADE, **_BARE)  # the job's
    job_created_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "user"], name="jobs_favourite_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["user", "workspace", "-job_created_at", "-job"], name="jobs_favourites"
            )
        ]

    def __str__(self) -> str:
        return f"{self.job_id} is a favourite of {self.user_id}"


class Tag(models.Model):
    """A name that a workspace's clips may have, as whoever used it first wrote it."""

    workspace = models.ForeignKey("accounts.Workspace", models.CASCADE, **_BARE)
    name = models.CharField(max_length=tag_name.LONGEST)
    key = models.CharField(max_length=tag_name.LONGEST_KEY)
    # Jobs that have it, deleted ones too until they are purged: jobs/counters.py. Never below 0 but
    # by a bug, which no constraint must turn into a refused deletion.
    used = models.IntegerField(default=0, db_default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["workspace", "key"], name="jobs_tag_once")
        ]

    def __str__(self) -> str:
        return self.name


class JobTag(models.Model):
    """A tag on a job; everybody in the workspace sees it."""

    job = models.ForeignKey(Job, models.CASCADE, **_BARE | {"related_name": "tagged"})
    tag = models.ForeignKey(Tag, models.CASCADE, **_BARE)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, **_BARE | {"db_index": True}
    )
    job_created_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "tag"], name="jobs_tag_on_job_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["tag", "-job_created_at", "-job"], name="jobs_tagged")
        ]
        triggers: ClassVar = counters.JOB_TAG

    def __str__(self) -> str:
        return f"{self.job_id} has tag {self.tag_id}"
