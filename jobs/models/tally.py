"""What was counted of the past, and up to where: written by the sweep (jobs/metrics/tallies.py)."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Tally(models.Model):
    """One number of one metric. It only grows, whatever becomes of the jobs that it counted."""

    name = models.CharField(max_length=80)  # as told, with _total, _sum or _bucket
    # Values in the catalogue's order; of a bucket its upper end last, and what lies between it and
    # the bucket before.
    labels = ArrayField(models.CharField(max_length=100))
    value = models.FloatField(default=0.0)  # exact for whole numbers up to 2**53

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name", "labels"], name="jobs_tally_once")
        ]

    def __str__(self) -> str:
        return f"{self.name}{self.labels} {self.value}"


class TallyMark(models.Model):
    """Up to where a table was counted, in one transaction with what was counted."""

    table = models.CharField(primary_key=True, max_length=40)
    counted_to = models.BigIntegerField(default=0)  # id of a row; all up to it are in the tallies
    # How far the next counting goes, as soon as no transaction before next_xid is under way.
    next_to = models.BigIntegerField(default=0)
    next_xid = models.BigIntegerField(default=0)
    looked_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.table} up to {self.counted_to}"
