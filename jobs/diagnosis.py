"""All that is known of one job, for whoever finds out why it did not work.

Nothing is secret in it but the prompt and the owner's address, which operators see anyway: no
storage key, no link, no setting.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from jobs.events import PreviewHeader
from jobs.models import Attempt, Checkpoint, Job, JobEvent, JobRequest, KeptPreview, Worker

SCHEMA = 1  # of the bundle; a reader refuses others


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The last preview of a job: a strip of tiles, left to right."""

    header: PreviewHeader
    image: bytes
    kept_at: datetime

    @property
    def content_type(self) -> str:
        return f"image/{self.header.codec}"


def last_picture(job: Job) -> Picture | None:
    """None when none was kept, or another version wrote it."""
    kept = KeptPreview.objects.filter(job=job).first()
    if kept is None:
        return None
    message = bytes(kept.message)
    try:
        header = PreviewHeader.unpack(message)
    except ValueError:
        return None
    image = message[PreviewHeader.FORMAT.size :][: header.size]
    return Picture(header=header, image=image, kept_at=kept.kept_at)


def bundle(job: Job) -> dict[str, Any]:
    """JSON-ready; times are ISO 8601 in UTC, null where there is none."""
    attempts = list(job.attempts.order_by("number"))
    names = {attempt.worker.partition("/")[0] for attempt in attempts}
    again = JobRequest.objects.filter(retry_of=job).values_list("job_id", flat=True).first()
    return {
        "schema": SCHEMA,
        "made_at": _iso(timezone.now()),
        "job": _job(job),
        "request": _request(job.request),
        "attempts": [_attempt(attempt) for attempt in attempts],
        "events": [_event(event) for event in job.events.order_by("seq")],
        "checkpoint": _checkpoint(Checkpoint.objects.filter(job=job).first()),
        "last_preview": _preview(last_picture(job)),
        "workers": [_worker(row) for row in Worker.objects.filter(name__in=names).order_by("name")],
        "retried_as": None if again is None else str(again),
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": str(job.pk),
        "owner": job.owner.email,
        "state": job.state,
        "error_code": job.error_code,
        "error_message": job.error_message,
        "pool": job.pool,
        "priority": job.priority,
        "attempt": job.attempt,
        "releases": job.releases,
        "spent": job.spent,
        "max_attempts": job.max_attempts,
        "worker": job.worker,
        "step": job.step,
        "created_at": _iso(job.created_at),
        "run_at": _iso(job.run_at),
        "deadline": _iso(job.deadline),
        "started_at": _iso(job.started_at),
        "lease_until": _iso(job.lease_until),
        "cancel_requested_at": _iso(job.cancel_requested_at),
        "finished_at": _iso(job.finished_at),
    }


def _request(request: JobRequest) -> dict[str, Any]:
    return {
        "prompt": request.prompt,
        "spec": request.spec,
        "digest": request.digest,
        "model_digest": request.model_digest,
        "retry_of": None if request.retry_of_id is None else str(request.retry_of_id),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "worker": attempt.worker,
        "outcome": attempt.outcome,
        "error_code": attempt.error_code,
        "error_message": attempt.error_message,
        "started_at": _iso(attempt.started_at),
        "ended_at": _iso(attempt.ended_at),
        "fingerprint": attempt.fingerprint,
    }


def _event(event: JobEvent) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "kind": event.kind,
        "state": event.state,
        "attempt": event.attempt,
        "at": _iso(event.at),
        "data": event.data,
    }


def _checkpoint(row: Checkpoint | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "of_job": str(row.source_id),
        "attempt": row.attempt,
        "step": row.step,
        "bytes": row.size,
        "sha256": row.sha256,
        "written_at": _iso(row.written_at),
    }


def _preview(picture: Picture | None) -> dict[str, Any] | None:
    if picture is None:
        return None
    return {
        "attempt": picture.header.attempt,
        "step": picture.header.step,
        "steps": picture.header.steps,
        "frames": picture.header.frames,
        "codec": picture.header.codec,
        "bytes": len(picture.image),
        "kept_at": _iso(picture.kept_at),
    }


def _worker(row: Worker) -> dict[str, Any]:
    """As it is now: under its name another process may have taken over since."""
    return {
        "name": row.name,
        "incarnation": str(row.incarnation),
        "pool": row.pool,
        "device": row.device,
        "started_at": _iso(row.started_at),
        "ready_at": _iso(row.ready_at),
        "seen_at": _iso(row.seen_at),
        "drain_requested_at": _iso(row.drain_requested_at),
        "trouble": row.trouble,
    }
