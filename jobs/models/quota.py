"""What was used, of which a quota may be the most. Written by the database: jobs/counters.py."""

from typing import ClassVar

from django.conf import settings
from django.db import models


class GpuSeconds(models.Model):
    """Of the attempts of one person's jobs in one workspace that ended in one month."""

    workspace = models.ForeignKey("accounts.Workspace", models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    month = models.DateField()  # its first day, UTC
    seconds = models.FloatField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["workspace", "month", "user"], name="jobs_seconds_of_a_month"
            )
        ]

    def __str__(self) -> str:
        return f"{self.seconds:.0f} s of {self.user_id} in {self.month:%Y-%m}"


class StoredBytes(models.Model):
    """Of the files of one person's jobs in one workspace, deleted ones too until they are purged.

    No constraint holds it above 0: were it ever wrong, nothing must fail because of it.
    """

    workspace = models.ForeignKey("accounts.Workspace", models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    bytes = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["workspace", "user"], name="jobs_bytes_of_a_person")
        ]

    def __str__(self) -> str:
        return f"{self.bytes} bytes of {self.user_id}"
