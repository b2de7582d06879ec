"""What the database's own roles may do (deploy/postgres/roles.sql), on the real Postgres."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.db import ProgrammingError, connection, transaction

from accounts.models import User
from conftest import video_of
from jobs import actions, workers
from jobs.artifacts import Stored
from jobs.lifecycle import State
from jobs.models import GpuSeconds, Job, StoredBytes
from jobs.webhooks import endpoints

SQL = (Path(settings.BASE_DIR) / "deploy/postgres/roles.sql").read_text(encoding="utf-8")
pytestmark = pytest.mark.django_db


REFUSED = pytest.raises(ProgrammingError, match=r"denied|must be owner")


@contextmanager
def acting_as(role: str) -> Iterator[None]:
    """In the test's own transaction, which is rolled back with the rights in it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {role}")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")


@pytest.fixture
def roles(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SQL)


def test_a_worker_can_render_under_its_own_role(
    roles: None, alice: User, submit: Callable[..., Job], claim: Callable[..., actions.Claim]
) -> None:
    endpoints.create(alice, url="https://example.com/x", events=["job.succeeded"])
    first, second, third = submit(), submit(), submit()
    with acting_as("t2v_worker"):
        name = workers.register(name="w", incarnation=first.pk, pool="default", device="cpu")
        workers.ready(name="w", incarnation=first.pk, device="cpu")
        workers.seen(name="w", incarnation=first.pk)
        held = claim(name)
        actions.note_fingerprint(held, {"torch": "2"})
        actions.renew(held, step=1)
        kept = Stored(name="c", key="k", content_type="x", size=1, sha256=64 * "0")
        actions.save_checkpoint(held, stored=kept, step=1)
        assert actions.succeed(held, [video_of(held)]) is State.SUCCEEDED
        actions.fail(claim(name), code="x", message="y", permanent=True)
        actions.release(claim(name))
        assert actions.reap() == 0
    assert GpuSeconds.objects.get(user=alice).seconds > 0  # counted with the owner's rights
    assert StoredBytes.objects.get(user=alice).bytes == 1
    states = [Job.objects.get(pk=job.pk).state for job in (first, second, third)]
    assert states == [State.SUCCEEDED, State.FAILED, State.QUEUED]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT password FROM accounts_user",
        "SELECT email FROM accounts_user",
        "SELECT email FROM accounts_invitation",
        "SELECT email FROM account_emailaddress",
        "SELECT data FROM mfa_authenticator",
        "SELECT digest FROM accounts_apitoken",
        "SELECT session_data FROM django_session",
        "SELECT secret FROM jobs_webhookendpoint",
        "SELECT body FROM accounts_answer",
        "UPDATE accounts_user SET role = 'operator'",
        "UPDATE jobs_job SET owner_id = 1",
        "UPDATE jobs_gpuseconds SET seconds = 0",
        "INSERT INTO jobs_storedbytes (workspace_id, user_id, bytes) VALUES (1, 1, 0)",
        "UPDATE accounts_workspace SET max_running = 0",
        "UPDATE jobs_job SET over_quota = false",
        "UPDATE jobs_job SET priority = 9",
        "INSERT INTO jobs_job (id) VALUES (gen_random_uuid())",
        "DELETE FROM jobs_job",
        "UPDATE jobs_jobrequest SET prompt = ''",
        "UPDATE jobs_jobevent SET kind = ''",
        "UPDATE jobs_artifact SET key = 'x'",
        "INSERT INTO accounts_auditentry (verb) VALUES ('x')",
        "SELECT 1 FROM accounts_auditentry",
        "CREATE TABLE x (y int)",
        "ALTER TABLE jobs_job DISABLE TRIGGER ALL",
        "TRUNCATE jobs_job CASCADE",
    ],
)
def test_a_worker_can_read_nobodys_secrets_and_write_nothing_else(
    roles: None, statement: str
) -> None:
    with acting_as("t2v_worker"), REFUSED, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_auditentry SET verb = 'x'",
        "DELETE FROM accounts_auditentry",
        "TRUNCATE accounts_auditentry",
        "ALTER TABLE accounts_auditentry DISABLE TRIGGER ALL",
        "DROP TABLE accounts_auditentry",
        "DELETE FROM django_migrations",
        "CREATE TABLE x (y int)",
    ],
)
def test_a_web_process_cannot_touch_what_was_audited_nor_the_schema(
    roles: None, statement: str
) -> None:
    with acting_as("t2v_web"), REFUSED, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_web_process_works_under_its_own_role(
    roles: None, alice: User, submit: Callable[..., Job]
) -> None:
    with acting_as("t2v_web"):
        job = submit()
        actions.cancel(job.pk)
        actions.delete(job.pk)
    assert Job.objects.get(pk=job.pk).state == State.CANCELLED
