"""The database itself refuses what no verb does: raw SQL, as a person in psql would type it."""

import itertools
from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from conftest import video_of
from jobs import actions
from jobs.actions import Claim
from jobs.lifecycle import FINAL, TABLE, State
from jobs.models import Artifact, Attempt, Job, JobEvent

PAIRS = {(before, to) for (before, _), to in TABLE.items()}


@pytest.fixture
def job_in(submit: Callable[..., Job], claim: Callable[..., Claim]) -> Callable[[State], str]:
    """The id of a new job in that state, made by the verbs."""

    def make(state: State) -> str:
        job = submit()
        if state is State.EXPIRED:
            Job.objects.filter(pk=job.pk).update(deadline="2026-01-01T00:00:00Z")
            actions.expire()
        elif state is State.CANCELLED:
            actions.cancel(job.pk)
        elif state is not State.QUEUED:
            held = claim()
            if state is State.SUCCEEDED:
                actions.succeed(held, [video_of(held)])
            elif state is State.FAILED:
                actions.fail(held, code="bad", message="bad", permanent=True)
            elif state is State.PARKED:
                Job.objects.filter(pk=job.pk).update(max_attempts=1)
                actions.fail(held, code="bad", message="bad", permanent=False)
        job.refresh_from_db()
        assert job.state == state
        return str(job.pk)

    return make


