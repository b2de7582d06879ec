"""What was tried for a job, and what came of it."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from jobs import counters, guards
from jobs.lifecycle import Outcome
from jobs.models.job import Job


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
            # What a render takes that began from noise: jobs/estimates.py reads the newest.
            models.Index(
                fields=["-ended_at"],
                name="jobs_durations",
                condition=Q(outcome=Outcome.SUCCEEDED.value, number=1),
            ),
        ]
        triggers: ClassVar = [*guards.ATTEMPT, *counters.ATTEMPT]

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
    # What else is known of it (jobs.artifacts.Stored); empty before there were any. The default is
    # the database's too: workers of the version before do not name the column.
    facts = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "name"], name="jobs_artifact_name"),
        ]
        triggers: ClassVar = [*guards.ARTIFACT, *counters.ARTIFACT]

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
