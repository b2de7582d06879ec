"""Who renders, and what lies before them."""

from django.db import models
from django.db.models.functions import Now


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
    # What its last sign of life told: {"models": [names loaded], "memory_used": bytes,
    # "memory_total": bytes, "self_test": {"model", "seconds"} or {"failed": why}, and of a GPU
    # "gpu_utilisation": 0 to 1, "gpu_celsius", "gpu_watts"}; {"left": true} of one that ended in
    # order, {"spot": true} of one that may be taken away; empty of an older release's worker.
    facts = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))

    def __str__(self) -> str:
        return self.name


class PoolLoad(models.Model):
    """What the sweep last saw of a pool: one row, so that no request reads the queue itself."""

    pool = models.CharField(primary_key=True, max_length=50)
    queued = models.PositiveIntegerField(default=0)  # jobs.estimates.COUNTED at the most
    queued_seconds = models.FloatField(null=True, blank=True)  # of rendering; null: no past
    running = models.PositiveIntegerField(default=0)
    running_seconds = models.FloatField(null=True, blank=True)  # until all that renders is done
    workers = models.PositiveIntegerField(default=0)  # that live and take jobs
    paces = models.JSONField(default=dict)  # jobs.forecast.Pace by jobs.estimates.kind_of
    took_seconds = models.FloatField(default=0.0)  # the look itself
    refreshed_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"load of {self.pool}"
