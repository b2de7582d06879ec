"""Jobs and what belongs to them: fields, constraints, indexes. No verbs: see jobs/actions."""

from jobs.models.attempt import Artifact, Attempt, Checkpoint, KeptPreview
from jobs.models.job import LEASE, Job, JobEvent, JobQuerySet, JobRequest
from jobs.models.quota import GpuSeconds, StoredBytes
from jobs.models.shelf import Favourite, JobTag, Tag
from jobs.models.switch import ModelSwitch
from jobs.models.tally import Tally, TallyMark
from jobs.models.worker import PoolLoad, Worker
from jobs.webhooks.models import Delivery, DeliveryTry, WebhookEndpoint

__all__ = [
    "LEASE",
    "Artifact",
    "Attempt",
    "Checkpoint",
    "Delivery",
    "DeliveryTry",
    "Favourite",
    "GpuSeconds",
    "Job",
    "JobEvent",
    "JobQuerySet",
    "JobRequest",
    "JobTag",
    "KeptPreview",
    "ModelSwitch",
    "PoolLoad",
    "StoredBytes",
    "Tag",
    "Tally",
    "TallyMark",
    "WebhookEndpoint",
    "Worker",
]
