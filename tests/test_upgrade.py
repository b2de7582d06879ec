"""The release before, beside the new schema and after it: nothing it made or makes is lost."""

import os
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.services  # a database of its own

DROP_SECONDS = 60.0  # the server itself waits 5 s in each try for who is there to leave
# Where the release before the workspaces ended.
BEFORE = [("accounts", "0003_api"), ("jobs", "0005_api_indexes")]
BETWEEN = [("accounts", "0004_workspaces"), ("jobs", "0006_workspaces")]
PERSON = """
INSERT INTO accounts_user (email, password, is_superuser, first_name, last_name, is_staff,
    is_active, date_joined, role)
VALUES (%s, '!', false, '', '', false, true, now(), 'member') RETURNING id
"""
# As that release writes it: it names none of the columns that came after.
JOB = """
INSERT INTO jobs_job (id, owner_id, state, version, pool, priority, attempt, releases, max_attempts,
    worker, step, error_code, error_message)
VALUES (gen_random_uuid(), %s, 'queued', 1, 'default', 0, 0, 0, 3, '', 0, '', '') RETURNING id
"""
EVENT = """
INSERT INTO jobs_jobevent (job_id, seq, kind, state, attempt, data)
VALUES (%s, %s, %s, %s, 0, '{}')
"""
END = """
UPDATE jobs_job SET state = 'cancelled', version = 2, finished_at = now(),
    cancel_requested_at = now() WHERE id = %s
"""


def drop(cursor: Any, name: str) -> None:
    """Not WITH (FORCE): where we are no superuser it refuses to end an autovacuum's process."""
    until = time.monotonic() + DROP_SECONDS
    while True:
        try:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
        except OperationalError as error:  # "is being accessed by other users"
            in_use = isinstance(error.__cause__, psycopg.errors.ObjectInUse)
            if not in_use or time.monotonic() > until:
                raise
        else:
            return


@pytest.fixture
def old(django_db_blocker: Any) -> Iterator[BaseDatabaseWrapper]:
    """An empty database, without the one of the other tests having anything to do with it."""
    process = os.environ.get("PYTEST_XDIST_WORKER", "one")
    name = f"upgrade_{process}"
    usual = settings.DATABASES["default"]
    with django_db_blocker.unblock():
        with connections["default"]._nodb_cursor() as cursor:
            drop(cursor, name)
            cursor.execute(f'CREATE DATABASE "{name}"')
        connections.databases["old"] = {**usual, "NAME": name, "TEST": dict(usual.get("TEST", {}))}
        try:
            yield connections["old"]
        finally:
            connections["old"].close()
            del connections.databases["old"], connections["old"]
            with connections["default"]._nodb_cursor() as cursor:
                drop(cursor, name)
            connections["default"].close()


def migrate(database: BaseDatabaseWrapper, *targets: tuple[str, str]) -> None:
    executor = MigrationExecutor(database)
    wanted = list(targets) or executor.loader.graph.leaf_nodes()
    executor.migrate([*wanted])


def submit(database: BaseDatabaseWrapper, owner: int) -> str:
    with database.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(JOB, [owner])
        job = cursor.fetchone()[0]
        cursor.execute(EVENT, [job, 1, "submitted", "queued"])
        cursor.execute("COMMIT")
    return str(job)


def sign_up(database: BaseDatabaseWrapper, email: str) -> int:
    with database.cursor() as cursor:
        cursor.execute(PERSON, [email])
        return int(cursor.fetchone()[0])


def test_what_the_release_before_made_and_goes_on_to_make_belongs_to_a_workspace(
    old: BaseDatabaseWrapper,
) -> None:
    migrate(old, *BEFORE)
    alice = sign_up(old, "alice@example.com")
    ended, waiting = submit(old, alice), submit(old, alice)
    with old.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(END, [ended])
        cursor.execute(EVENT, [ended, 2, "cancelled", "cancelled"])
        cursor.execute("COMMIT")
    migrate(old, *BETWEEN)  # the release before still serves
    bob = sign_up(old, "bob@example.com")
    between = submit(old, bob)
    sign_up(old, "carol@example.com")  # submits nothing
    migrate(old)
    dave = sign_up(old, "dave@example.com")
    after, again = submit(old, dave), submit(old, dave)

    with old.cursor() as cursor:
        cursor.execute(
            "SELECT job.id::text, person.email FROM jobs_job AS job "
            "JOIN accounts_membership AS member USING (workspace_id) "
            "JOIN accounts_user AS person ON person.id = member.user_id "
            "WHERE member.role = 'owner' AND person.id = job.owner_id"
        )
        owners = dict(cursor.fetchall())
        assert owners == {
            **dict.fromkeys([ended, waiting], "alice@example.com"),
            between: "bob@example.com",
            **dict.fromkeys([after, again], "dave@example.com"),
        }
        cursor.execute("SELECT count(*) FROM accounts_workspace")
        assert cursor.fetchone() == (4,)
        cursor.execute(
            "SELECT is_nullable FROM information_schema.columns "
            "WHERE table_name = 'jobs_job' AND column_name = 'workspace_id'"
        )
        assert cursor.fetchone() == ("NO",)
