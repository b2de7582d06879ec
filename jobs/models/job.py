"""A job, what was asked for, and its history."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from jobs import guards
from jobs.lifecycle import FINAL, MAX_RELEASES, State
from jobs.spec import RenderSpec

LEASE = timedelta(seconds=60)
_FINAL = sorted(state.value for state in FINAL)
_UNDONE = sorted(state.value for state in FINAL if state is not State.SUCCEEDED)
_UNFINISHED = sorted(state.value for state in State if state not in FINAL)
_CLIP = Q(state=State.SUCCEEDED.value, deleted_at__isnull=True)


# Every time is Postgres' own: the clocks of web hosts and workers may differ.


class JobQuerySet(models.QuerySet["Job"]):
    def newest_first(self) -> "JobQuerySet":
        return self.order_by("-created_at", "-id")

    def unfinished_of(self, owner: Any) -> "JobQuerySet":
        """By the index jobs_of_owner_unfinished, and by no other: that is what the product is for.

        Of somebody with 100,000 jobs that have ended, the planner would read all of them by
        jobs_of_owner: 173 ms at every submit. So it takes 0.05 ms to count 1,000.
        """
        mine = self.alias(whose=F("owner_id") * 1).filter(whose=getattr(owner, "pk", owner))
        return mine.filter(state__in=_UNFINISHED).order_by("created_at")

    def unfinished_of_any(self, owners: Sequence[Any]) -> "JobQuerySet":
        """By the same index."""
        theirs = self.alias(whose=F("owner_id") * 1).filter(whose__in=owners)
        return theirs.filter(state__in=_UNFINISHED)

    def kept(self) -> "JobQuerySet":
        """Without those that their owners deleted."""
        return self.filter(deleted_at__isnull=True)

    def with_request(self) -> "JobQuerySet":
        return self.select_related("request")

    def to_show(self) -> "JobQuerySet":
        """With all that serializers.jobs_to_dicts tells of them."""
        return self.select_related("request", "workspace", "owner")


class Job(models.Model):
    """The hot columns: claims and leases rewrite this row, so the prompt lives in JobRequest."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="jobs")
    # Who is in it sees the job. A trigger fills it in for a release that does not name it.
    workspace = models.ForeignKey(
        "accounts.Workspace", models.PROTECT, related_name="+", db_index=False
    )
    state = models.CharField(
        max_length=12,
        choices=[(state.value, state.name.title()) for state in State],
        default=State.QUEUED.value,
    )
    version = models.PositiveIntegerField(default=1)  # the seq of its newest event
    pool = models.CharField(max_length=50, default="default")
    priority = models.SmallIntegerField(default=0)  # higher first
    attempt = models.PositiveIntegerField(default=0)  # the fencing token: + 1 with every claim
    releases = models.PositiveIntegerField(default=0)  # attempts handed back unspent
    max_attempts = models.PositiveSmallIntegerField(default=3)
    run_at = models.DateTimeField(db_default=Now())  # not before
    deadline = models.DateTimeField(null=True, blank=True)  # no first start after
    lease_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=200, blank=True)  # who holds the lease
    step = models.PositiveIntegerField(
        default=0
    )  # as of the last renewal; the live side knows better
    # Percent of the steps, the most that any attempt got to: what a program is told never falls.
    progress = models.PositiveSmallIntegerField(default=0, db_default=0)
    # Queued, but its workspace or its owner has as many under way as they may have at a time.
    over_quota = models.BooleanField(default=False, db_default=False)
    # GPU seconds that it is expected to take; what its workspace has spent is counted elsewhere.
    reserved_seconds = models.FloatField(default=0.0, db_default=0.0)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)  # the newest attempt's start
    finished_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    # Hidden since; its files and rows go later, until when it can be brought back.
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[JobQuerySet] = JobQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="jobs_running_holds_a_lease",
                condition=Q(state=State.RUNNING.value, lease_until__isnull=False) & ~Q(worker="")
                | ~Q(state=State.RUNNING.value) & Q(lease_until__isnull=True, worker=""),
            ),
            models.CheckConstraint(
                name="jobs_final_has_an_end",
                condition=Q(state__in=_FINAL, finished_at__isnull=False)
                | ~Q(state__in=_FINAL) & Q(finished_at__isnull=True),
            ),
            models.CheckConstraint(
                name="jobs_spent_within_max",
                condition=Q(attempt__lte=F("max_attempts") + F("releases")),
            ),
            models.CheckConstraint(
                name="jobs_releases_bounded", condition=Q(releases__lte=MAX_RELEASES)
            ),
            models.CheckConstraint(
                name="jobs_success_was_not_cancelled",
                condition=~Q(state=State.SUCCEEDED.value) | Q(cancel_requested_at__isnull=True),
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                F("pool"),
                F("priority") * -1,  # all ascending: one row comparison is a range of it
                F("run_at"),
                F("id"),
                name="jobs_queue",
                condition=Q(state=State.QUEUED.value, over_quota=False),
            ),
            models.Index(  # of those that have no place to run in: jobs/places.py
                F("workspace"),
                F("owner"),
                F("priority") * -1,
                F("run_at"),
                F("id"),
                name="jobs_over_quota",
                condition=Q(state=State.QUEUED.value, over_quota=True),
            ),
            models.Index(
                fields=["lease_until"], name="jobs_leases", condition=Q(state=State.RUNNING.value)
            ),
            models.Index(
                fields=["deadline"],
                name="jobs_deadlines",
                condition=Q(state=State.QUEUED.value, deadline__isnull=False),
            ),
            models.Index(fields=["owner", "-created_at", "-id"], name="jobs_of_owner"),
            models.Index(
                F("owner") * 1,
                F("created_at"),
                name="jobs_of_owner_unfinished",
                include=["owner", "workspace"],  # else no row could be counted by it alone
                condition=Q(state__in=_UNFINISHED),
            ),
            models.Index(fields=["workspace", "-created_at", "-id"], name="jobs_of_workspace"),
            models.Index(
                F("workspace") * 1,
                F("over_quota"),  # so that few places are counted among many jobs
                F("owner") * 1,
                name="jobs_of_workspace_unfinished",
                include=["workspace", "owner", "reserved_seconds"],
                condition=Q(state__in=_UNFINISHED),
            ),
            models.Index(fields=["-created_at", "-id"], name="jobs_newest"),
            models.Index(
                fields=["-finished_at"],
                name="jobs_parked",
                condition=Q(state=State.PARKED.value),
            ),
            models.Index(
                fields=["-finished_at"],
                name="jobs_failed",
                condition=Q(state=State.FAILED.value),
            ),
            # Of the lists of jobs/filters.py: what ended, by its end; and what ended without a
            # video, which among many that succeeded would be long to look for.
            models.Index(
                fields=["owner", "-finished_at", "-id"],
                name="jobs_of_owner_ended",
                condition=Q(finished_at__isnull=False),
            ),
            models.Index(
                fields=["workspace", "-finished_at", "-id"],
                name="jobs_of_workspace_ended",
                condition=Q(finished_at__isnull=False),
            ),
            models.Index(
                fields=["workspace", "-created_at", "-id"],
                name="jobs_of_workspace_undone",
                condition=Q(state__in=_UNDONE),
            ),
            # The library's: clips alone, of a workspace and of one person in it.
            models.Index(
                fields=["workspace", "-created_at", "-id"], name="jobs_clips", condition=_CLIP
            ),
            models.Index(
                fields=["workspace", "owner", "-created_at", "-id"],
                name="jobs_clips_of_owner",
                condition=_CLIP,
            ),
            models.Index(
                fields=["deleted_at"],
                name="jobs_deleted",
                condition=Q(deleted_at__isnull=False),
            ),
            models.Index(  # of jobs/pages/deleted.py
                fields=["workspace", "-deleted_at", "-id"],
                name="jobs_deleted_of_workspace",
                condition=Q(deleted_at__isnull=False),
            ),
        ]
        triggers: ClassVar = guards.JOB

    def __str__(self) -> str:
        return f"job {self.id} ({self.state})"

    @property
    def spent(self) -> int:
        """Attempts used up; those handed back do not count."""
        return self.attempt - self.releases


