"""What the database itself refuses, whoever asks: a person in psql, the admin, a bug of ours.

Triggers in PL/pgSQL, written from jobs/lifecycle.py's table. A refusal is a check violation
(IntegrityError) that names the rule as its constraint. Pure text; jobs/models hangs them on.
"""

import pgtrigger

from jobs.lifecycle import FINAL, TABLE, Outcome, State

_FINALS = ", ".join(f"'{state.value}'" for state in sorted(FINAL))
_PAIRS = ", ".join(
    f"('{before.value}', '{after.value}')"
    for before, after in sorted({(state, to) for (state, _), to in TABLE.items()})
)


def _refuse(rule: str, words: str) -> str:
    """words: an SQL expression of type text."""
    return (
        f"RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = '{rule}', "
        f"MESSAGE = {words};"
    )


_JOB_CHANGES = f"""
IF OLD.state IN ({_FINALS}) THEN
    OLD.deleted_at := NEW.deleted_at;  -- hidden, or brought back
    OLD.workspace_id := coalesce(OLD.workspace_id, NEW.workspace_id);  -- of before there were any
    IF NEW IS DISTINCT FROM OLD THEN
        {_refuse("jobs_final_never_changes", "format('job %s is %s for good', OLD.id, OLD.state)")}
    END IF;
    RETURN NEW;
END IF;
IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN ({_PAIRS}) THEN
    {_refuse("jobs_move_in_table", "format('no move leads from %s to %s', OLD.state, NEW.state)")}
END IF;
IF NEW.attempt - OLD.attempt <>
    (OLD.state = '{State.QUEUED}' AND NEW.state = '{State.RUNNING}')::int THEN
    {_refuse("jobs_attempt_counts_claims", "'the attempt grows by one with every claim'")}
END IF;
IF NEW.releases - OLD.releases NOT IN (0,
    (OLD.state = '{State.RUNNING}' AND NEW.state = '{State.QUEUED}')::int) THEN
    {_refuse("jobs_releases_count_releases", "'releases grow by one with a release'")}
END IF;
IF NEW.version - OLD.version NOT IN ((NEW.state <> OLD.state)::int, 1) THEN
    {_refuse("jobs_version_counts_events", "'the version grows by one with every move'")}
END IF;
IF OLD.cancel_requested_at IS NOT NULL
    AND NEW.cancel_requested_at IS DISTINCT FROM OLD.cancel_requested_at THEN
    {_refuse("jobs_cancel_stays", "'a cancel that was asked for stays asked for'")}
END IF;
IF (NEW.id, NEW.owner_id, NEW.workspace_id, NEW.created_at) IS DISTINCT FROM
    (OLD.id, OLD.owner_id, coalesce(OLD.workspace_id, NEW.workspace_id), OLD.created_at) THEN
    {_refuse("jobs_identity_stays", "'id, owner, workspace and birth of a job never change'")}
END IF;
NEW.over_quota := NEW.over_quota AND NEW.state = '{State.QUEUED}';  -- who runs has a place
RETURN NEW;
"""

_JOB_BEGINS = f"""
IF NEW.workspace_id IS NULL THEN  -- written by a release that knows of none
    SELECT workspace_id INTO NEW.workspace_id FROM accounts_membership
    WHERE user_id = NEW.owner_id ORDER BY joined_at, id LIMIT 1;
    IF NEW.workspace_id IS NULL THEN  -- the owner came by that release as well
        INSERT INTO accounts_workspace (name, slug)
        VALUES ('Workspace', 'workspace-' || left(md5(random()::text), 12))
        RETURNING id INTO NEW.workspace_id;
        INSERT INTO accounts_membership (workspace_id, user_id, role)
        VALUES (NEW.workspace_id, NEW.owner_id, 'owner');
    END IF;
END IF;
IF (NEW.state, NEW.attempt, NEW.releases, NEW.version) <> ('{State.QUEUED}', 0, 0, 1) THEN
    {_refuse("jobs_begin_queued", "'a job begins queued, with no attempt, at version 1'")}
END IF;
RETURN NEW;
"""  # noqa: S608 - written from our own words