def refused_by(*statements: str, job: str) -> str:
    """Which rule refuses them, at once or at the commit; empty when they pass. All is undone."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what the verbs did passes
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        before = transaction.savepoint()
        try:
            for sql in statements:
                cursor.execute(sql.replace("{job}", f"'{job}'"))
                assert cursor.rowcount > 0, f"nothing to refuse: {sql}"
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except IntegrityError as error:
            return str(error.__cause__.diag.constraint_name)  # type: ignore[union-attr]
        finally:
            transaction.savepoint_rollback(before)
    return ""


EVENT = (
    "INSERT INTO jobs_jobevent (job_id, seq, kind, state, attempt, data) "
    "SELECT id, version, 'told', state, attempt, '{}' FROM jobs_job WHERE id = {job}"
)
VIDEO = (
    "INSERT INTO jobs_artifact (job_id, attempt, name, key, content_type, size, sha256) "
    "SELECT id, attempt, 'video.mp4', 'k', 'video/mp4', 1, '' FROM jobs_job WHERE id = {job}"
)


def _move_to(state: State) -> str:
    """The whole change, as right as it can be."""
    running = state is State.RUNNING
    return (
        f"UPDATE jobs_job SET state = '{state}', version = version + 1, "  # noqa: S608
        f"attempt = attempt + {running:d} * (state <> 'running')::int, "
        f"lease_until = {'now()' if running else 'NULL'}, worker = '{'w/1' if running else ''}', "
        f"finished_at = {'now()' if state in FINAL else 'NULL'} WHERE id = {{job}}"
    )


ENDED = (
    "UPDATE jobs_attempt SET outcome = 'lost', ended_at = now() "
    "WHERE job_id = {job} AND outcome = 'running'"
)


def test_no_job_goes_on_while_its_attempt_is_left_running(job_in: Callable[[State], str]) -> None:
    """Or no other attempt could ever begin, and every claim of the pool would stop at this job."""
    job = job_in(State.RUNNING)
    assert refused_by(_move_to(State.QUEUED), EVENT, job=job) == "jobs_attempt_ends_with_it"


def test_what_was_asked_for_stays_as_long_as_the_job(job_in: Callable[[State], str]) -> None:
    job = job_in(State.QUEUED)
    gone = "DELETE FROM jobs_jobrequest WHERE job_id = {job}"
    assert refused_by(gone, job=job) == "jobs_history_stays"


@pytest.mark.parametrize(("before", "to"), [*itertools.product(State, State)])
def test_a_state_follows_another_just_where_the_table_says_so(
    before: State, to: State, job_in: Callable[[State], str]
) -> None:
    ended = before is State.RUNNING and to is not before
    statements = [
        _move_to(to),
        EVENT,
        *([VIDEO] if to is State.SUCCEEDED else []),
        *([ENDED] if ended else []),
    ]
    if before in FINAL:
        wanted = "jobs_final_never_changes"
    elif before is to or (before, to) in PAIRS:
        wanted = ""
    else:
        wanted = "jobs_move_in_table"
    assert refused_by(*statements, job=job_in(before)) == wanted


@pytest.mark.parametrize("state", sorted(FINAL))
def test_nothing_of_a_final_job_changes(state: State, job_in: Callable[[State], str]) -> None:
    job = job_in(state)
    for change in (
        "priority = 5",
        "error_message = 'mended'",
        "attempt = attempt + 1",
        "version = version + 1",
        "max_attempts = 9",
        "finished_at = now() + interval '1 s'",
        "cancel_requested_at = now() - interval '1 s'",
    ):
        sql = f"UPDATE jobs_job SET {change} WHERE id = {{job}}"  # noqa: S608
        assert refused_by(sql, job=job) == "jobs_final_never_changes", change


JOB = "UPDATE jobs_job SET {} WHERE id = {{job}}"
CLAIMED = "state = 'running', lease_until = now(), worker = 'w/1', version = version + 1"
QUEUED = "state = 'queued', lease_until = NULL, worker = '', version = version + 1"


@pytest.mark.parametrize(
    ("rule", "state", "change"),
    [
        ("jobs_attempt_counts_claims", State.RUNNING, "attempt = attempt + 1"),
        ("jobs_attempt_counts_claims", State.RUNNING, "attempt = attempt - 1"),
        ("jobs_attempt_counts_claims", State.QUEUED, "attempt = attempt + 1"),
        ("jobs_attempt_counts_claims", State.QUEUED, f"attempt = attempt + 2, {CLAIMED}"),
        ("jobs_attempt_counts_claims", State.QUEUED, CLAIMED),
        ("jobs_attempt_counts_claims", State.RUNNING, f"attempt = attempt - 1, {QUEUED}"),
        ("jobs_releases_count_releases", State.RUNNING, "releases = releases + 1"),
        ("jobs_releases_count_releases", State.QUEUED, "releases = releases + 1"),
        ("jobs_releases_count_releases", State.RUNNING, f"releases = releases + 2, {QUEUED}"),
        ("jobs_version_counts_events", State.QUEUED, "version = version + 2"),
        ("jobs_version_counts_events", State.RUNNING, "version = version - 1"),
        (
            "jobs_version_counts_events",
            State.RUNNING,
            "state = 'queued', lease_until = NULL, worker = ''",
        ),
        ("jobs_identity_stays", State.QUEUED, "id = gen_random_uuid()"),
        ("jobs_identity_stays", State.QUEUED, "created_at = now() - interval '1 day'"),
        ("jobs_version_has_event", State.QUEUED, "version = version + 1"),
        ("jobs_version_has_event", State.RUNNING, QUEUED),
        ("jobs_running_holds_a_lease", State.RUNNING, "lease_until = NULL"),
        ("jobs_running_holds_a_lease", State.QUEUED, "worker = 'w/1'"),
    ],
)
def test_a_job_is_not_changed_past_its_verbs(
    rule: str, state: State, change: str, job_in: Callable[[State], str]
) -> None:
    assert refused_by(JOB.format(change), job=job_in(state)) == rule


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
def test_what_no_rule_is_about_may_be_changed(state: State, job_in: Callable[[State], str]) -> None:
    """Without this every refusal above would say nothing."""
    assert refused_by(JOB.format("priority = 5, step = 3"), job=job_in(state)) == ""


def test_a_job_does_not_change_its_owner(job_in: Callable[[State], str], bob: User) -> None:
    change = JOB.format(f"owner_id = {bob.pk}")
    assert refused_by(change, job=job_in(State.QUEUED)) == "jobs_identity_stays"


def test_a_cancel_that_was_asked_for_is_not_taken_back(job_in: Callable[[State], str]) -> None:
    job = job_in(State.RUNNING)
    actions.cancel(Job.objects.get(pk=job).pk)
    for change in ("cancel_requested_at = NULL", "cancel_requested_at = now() + interval '1 s'"):
        assert refused_by(JOB.format(change), job=job) == "jobs_cancel_stays"


@pytest.mark.parametrize("change", [{"state": "running"}, {"attempt": 1}, {"version": 2}])
def test_a_job_begins_at_the_beginning(alice: User, change: dict[str, object]) -> None:
    with pytest.raises(IntegrityError, match="a job begins queued"), transaction.atomic():
        Job.objects.bulk_create([Job(owner=alice, **change)])


@pytest.mark.parametrize("state", State)
def test_only_a_job_that_has_ended_can_be_deleted(
    state: State, job_in: Callable[[State], str]
) -> None:
    job = job_in(state)
    wanted = "" if state in FINAL else "jobs_unfinished_stay"
    belongings = [
        f"DELETE FROM {table} WHERE job_id = {{job}}"  # noqa: S608
        for table, model in (
            ("jobs_artifact", Artifact),
            ("jobs_attempt", Attempt),
            ("jobs_jobevent", JobEvent),
            ("jobs_jobrequest", None),
        )
        if model is None or model.objects.filter(job_id=job).exists()
    ]
    assert refused_by("DELETE FROM jobs_job WHERE id = {job}", *belongings, job=job) == wanted


@pytest.mark.parametrize("table", ["jobs_artifact", "jobs_attempt", "jobs_jobevent"])
def test_what_belongs_to_a_job_is_not_deleted_without_it(
    table: str, job_in: Callable[[State], str]
) -> None:
    sql = f"DELETE FROM {table} WHERE job_id = {{job}}"  # noqa: S608
    assert refused_by(sql, job=job_in(State.SUCCEEDED)) == "jobs_history_stays"


@pytest.mark.parametrize(
    ("rule", "sql"),
    [
        ("jobs_event_written_once", "UPDATE jobs_jobevent SET data = '{}'"),
        ("jobs_event_written_once", "UPDATE jobs_jobevent SET state = 'failed'"),
        ("jobs_artifact_written_once", "UPDATE jobs_artifact SET sha256 = ''"),
        ("jobs_artifact_written_once", "UPDATE jobs_artifact SET key = 'elsewhere'"),
        ("jobs_attempt_ended", "UPDATE jobs_attempt SET outcome = 'lost'"),
        ("jobs_attempt_ended", "UPDATE jobs_attempt SET outcome = 'running'"),
        ("jobs_attempt_ended", "UPDATE jobs_attempt SET worker = 'other/1'"),
        ("jobs_attempt_ended", "UPDATE jobs_attempt SET ended_at = now() + interval '1 s'"),
        ("", "UPDATE jobs_attempt SET purged_at = now()"),
    ],
)
def test_history_is_written_once(rule: str, sql: str, job_in: Callable[[State], str]) -> None:
    assert refused_by(f"{sql} WHERE job_id = {{job}}", job=job_in(State.SUCCEEDED)) == rule


@pytest.mark.parametrize("seq", ["version + 1", "version + 2", "version - 1"])
def test_an_event_is_of_the_version_that_its_job_has(
    seq: str, job_in: Callable[[State], str]
) -> None:
    sql = EVENT.replace("version", seq)
    assert refused_by(sql, job=job_in(State.RUNNING)) == "jobs_event_is_newest"


def test_an_event_says_the_state_that_its_job_has(job_in: Callable[[State], str]) -> None:
    sql = EVENT.replace("state, attempt, '{}'", "'running', attempt, '{}'")
    statements = [_move_to(State.CANCELLED), sql]
    assert refused_by(*statements, job=job_in(State.QUEUED)) == "jobs_version_has_event"


@pytest.mark.parametrize(
    "artifact",
    [
        None,
        VIDEO.replace("'video.mp4'", "'poster.png'"),
        VIDEO.replace("SELECT id, attempt", "SELECT id, attempt - 1"),
    ],
)
def test_no_success_is_without_the_video_of_its_attempt(
    artifact: str | None, job_in: Callable[[State], str]
) -> None:
    statements = [_move_to(State.SUCCEEDED), EVENT, *([artifact] if artifact else [])]
    assert refused_by(*statements, job=job_in(State.RUNNING)) == "jobs_success_has_video"


@pytest.mark.django_db(transaction=True)
def test_what_is_refused_at_the_commit_is_not_committed(job_in: Callable[[State], str]) -> None:
    job = job_in(State.QUEUED)
    with (
        pytest.raises(IntegrityError, match="changed without its event"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE jobs_job SET version = version + 1 WHERE id = %s", [job])
    assert Job.objects.get(pk=job).version == 1