class JobRequest(models.Model):
    """What was asked for: wide, written once."""

    job = models.OneToOneField(Job, models.CASCADE, primary_key=True, related_name="request")
    prompt = models.TextField()
    spec = models.JSONField()  # RenderSpec.as_dict()
    digest = models.CharField(max_length=64)  # RenderSpec.digest()
    model_digest = models.CharField(
        max_length=64, blank=True
    )  # of the weights, as on offer at submit
    # The job that ended and was tried again as this one; once, so that two clicks make one job.
    retry_of = models.OneToOneField(
        Job, models.SET_NULL, null=True, blank=True, related_name="retried_as"
    )
    remix_of = models.ForeignKey(Job, models.SET_NULL, null=True, blank=True, related_name="+")
    # Of W3C Trace Context: the request that submitted it (jobs/tracing.py); empty: not traced.
    traceparent = models.CharField(max_length=55, blank=True, default="", db_default="")

    class Meta:
        indexes: ClassVar = [
            GinIndex(SearchVector("prompt", config="simple"), name="jobs_prompt_words")
        ]
        triggers: ClassVar = guards.REQUEST

    def __str__(self) -> str:
        return f"request of {self.job_id}"

    def render_spec(self) -> RenderSpec:
        return RenderSpec.from_dict(self.spec)


class JobEvent(models.Model):
    """One fact of a job's history; seq is dense from 1 and equals Job.version at that time."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=30)  # one of jobs.events.FACT_KINDS
    state = models.CharField(max_length=12)
    attempt = models.PositiveIntegerField()
    at = models.DateTimeField(db_default=Now())
    data = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "seq"], name="jobs_event_seq"),
            models.UniqueConstraint(
                fields=["job"], name="jobs_one_final_event", condition=Q(state__in=_FINAL)
            ),
        ]
        triggers: ClassVar = guards.EVENT

    def __str__(self) -> str:
        return f"{self.job_id} #{self.seq} {self.kind}"
