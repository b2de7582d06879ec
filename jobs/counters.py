"""What the database itself counts, whoever writes: GPU seconds by month, bytes in storage, tags.

Triggers in PL/pgSQL, in the transaction of what they count, so that nothing can drift: a worker of
the release before counts too. With the rights of the tables' owner: whoever changes one of these
writes a migration like jobs/migrations/0011 as well. Pure text; jobs/models hangs them on.
"""

import pgtrigger

from jobs.lifecycle import Outcome

# An attempt that ran over the first of the month has its share in both.
_SPENT = """
INSERT INTO jobs_gpuseconds AS kept (workspace_id, user_id, month, seconds)
SELECT job.workspace_id, job.owner_id, part.month::date, part.seconds
FROM jobs_job AS job, (
    SELECT date_trunc('month', NEW.ended_at AT TIME ZONE 'UTC') AS this
) AS month, LATERAL (VALUES
    (date_trunc('month', NEW.started_at AT TIME ZONE 'UTC'), CASE
        WHEN NEW.started_at AT TIME ZONE 'UTC' < month.this
        THEN extract(epoch FROM month.this - NEW.started_at AT TIME ZONE 'UTC') ELSE 0 END),
    (month.this, extract(epoch FROM NEW.ended_at AT TIME ZONE 'UTC'
        - greatest(month.this, NEW.started_at AT TIME ZONE 'UTC')))
) AS part (month, seconds)
WHERE job.id = NEW.job_id AND part.seconds > 0
ON CONFLICT (workspace_id, month, user_id) DO UPDATE SET seconds = kept.seconds + excluded.seconds;
RETURN NULL;
"""


def _stored(rows: str, sign: str) -> str:
    return f"""
INSERT INTO jobs_storedbytes AS kept (workspace_id, user_id, bytes)
SELECT job.workspace_id, job.owner_id, {sign}sum(file.size)
FROM {rows} AS file JOIN jobs_job AS job ON job.id = file.job_id
GROUP BY job.workspace_id, job.owner_id
ON CONFLICT (workspace_id, user_id) DO UPDATE SET bytes = kept.bytes + excluded.bytes;
RETURN NULL;
"""  # noqa: S608 - written from our own words


ATTEMPT = [
    pgtrigger.Trigger(
        name="spent",
        when=pgtrigger.After,
        operation=pgtrigger.Update,
        condition=pgtrigger.Condition(
            f"OLD.outcome = '{Outcome.RUNNING}' AND NEW.outcome <> '{Outcome.RUNNING}'"
        ),
        func=_SPENT,
    )
]
ARTIFACT = [
    pgtrigger.Trigger(
        name="put_counts",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        level=pgtrigger.Statement,
        referencing=pgtrigger.Referencing(new="files"),  # type: ignore[no-untyped-call]
        func=_stored("files", ""),
    ),
    pgtrigger.Trigger(
        name="taken_away_counts",
        when=pgtrigger.After,
        operation=pgtrigger.Delete,
        level=pgtrigger.Statement,
        referencing=pgtrigger.Referencing(old="files"),  # type: ignore[no-untyped-call]
        func=_stored("files", "-"),
    ),
]


def _tagged(sign: str) -> str:
    return f"""
UPDATE jobs_tag AS tag SET used = tag.used {sign} counted.jobs
FROM (SELECT tag_id, count(*) AS jobs FROM marks GROUP BY tag_id) AS counted
WHERE tag.id = counted.tag_id;
RETURN NULL;
"""  # noqa: S608 - written from our own words


JOB_TAG = [
    pgtrigger.Trigger(
        name="tagged_counts",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        level=pgtrigger.Statement,
        referencing=pgtrigger.Referencing(new="marks"),  # type: ignore[no-untyped-call]
        func=_tagged("+"),
    ),
    pgtrigger.Trigger(
        name="untagged_counts",
        when=pgtrigger.After,
        operation=pgtrigger.Delete,
        level=pgtrigger.Statement,
        referencing=pgtrigger.Referencing(old="marks"),  # type: ignore[no-untyped-call]
        func=_tagged("-"),
    ),
]
