"""What attempts left in storage and nobody refers to, taken away; pictures of parked jobs, kept.

Idempotent, any number of copies at once: a file goes before its attempt is marked, so that a crash
between the two only looks again.
"""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from redis.exceptions import RedisError

from jobs import artifacts, stream
from jobs.actions.deletion import kept_for
from jobs.artifacts import StorageUnavailable
from jobs.lifecycle import FINAL, Outcome, State
from jobs.metrics import tallies
from jobs.models import Artifact, Attempt, Checkpoint, Job, KeptPreview

CHECKPOINT_DAYS = 7  # a parked job may be tried again from its checkpoint for so long


def purge(*, at_most: int = 50) -> int:
    """Attempts cleared away in this round. Raises DatabaseError and StorageUnavailable.

    An attempt is due T2V_ORPHAN_HOURS after its end, when nobody can go on from it any more.
    """
    Checkpoint.objects.filter(
        job__state__in=FINAL, job__finished_at__lt=Now() - timedelta(days=CHECKPOINT_DAYS)
    ).delete()
    used = Checkpoint.objects.filter(source=OuterRef("job"), attempt=OuterRef("number"))
    due = (
        Attempt.objects.filter(
            ~Exists(used),
            purged_at__isnull=True,
            ended_at__lte=Now() - timedelta(hours=settings.T2V_ORPHAN_HOURS),
        )
        .exclude(outcome=Outcome.RUNNING)
        .order_by("ended_at")
    )
    rows = list(due.values_list("pk", "job_id", "number")[:at_most])
    refused: StorageUnavailable | None = None
    cleared = 0
    for pk, job, number in rows:
        try:
            clear(job, number)
        except StorageUnavailable as error:
            if refused is not None:
                raise  # twice is no single file that cannot go
            refused = error  # it must not stand before all others for ever
            continue
        Attempt.objects.filter(pk=pk).update(purged_at=Now())
        cleared += 1
    if refused is not None:
        raise refused
    return cleared


def purge_deleted(*, at_most: int = 20) -> int:
    """Jobs taken away whole in this round. Raises DatabaseError and StorageUnavailable.

    Of those that were deleted T2V_DELETED_HOURS ago and have ended. The files go before the rows:
    a crash between the two only does it again, and nobody can bring such a job back. One from
    whose checkpoint another goes on waits for that, and one whose end no metric counts yet for it.
    """
    elsewhere = Checkpoint.objects.filter(source=OuterRef("pk")).exclude(job=OuterRef("pk"))
    due = Job.objects.filter(
        ~Exists(elsewhere), deleted_at__lte=Now() - kept_for(), state__in=FINAL
    ).order_by("deleted_at")
    refused: StorageUnavailable | None = None
    gone = 0
    for job in list(due.values_list("pk", flat=True)[:at_most]):
        if tallies.uncounted(job):
            continue
        try:
            for attempt in Attempt.objects.filter(job=job).values_list("number", flat=True):
                for name in artifacts.names_in(job, attempt):
                    artifacts.delete(artifacts.key_for(job, attempt, name))
        except StorageUnavailable as error:
            if refused is not None:
                raise  # twice is no single file that cannot go
            refused = error
            continue
        # Another copy of this may have been here.
        gone += bool(due.filter(pk=job).delete()[0])
    if refused is not None:
        raise refused
    return gone


def clear(job: UUID, attempt: int) -> None:
    """Deletes what lies there of an attempt that ended, but what somebody refers to.

    Raises DatabaseError and StorageUnavailable.
    """
    for key in unreferenced(job, attempt):
        artifacts.delete(key)


def unreferenced(job: UUID, attempt: int) -> list[str]:
    """Keys in an attempt's folder to which no row refers.

    Raises DatabaseError and StorageUnavailable.
    """
    names = artifacts.names_in(job, attempt)
    return without_row({artifacts.key_for(job, attempt, name) for name in names})


def without_row(keys: set[str]) -> list[str]:
    """Those of these keys to which no row refers. Raises DatabaseError."""
    keys = keys - set(Artifact.objects.filter(key__in=keys).values_list("key", flat=True))
    keys -= set(Checkpoint.objects.filter(key__in=keys).values_list("key", flat=True))
    return sorted(keys)


def keep_previews(*, at_most: int = 20) -> int:
    """Copies the last previews of jobs parked lately, while Redis has them; how many.

    Raises DatabaseError; a Redis that is away costs the picture.
    """
    lately = Now() - timedelta(seconds=stream.PREVIEW_SECONDS)
    parked = Job.objects.filter(
        state=State.PARKED, finished_at__gt=lately, kept_preview__isnull=True
    ).order_by("-finished_at")
    kept = 0
    for job in parked.values_list("pk", flat=True)[:at_most]:
        try:
            message = stream.last_preview(job)
        except RedisError:
            return kept
        if message is not None:
            KeptPreview.objects.bulk_create(
                [KeptPreview(job_id=job, message=message)], ignore_conflicts=True
            )
            kept += 1
    return kept
