"""Which quotas hold for a workspace and a person in it: the rows' own, else the site's settings."""

from collections.abc import Sequence

from django.conf import settings

from jobs.quotas import COLUMNS, GB, Holder, QuotaSet


def usual(holder: Holder) -> QuotaSet:
    """Where no administrator has set anything else."""
    if holder is Holder.WORKSPACE:
        return QuotaSet(
            running=settings.T2V_QUOTA_RUNNING,
            queued=settings.T2V_QUOTA_QUEUED,
            gpu_seconds=settings.T2V_QUOTA_GPU_SECONDS,
            stored_bytes=settings.T2V_QUOTA_STORAGE_GB * GB,
        )
    return QuotaSet(
        running=settings.T2V_QUOTA_PERSON_RUNNING,
        queued=settings.T2V_MAX_UNFINISHED,
        gpu_seconds=settings.T2V_QUOTA_PERSON_GPU_SECONDS,
        stored_bytes=settings.T2V_QUOTA_PERSON_STORAGE_GB * GB,
    )


def of(holder: Holder, columns: Sequence[int | None]) -> QuotaSet:
    """columns: those of jobs.quotas.COLUMNS, in that order."""
    return usual(holder).overridden(dict(zip(COLUMNS, columns, strict=True)))
