"""What operators ask of the API: who works, what waits and why; draining."""

import uuid
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry, User
from accounts.roles import Scope
from jobs import workers
from jobs.models import Job, Worker

pytestmark = pytest.mark.django_db
Program = Callable[..., Client]
ADDRESSES = [
    ("GET", "/api/v1/workers"),
    ("POST", "/api/v1/workers/gpu-1/drain"),
    ("POST", "/api/v1/workers/gpu-1/resume"),
    ("POST", "/api/v1/workers/nobody/drain"),
    ("GET", "/api/v1/queue"),
]


@pytest.fixture
def worker() -> Worker:
    workers.register(name="gpu-1", incarnation=uuid.uuid4(), pool="default", device="a card")
    return Worker.objects.get()


@pytest.mark.parametrize(("method", "address"), ADDRESSES)
def test_operators_addresses_are_for_operators_with_the_scope_alone(
    method: str, address: str, alice: User, olga: User, program: Program
) -> None:
    workers.register(name="gpu-1", incarnation=uuid.uuid4(), pool="default", device="a card")

    def ask(client: Client) -> tuple[int, str]:
        answer = client.generic(method, address)
        return answer.status_code, answer.json().get("code", "")

    assert ask(program(alice)) == (403, "insufficient_scope")
    assert ask(program(olga, Scope.JOBS_WRITE)) == (403, "insufficient_scope")
    assert ask(Client()) == (401, "not_authenticated")
    browser = Client()
    browser.force_login(alice)
    assert ask(browser) == (403, "operators_only")
    wanted = (404, "not_found") if "nobody" in address else (200, "")
    assert ask(program(olga)) == wanted
    row = Worker.objects.get()
    assert (row.drain_requested_at is not None) == (address == "/api/v1/workers/gpu-1/drain")


def test_a_worker_is_drained_and_resumed_and_that_is_noted(
    worker: Worker, olga: User, program: Program
) -> None:
    client = program(olga)
    (known,) = client.get("/api/v1/workers").json()["workers"]
    assert (known["name"], known["lives"], known["ready"], known["holds"]) == (
        "gpu-1",
        True,
        False,
        [],
    )
    drained = client.post("/api/v1/workers/gpu-1/drain").json()
    assert drained["draining_since"] is not None
    assert "drains since" in drained["does"]
    assert client.post("/api/v1/workers/gpu-1/resume").json()["draining_since"] is None
    noted = AuditEntry.objects.filter(verb__startswith="worker.").order_by("pk")
    assert list(noted.values_list("actor_id", "verb", "subject")) == [
        (olga.pk, "worker.drained", "gpu-1"),
        (olga.pk, "worker.resumed", "gpu-1"),
    ]


def test_a_name_that_no_worker_can_have_is_not_found(olga: User, program: Program) -> None:
    for name in ("%00", "x" * 2_000, "%F0%9F%98%80"):
        assert program(olga).post(f"/api/v1/workers/{name}/drain").status_code == 404


def test_the_queue_says_what_runs_waits_and_is_parked_and_why(
    mixed: dict[str, Job], alice: User, olga: User, program: Program
) -> None:
    seen = program(olga).get("/api/v1/queue").json()
    assert {part: seen[part]["count"] for part in ("running", "waiting", "parked")} == {
        "running": 1,
        "waiting": 1,
        "parked": 1,
    }
    (running,) = seen["running"]["jobs"]
    assert (running["id"], running["owner"]) == (str(mixed["running"].pk), alice.email)
    assert 0 < running["lease_left_seconds"] <= 60
    (waiting,) = seen["waiting"]["jobs"]
    assert (waiting["id"], waiting["place"]) == (str(mixed["queued"].pk), 1)
    assert waiting["why"]
    (parked,) = seen["parked"]["jobs"]
    assert (parked["id"], parked["error_code"]) == (str(mixed["parked"].pk), "bad")


def test_operators_lists_cost_the_same_queries_however_long(
    mixed: dict[str, Job], submit: Callable[..., Job], olga: User, program: Program
) -> None:
    client = program(olga)

    def costs() -> list[int]:
        found = []
        for address in ("/api/v1/queue", "/api/v1/workers"):
            with CaptureQueriesContext(connection) as queries:
                assert client.get(address).status_code == 200
            found.append(len(queries))
        return found

    workers.register(name="w", incarnation=uuid.uuid4(), pool="x", device="")
    costs()  # the token is noted as used
    before = costs()
    for number in range(5):
        workers.register(name=f"w{number}", incarnation=uuid.uuid4(), pool="x", device="")
        submit()
    assert costs() == before
    assert max(before) <= 20