_JOB_GOES = f"""
IF OLD.state NOT IN ({_FINALS}) THEN
    {_refuse("jobs_unfinished_stay", "format('job %s has not ended: cancel it first', OLD.id)")}
END IF;
RETURN OLD;
"""

# At the commit: every version has its event, and no success is without its video.
_JOB_IS_TOLD = f"""
IF NOT EXISTS (SELECT FROM jobs_jobevent
    WHERE job_id = NEW.id AND seq = NEW.version AND state = NEW.state) THEN
    {_refuse("jobs_version_has_event", "format('job %s changed without its event', NEW.id)")}
END IF;
IF NEW.state = '{State.SUCCEEDED}' AND NOT EXISTS (SELECT FROM jobs_artifact
    WHERE job_id = NEW.id AND attempt = NEW.attempt AND name = 'video.mp4') THEN
    {_refuse("jobs_success_has_video", "format('job %s succeeded without a video', NEW.id)")}
END IF;
IF NEW.state <> '{State.RUNNING}' AND EXISTS (SELECT FROM jobs_attempt
    WHERE job_id = NEW.id AND number <= NEW.attempt AND outcome = '{Outcome.RUNNING}') THEN
    {_refuse("jobs_attempt_ends_with_it", "format('job %s left its attempt running', NEW.id)")}
END IF;
RETURN NULL;
"""  # noqa: S608 - written from our own words

_EVENT_IS_NEWEST = f"""
IF NEW.seq <> (SELECT version FROM jobs_job WHERE id = NEW.job_id) THEN
    {_refuse("jobs_event_is_newest", "'an event carries the version that its job has now'")}
END IF;
RETURN NEW;
"""  # noqa: S608

_ATTEMPT_ENDED = f"""
IF OLD.outcome <> '{Outcome.RUNNING}' THEN
    OLD.purged_at := NEW.purged_at;
    IF NEW IS DISTINCT FROM OLD THEN
        {_refuse("jobs_attempt_ended", "'an attempt that ended is never rewritten'")}
    END IF;
END IF;
RETURN NEW;
"""

# At the commit, because a job that is deleted takes its history along.
_HISTORY_STAYS = f"""
IF EXISTS (SELECT FROM jobs_job WHERE id = OLD.job_id) THEN
    {_refuse("jobs_history_stays", "'what belongs to a job is there as long as the job'")}
END IF;
RETURN NULL;
"""

_STAY = pgtrigger.Trigger(
    name="stay",
    when=pgtrigger.After,
    operation=pgtrigger.Delete,
    timing=pgtrigger.Deferred,
    func=_HISTORY_STAYS,
)

JOB = [
    pgtrigger.Trigger(
        name="begin", when=pgtrigger.Before, operation=pgtrigger.Insert, func=_JOB_BEGINS
    ),
    pgtrigger.Trigger(
        name="move", when=pgtrigger.Before, operation=pgtrigger.Update, func=_JOB_CHANGES
    ),
    pgtrigger.Trigger(
        name="stay", when=pgtrigger.Before, operation=pgtrigger.Delete, func=_JOB_GOES
    ),
    pgtrigger.Trigger(
        name="first_told",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        func=_JOB_IS_TOLD,
    ),
    pgtrigger.Trigger(
        name="told",
        when=pgtrigger.After,
        operation=pgtrigger.Update,
        timing=pgtrigger.Deferred,
        condition=pgtrigger.Condition("NEW.version <> OLD.version"),
        func=_JOB_IS_TOLD,
    ),
]
EVENT = [
    _STAY,
    pgtrigger.Trigger(
        name="newest", when=pgtrigger.Before, operation=pgtrigger.Insert, func=_EVENT_IS_NEWEST
    ),
    pgtrigger.Trigger(
        name="written_once",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        func=_refuse("jobs_event_written_once", "'an event is written once'"),
    ),
]
REQUEST = [_STAY]
ATTEMPT = [
    _STAY,
    pgtrigger.Trigger(
        name="ended", when=pgtrigger.Before, operation=pgtrigger.Update, func=_ATTEMPT_ENDED
    ),
]
ARTIFACT = [
    _STAY,
    pgtrigger.Trigger(
        name="written_once",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        func=_refuse("jobs_artifact_written_once", "'an artifact is written once'"),
    ),
]
