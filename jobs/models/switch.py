"""What operators have changed about the models on offer."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class ModelSwitch(models.Model):
    """One model of the models file, switched off or narrowed. No row: as the file says."""

    name = models.CharField(primary_key=True, max_length=100)
    on = models.BooleanField(default=True)
    max_frames = models.PositiveIntegerField(null=True, blank=True)  # of a clip; null: the file's
    max_steps = models.PositiveIntegerField(null=True, blank=True)  # of denoising; null: the file's
    note = models.CharField(max_length=200, blank=True)  # why, for those who are refused
    changed_at = models.DateTimeField(db_default=Now())
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~Q(max_frames=0) & ~Q(max_steps=0), name="jobs_switch_limits_leave_some"
            )
        ]

    def __str__(self) -> str:
        return self.name
