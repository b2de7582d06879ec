"""One job's whole life, for whoever operates the site: `manage.py job-story ID`.

What jobs/diagnosis.py knows, and what other tables know of it: files, webhooks, the audit log, the
trace. Everything is bounded. jobs/biography_words.py tells it on a terminal.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.models import AuditEntry
from jobs import diagnosis, outlook, places, queue
from jobs.lifecycle import State
from jobs.models import Artifact, Delivery, Job, JobEvent

SHORTEST = 4  # hexadecimal digits of an id that is looked for by its beginning
FIRST_EVENTS, LAST_EVENTS = 20, 180  # of more, those between are left out
MOST = 50  # files, deliveries, audit entries
BATCH = timedelta(microseconds=500)  # jobs/actions/batches.py: a microsecond between two


class NoSuchJob(Exception):
    """Says what to do."""


def find(text: str) -> Job:
    """By its id, or by the beginning of it that no other job's has. Raises NoSuchJob."""
    digits = text.strip().lower().replace("-", "")
    if not re.fullmatch(r"[0-9a-f]{1,32}", digits) or len(digits) < SHORTEST:
        raise NoSuchJob(f"{text!r} is no id of a job, nor {SHORTEST} digits or more of one.")
    first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    found = list(Job.objects.to_show().filter(pk__gte=first, pk__lte=last).order_by("pk")[:2])
    if not found:
        raise NoSuchJob(f"There is no job {text}: or it was deleted, and taken away since.")
    if len(found) > 1:
        raise NoSuchJob(f"{text} begins the ids of several jobs; write more of it.")
    return found[0]


def life_of(job: Job, *, prompt: bool) -> dict[str, Any]:
    """JSON-ready; times are ISO 8601 in UTC. job: as find gives it. A dozen queries.

    prompt: whether it is told; it belongs to its owner.
    """
    told = diagnosis.bundle(job)
    asked = told["request"]
    hidden = {} if prompt else {"prompt": None}
    told["request"] = {**asked, **hidden, "prompt_characters": len(asked["prompt"])}
    told["request"]["spec"] = {**asked["spec"], **hidden}
    told["job"] |= {"workspace": job.workspace.slug, "deleted_at": _iso(job.deleted_at)}
    events = told["events"]
    if len(events) > FIRST_EVENTS + LAST_EVENTS:
        told["events"] = events[:FIRST_EVENTS] + events[-LAST_EVENTS:]
    audit = _audit(job)
    return told | {
        "events_left_out": len(events) - len(told["events"]),
        "waits": _waits(job),
        "submitted_by_request": next((each["request"] for each in audit if each["made_it"]), ""),
        "trace": job.request.traceparent[3:35],
        "files": [_file(row) for row in Artifact.objects.filter(job=job).order_by("name")[:MOST]],
        "deliveries": [
            _delivery(row)
            for row in Delivery.objects.filter(job=job).order_by("created_at", "id")[:MOST]
        ],
        "audit": audit,
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _waits(job: Job) -> dict[str, Any] | None:
    """Where and why; None of a job that does not wait."""
    if job.state != State.QUEUED:
        return None
    place, held = queue.places([job.pk]).get(job.pk), places.words([job]).get(job.pk)
    found = outlook.outlook_of(job, place=place, held=held)
    return None if found is None else found.as_dict() | {"place": place}


def _file(row: Artifact) -> dict[str, Any]:
    return {
        "name": row.name,
        "attempt": row.attempt,
        "bytes": row.size,
        "sha256": row.sha256,
        "created_at": _iso(row.created_at),
    }


def _delivery(row: Delivery) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "endpoint": str(row.endpoint_id),
        "kind": row.kind,
        "state": row.state,
        "tries": row.tries,
        "last_status": row.last_status,
        "last_error": row.last_error,
        "created_at": _iso(row.created_at),
        "next_at": _iso(row.next_at),
        "delivered_at": _iso(row.delivered_at),
    }


def _audit(job: Job) -> list[dict[str, Any]]:
    """The oldest first, what made the job among them: a retry's stands with the job before it."""
    own = AuditEntry.objects.filter(subject=str(job.pk)).order_by("at", "id")[:MOST]
    entries = {row.pk: row for row in (*_made(job), *own)}
    return [_entry(row, job) for row in sorted(entries.values(), key=lambda row: (row.at, row.pk))]


def _made(job: Job) -> Iterable[AuditEntry]:
    before = job.request.retry_of_id
    if before is not None:
        retried = AuditEntry.objects.filter(subject=str(before), verb="job.retried")
        return retried.filter(data__retried_as=str(job.pk)).order_by("-at")[:1]
    # Of a batch one entry is written, with its first job's id.
    batch = Job.objects.filter(
        owner=job.owner_id, created_at__gte=job.created_at - BATCH, created_at__lte=job.created_at
    )
    ids = [
        str(pk) for pk in batch.order_by("-created_at", "-id").values_list("pk", flat=True)[:500]
    ]
    submitted = AuditEntry.objects.filter(subject__in=ids, verb="job.submitted").order_by("-at")
    mine = [row for row in submitted[:MOST] if _is_of(row, job)]
    return mine[:1]


def _is_of(row: AuditEntry, job: Job) -> bool:
    return row.subject == str(job.pk) or int(row.data.get("jobs", 1)) > 1


def _entry(row: AuditEntry, job: Job) -> dict[str, Any]:
    makes = row.verb == "job.submitted" or row.data.get("retried_as") == str(job.pk)
    return {
        "at": _iso(row.at),
        "verb": row.verb,
        "actor": row.actor,
        "via": row.via,
        "request": row.request_id,
        "data": row.data,
        "made_it": makes,
    }


def facts_of(job: Job, told: dict[str, Any]) -> list[JobEvent]:
    """Its events as rows again, for jobs/story.py's words."""
    return [
        JobEvent(
            job_id=job.pk,
            seq=each["seq"],
            kind=each["kind"],
            state=each["state"],
            attempt=each["attempt"],
            at=datetime.fromisoformat(each["at"]),
            data=each["data"],
        )
        for each in told["events"]
    ]
