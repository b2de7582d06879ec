"""Many jobs at once, for tests of what a list costs."""

# ruff: noqa: S608 - written from our own words

from typing import Any

from django.db import connection
from django.db.models import Model

from accounts.models import User
from jobs import actions, offer
from jobs.models import Artifact, Job, JobRequest

FILES = {"video.mp4": "video/mp4", "poster.png": "image/png", "sprite.jpg": "image/jpeg"}


def fill(owner: User, count: int, *, alike: int = 0, clips: bool = False) -> None:
    """count jobs that ended a minute apart, and before them one that was cancelled just now.

    The first `alike` were made, and ended, in the same moment. One in a hundred was parked, the
    others cancelled; with clips the others succeeded, with rows of FILES that lie in no storage.
    Without their events: the guards do not look at them.
    """
    blank: dict[str, Any] = dict.fromkeys(("size", "frames", "steps", "guidance", "seed"))
    spec = offer.make_spec(model="nano", prompt="a red circle moving right", **blank)
    first = actions.submit(owner=owner, spec=spec)
    actions.cancel(first.pk)
    at = f"timestamptz '2026-01-01 00:00Z' + greatest(0, n - {alike}) * interval '1 minute'"
    ended = "succeeded" if clips else "cancelled"
    job = {
        "id": "gen_random_uuid()",
        "state": f"CASE WHEN n % 100 = 0 THEN 'parked' ELSE '{ended}' END",
        "created_at": at,
        "finished_at": at,
        "cancel_requested_at": "NULL",
    }
    request = {"job_id": "job.id", "prompt": "'a red circle ' || left(job.id::text, 8)"}
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what still waits forbids ALTER TABLE
        for model in (Job, JobRequest, Artifact):
            cursor.execute(f"ALTER TABLE {model._meta.db_table} DISABLE TRIGGER USER")
        cursor.execute(
            f"INSERT INTO jobs_job {_selected(Job, job)}, generate_series(1, {int(count)}) AS n "
            f"WHERE first.id = '{first.pk}'"
        )
        cursor.execute(
            f"INSERT INTO jobs_jobrequest {_selected(JobRequest, request)}, jobs_job AS job "
            f"WHERE first.job_id = '{first.pk}' AND job.owner_id = {owner.pk} "
            "AND NOT EXISTS (SELECT FROM jobs_jobrequest AS asked WHERE asked.job_id = job.id)"
        )
        for name, kind in FILES.items() if clips else ():
            cursor.execute(
                "INSERT INTO jobs_artifact (job_id, attempt, name, key, content_type, size, sha256)"
                " SELECT job.id, 1, %s, 'jobs/' || job.id || '/1/' || %s, %s, 1, repeat('0', 64)"
                " FROM jobs_job AS job WHERE owner_id = %s AND state = 'succeeded'"
                " ON CONFLICT DO NOTHING",
                [name, name, kind, owner.pk],
            )
        for model in (Job, JobRequest, Artifact):
            cursor.execute(f"ALTER TABLE {model._meta.db_table} ENABLE TRIGGER USER")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        cursor.execute("ANALYZE jobs_job")
        cursor.execute("ANALYZE jobs_jobrequest")


def _selected(model: type[Model], changes: dict[str, str]) -> str:
    """The columns, and where each comes from."""
    columns = [str(field.column) for field in model._meta.concrete_fields]
    values = [changes.get(column, f"first.{column}") for column in columns]
    return f"({', '.join(columns)}) SELECT {', '.join(values)} FROM {model._meta.db_table} AS first"
