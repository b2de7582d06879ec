"""Jobs and what belongs to them: fields, constraints, indexes. No verbs: see jobs/actions."""

import uuid
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from jobs import guards
from jobs.lifecycle import FINAL, MAX_RELEASES, Outcome, State
from jobs.spec import RenderSpec

LEASE = timedelta(seconds=60)
_FINAL = sorted(state.value for state in FINAL)
_UNFINISHED = sorted(state.value for state in State if state not in FINAL)


# Every time is Postgres' own: the clocks of web hosts and workers may differ.


class JobQuerySet(models.QuerySet["Job"]):
    def newest_first(self) -> "JobQuerySet":
        return self.order_by("-created_at", "-id")

    def unfinished_of(self, owner: Any) -> "JobQuerySet":
        """By the index jobs_unfinished, which needs just these words to be taken."""
        return self.filter(owner=owner, state__in=_UNFINISHED).order_by("created_at")

    def with_request(self) -> "JobQuerySet":
        return self.select_related("request")


class Job(models.Model):
    """The hot columns: claims and leases rewrite this row, so the prompt lives in JobRequest."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="jobs")
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
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)  # the newest attempt's start
    finished_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001 - NULLs are never equal

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
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"], name="jobs_one_job_per_idempotency_key"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                F("pool"),
                F("priority") * -1,  # all ascending: one row comparison is a range of it
                F("run_at"),
                F("id"),
                name="jobs_queue",
                condition=Q(state=State.QUEUED.value),
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
                fields=["owner", "created_at"],
                name="jobs_unfinished",
                condition=Q(state__in=_UNFINISHED),
            ),
            models.Index(fields=["-created_at", "-id"], name="jobs_newest"),
            models.Index(
                fields=["-finished_at"],
                name="jobs_parked",
                condition=Q(state=State.PARKED.value),
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

    class Meta:
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


class Attempt(models.Model):
    job = models.ForeignKey(Job, models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    worker = models.CharField(max_length=200)
    outcome = models.CharField(
        max_length=12,
        choices=[(outcome.value, outcome.name.title()) for outcome in Outcome],
        default=Outcome.RUNNING.value,
    )
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    fingerprint = models.JSONField(default=dict)  # what a bit-identical repeat depends on
    # Since when storage holds nothing of it but what somebody refers to.
    purged_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "number"], name="jobs_attempt_number"),
            models.UniqueConstraint(
                fields=["job"],
                name="jobs_one_live_attempt",
                condition=Q(outcome=Outcome.RUNNING.value),
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["ended_at"],
                name="jobs_unpurged",
                condition=Q(purged_at__isnull=True) & ~Q(outcome=Outcome.RUNNING.value),
            ),
        ]
        triggers: ClassVar = guards.ATTEMPT

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.job_id}"


class Artifact(models.Model):
    """A file of the attempt that succeeded; the key carries the attempt."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="artifacts")
    attempt = models.PositiveIntegerField()
    name = models.CharField(max_length=50)  # one of jobs.artifacts.CONTENT_TYPES
    key = models.CharField(max_length=300, unique=True)
    content_type = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField()  # bytes
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "name"], name="jobs_artifact_name"),
        ]
        triggers: ClassVar = guards.ARTIFACT

    def __str__(self) -> str:
        return self.key


class Checkpoint(models.Model):
    """From where a job goes on: the newest file of one of its attempts, or of the job it retries.

    Gone when the job ends, except for PARKED ones, where a retry may still want it.
    """

    job = models.OneToOneField(Job, models.CASCADE, primary_key=True, related_name="checkpoint")
    source = models.ForeignKey(Job, models.CASCADE, related_name="+")  # whose attempt wrote it
    attempt = models.PositiveIntegerField()
    step = models.PositiveIntegerField()  # denoising steps done
    key = models.CharField(max_length=300)
    size = models.PositiveBigIntegerField()  # bytes
    sha256 = models.CharField(max_length=64)
    written_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["source", "attempt"], name="jobs_checkpoint_source")
        ]

    def __str__(self) -> str:
        return f"{self.key} (step {self.step})"


class KeptPreview(models.Model):
    """The last preview of a parked job, for whoever looks into why; Redis forgets it."""

    job = models.OneToOneField(Job, models.CASCADE, primary_key=True, related_name="kept_preview")
    message = models.BinaryField()  # as sent: jobs.events.PreviewHeader and its image, ≤ 30 KB
    kept_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"last preview of {self.job_id}"


class Worker(models.Model):
    """A GPU child that serves a pool; a new process under an old name replaces it."""

    name = models.CharField(primary_key=True, max_length=150)
    incarnation = models.UUIDField()  # one process's life
    pool = models.CharField(max_length=50)
    device = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField(db_default=Now())
    ready_at = models.DateTimeField(null=True, blank=True)  # its first model is loaded
    seen_at = models.DateTimeField(db_default=Now())
    drain_requested_at = models.DateTimeField(null=True, blank=True)  # by an operator
    trouble = models.CharField(max_length=200, blank=True)  # why it takes no job now

    def __str__(self) -> str:
        return self.name
