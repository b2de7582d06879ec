"""What must be true of the rows at every moment, as SQL: the promises of walk_promises.py.

One statement, so that it sees one moment even while workers write. Needs no Django: any cursor of
this database will do. Used by the state machine and by the chaos run.
"""

# ruff: noqa: S608 - written from our own words

from collections import defaultdict
from typing import Any

from jobs.lifecycle import FINAL, Outcome, State

_FINALS = ", ".join(f"'{state}'" for state in sorted(FINAL))
_RETRIED = f"'{State.PARKED}', '{State.CANCELLED}', '{State.EXPIRED}'"

# Name → the ids of the jobs for which it is not so.
CHECKS = {
    "I1 running if and only if one attempt, the newest, is live": f"""
        SELECT job.id FROM jobs_job AS job
        LEFT JOIN jobs_attempt AS live
            ON live.job_id = job.id AND live.outcome = '{Outcome.RUNNING}'
        GROUP BY job.id
        HAVING count(live.id) <> (job.state = '{State.RUNNING}')::int
            OR bool_or(live.number <> job.attempt OR live.worker <> job.worker)""",
    "I1 running if and only if it holds a lease": f"""
        SELECT id FROM jobs_job
        WHERE (state = '{State.RUNNING}') <> (lease_until IS NOT NULL)
            OR (state = '{State.RUNNING}') <> (worker <> '')""",
    "I2 the attempts are numbered from 1 to the job's attempt": """
        SELECT job.id FROM jobs_job AS job LEFT JOIN jobs_attempt AS one ON one.job_id = job.id
        GROUP BY job.id
        HAVING count(one.id) <> job.attempt
            OR count(one.id) FILTER (WHERE one.number BETWEEN 1 AND job.attempt) <> job.attempt""",
    "I2 every attempt was claimed once": """
        SELECT job.id FROM jobs_job AS job
        LEFT JOIN jobs_jobevent AS event ON event.job_id = job.id AND event.kind = 'claimed'
        GROUP BY job.id
        HAVING count(event.id) <> job.attempt
            OR count(DISTINCT event.attempt) <> job.attempt""",
    "I3 an attempt ends once, when it has an outcome": f"""
        SELECT job_id FROM jobs_attempt
        WHERE (outcome = '{Outcome.RUNNING}') <> (ended_at IS NULL)""",
    "I3 final if and only if it has an end": f"""
        SELECT id FROM jobs_job WHERE (state IN ({_FINALS})) <> (finished_at IS NOT NULL)""",
    "I4 succeeded if and only if its video is there": f"""
        SELECT job.id FROM jobs_job AS job
        LEFT JOIN jobs_artifact AS video ON video.job_id = job.id AND video.name = 'video.mp4'
        WHERE (job.state = '{State.SUCCEEDED}') <> (video.id IS NOT NULL)""",
    "I4 files are the succeeded attempt's, with its number in the key": f"""
        SELECT job.id FROM jobs_job AS job JOIN jobs_artifact AS file ON file.job_id = job.id
        WHERE job.state <> '{State.SUCCEEDED}' OR file.attempt <> job.attempt
            OR file.key <> 'jobs/' || job.id || '/' || job.attempt || '/' || file.name""",
    "I4 a file has its size and its hash": """
        SELECT job_id FROM jobs_artifact WHERE size = 0 OR sha256 !~ '^[0-9a-f]{64}$'""",
    "I4 succeeded if and only if its newest attempt did, and no other": f"""
        SELECT job.id FROM jobs_job AS job LEFT JOIN jobs_attempt AS one ON one.job_id = job.id
        GROUP BY job.id
        HAVING count(one.id) FILTER (WHERE one.outcome = '{Outcome.SUCCEEDED}')
            <> (job.state = '{State.SUCCEEDED}')::int
            OR bool_or(one.outcome = '{Outcome.SUCCEEDED}' AND one.number <> job.attempt)""",
    "I5 no more attempts are spent than allowed": """
        SELECT id FROM jobs_job WHERE attempt - releases > max_attempts OR attempt < releases""",
    "I5 releases count what was released": f"""
        SELECT job.id FROM jobs_job AS job LEFT JOIN jobs_attempt AS one ON one.job_id = job.id
        GROUP BY job.id
        HAVING count(one.id) FILTER (WHERE one.outcome = '{Outcome.RELEASED}') <> job.releases""",
    "I5 parked when all attempts are spent, waiting only before that": f"""
        SELECT id FROM jobs_job
        WHERE state = '{State.PARKED}' AND attempt - releases < max_attempts
            OR state = '{State.QUEUED}' AND attempt - releases >= max_attempts""",
    "I5 failed only when its newest attempt says so": f"""
        SELECT job.id FROM jobs_job AS job
        LEFT JOIN jobs_attempt AS one ON one.job_id = job.id AND one.number = job.attempt
        WHERE job.state = '{State.FAILED}' AND one.outcome IS DISTINCT FROM '{Outcome.FAILED}'""",
    "I6 nothing but its end follows an accepted cancel, and that only when asked": f"""
        SELECT id FROM jobs_job
        WHERE state = '{State.CANCELLED}' AND cancel_requested_at IS NULL
            OR state NOT IN ('{State.RUNNING}', '{State.CANCELLED}')
                AND cancel_requested_at IS NOT NULL""",
    "I6 a cancel that was asked for has its event": """
        SELECT job.id FROM jobs_job AS job
        WHERE (cancel_requested_at IS NOT NULL) <> EXISTS (SELECT FROM jobs_jobevent AS event
            WHERE event.job_id = job.id AND event.kind IN ('cancel_requested', 'cancelled'))""",
    "I6 expired after its deadline, and only what nobody began": f"""
        SELECT id FROM jobs_job WHERE state = '{State.EXPIRED}'
            AND (deadline IS NULL OR deadline > finished_at OR attempt > 0)""",
    # Of the job's own start alone: an attempt's row is written by a later statement of the claim.
    "I6 begun before its deadline": """
        SELECT id FROM jobs_job WHERE attempt = 1 AND started_at > deadline""",
    "I7 events are dense from 1 to the version": """
        SELECT job.id FROM jobs_job AS job
        LEFT JOIN jobs_jobevent AS event ON event.job_id = job.id
        GROUP BY job.id
        HAVING count(event.id) <> job.version
            OR count(event.id) FILTER (WHERE event.seq BETWEEN 1 AND job.version) <> job.version""",
    "I7 the newest event says what the job is": """
        SELECT job.id FROM jobs_job AS job
        LEFT JOIN jobs_jobevent AS event ON event.job_id = job.id AND event.seq = job.version
        WHERE (event.state, event.attempt) IS DISTINCT FROM (job.state, job.attempt)""",
    "I7 one final event, of a final job": f"""
        SELECT job.id FROM jobs_job AS job
        LEFT JOIN jobs_jobevent AS event ON event.job_id = job.id AND event.state IN ({_FINALS})
        GROUP BY job.id
        HAVING count(event.id) <> (job.state IN ({_FINALS}))::int""",
    "I7 every job says what was asked for": """
        SELECT job.id FROM jobs_job AS job
        WHERE NOT EXISTS (SELECT FROM jobs_jobrequest AS asked WHERE asked.job_id = job.id)""",
    "I7 only what ended undone is tried again": f"""
        SELECT asked.job_id FROM jobs_jobrequest AS asked
        JOIN jobs_job AS old ON old.id = asked.retry_of_id
        WHERE old.state NOT IN ({_RETRIED})""",
    "I9 a checkpoint is kept only while somebody may go on from it": f"""
        SELECT job.id FROM jobs_checkpoint AS saved JOIN jobs_job AS job ON job.id = saved.job_id
        WHERE job.state IN ({_FINALS}) AND job.state <> '{State.PARKED}'""",
    "I9 a checkpoint is of the job or of the one it retries, in its own key": """
        SELECT saved.job_id FROM jobs_checkpoint AS saved
        JOIN jobs_job AS source ON source.id = saved.source_id
        LEFT JOIN jobs_jobrequest AS asked ON asked.job_id = saved.job_id
        WHERE saved.source_id <> saved.job_id
                AND saved.source_id IS DISTINCT FROM asked.retry_of_id
            OR saved.attempt NOT BETWEEN 1 AND source.attempt OR saved.size = 0
            OR NOT starts_with(saved.key, 'jobs/' || source.id || '/' || saved.attempt || '/')""",
}

SHOWN = 5  # ids of each kind

_ALL = " UNION ALL ".join(
    f"SELECT {number} AS number, found.* FROM ({sql}) AS found (id)"
    for number, sql in enumerate(CHECKS.values())
)


def violations(cursor: Any) -> list[str]:
    """One line for each promise that does not hold, with the first jobs for which it does not."""
    cursor.execute(f"{_ALL} ORDER BY 1, 2")
    found: dict[str, list[str]] = defaultdict(list)
    names = list(CHECKS)
    for number, job in cursor.fetchall():
        found[names[number]].append(str(job))
    return [
        f"{name}: {', '.join(jobs[:SHOWN])}"
        + (f" and {len(jobs) - SHOWN} more" * (len(jobs) > SHOWN))
        for name, jobs in found.items()
    ]
