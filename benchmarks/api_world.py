"""Who owns, fills and looks in benchmarks/api.py: a process with Django beside the servers.

One for each database. Reads an order a line, and answers with a line.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import django

django.setup()

import redis  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test import Client as TestClient  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from knox.settings import CONSTANTS  # noqa: E402

from accounts import actions as accounts  # noqa: E402
from accounts import idempotency, workspaces  # noqa: E402
from accounts.models import ApiToken, Membership, User  # noqa: E402
from accounts.roles import Permission, Role, Scope  # noqa: E402
from benchmarks.queue_client import Client  # noqa: E402
from jobs import actions, estimates, limits, load, offer, rates  # noqa: E402
from jobs.access import access_job, may_do  # noqa: E402
from jobs.models import Job, PoolLoad  # noqa: E402
from jobs.rates import Window  # noqa: E402

TABLE = (
    "CREATE TABLE bench_bare (id uuid PRIMARY KEY, prompt text NOT NULL, spec jsonb NOT NULL,"
    " created_at timestamptz NOT NULL DEFAULT now())"
)
READINGS = 50


class World:
    def begin(self, rows: int) -> dict[str, Any]:
        """So many jobs wait, and a tenth as many have ended. Process ids of the services."""
        filler = Client(0, 1)
        filler.people()
        if rows:
            filler.fill(rows=rows, reserve=1, ended=rows // 10)
        with connection.cursor() as cursor:
            cursor.execute(TABLE)
            cursor.execute("SELECT pg_backend_pid()")
            backend = cursor.fetchone()[0]
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5) as client:
            served: Any = client.info("server")
        return {"backend": backend, "redis": served["process_id"]}

    def tokens(self, like: str, count: int) -> list[str]:
        """Of so many people whose address begins so; unfinished jobs of theirs are theirs."""
        people = User.objects.filter(email__startswith=like).order_by("pk")[:count]
        scopes = [Scope.JOBS_WRITE]
        return [accounts.issue_token(user, name="bench", scopes=scopes)[1] for user in people]

    def visitor(self, workspaces: int) -> dict[str, Any]:
        """Somebody who may look into so many; works in the last one. Their token, a job of it."""
        email = f"visitor-{workspaces}@example.com"
        user = User.objects.create(email=email)
        Membership.objects.filter(user=user).delete()
        theirs = Membership.objects.filter(user__email__startswith="crowd-").order_by("user")
        places = list(theirs.values_list("workspace", flat=True)[:workspaces])
        for place in places:
            Membership.objects.create(user=user, workspace_id=place, role=Role.VIEWER)
        user.workspace_id = places[-1]
        user.save(update_fields=["workspace"])
        _, token = accounts.issue_token(user, name="bench", scopes=[Scope.JOBS_READ])
        job = Job.objects.filter(workspace=places[-1]).values_list("pk", flat=True)[0]
        return {"token": token, "job": str(job)}

    def queries(self, token: str, path: str) -> int:
        """Statements that one answer takes, those of the transaction and the connection too."""
        client = TestClient(headers={"Authorization": f"Bearer {token}", "Host": "127.0.0.1"})
        client.get(path)
        with CaptureQueriesContext(connection) as seen:
            assert client.get(path).status_code == 200
        return len(seen)

    def rights(self, token: str, job: str) -> dict[str, float]:
        """Microseconds of a request that go to the question of who may; medians, taken in turn."""
        row = ApiToken.objects.get(token_key=token[: CONSTANTS.TOKEN_KEY_LENGTH])
        found = Job.objects.with_request().get(pk=job)
        user = User.objects.get(pk=row.user_id)
        arms: dict[str, Callable[[], object]] = {
            "a job by its id alone": lambda: Job.objects.with_request().get(pk=job),
            "access_job(), memberships read": lambda: access_job(
                User.objects.get(pk=row.user_id), UUID(job), Permission.SEE
            ),
            "the person alone": lambda: User.objects.get(pk=row.user_id),
            "access_job(), memberships known": lambda: access_job(user, UUID(job), Permission.SEE),
            "the predicate of one job": lambda: may_do(user, Permission.CANCEL, found),
        }
        took: dict[str, list[float]] = {name: [] for name in arms}
        for _ in range(4 * READINGS):
            for name, act in arms.items():
                began = time.perf_counter()
                act()
                took[name].append(time.perf_counter() - began)
        return {name: statistics.median(each) * 1e6 for name, each in took.items()}

    def submit(self, email: str, count: int) -> None:
        owner = User.objects.get(email=email)
        for _ in range(count):
            actions.submit(owner=owner, spec=_spec())

    def look(self) -> float:
        """Seconds that a look at the pool took."""
        PoolLoad.objects.update(refreshed_at="2026-01-01T00:00Z")
        load.refresh()
        return float(PoolLoad.objects.get(pool=settings.T2V_POOL).took_seconds)

    def clear(self) -> None:
        """Nobody waits any more."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("ALTER TABLE jobs_job DISABLE TRIGGER USER")
            cursor.execute(
                "UPDATE jobs_job SET state = 'cancelled', finished_at = now(), pool = 'over'"
                " WHERE state = 'queued'"
            )
            cursor.execute("ALTER TABLE jobs_job ENABLE TRIGGER USER")
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE) jobs_job")

    def count(self) -> int:
        """Jobs."""
        return Job.objects.count()

    def readings(self) -> dict[str, float]:
        """Milliseconds, the median of READINGS."""
        spec = _spec()
        window = Window(name="bench", caller="bench", rate=settings.T2V_RATE_WRITES)
        submitter = User.objects.get(email="submitter-0@example.com")
        found: dict[str, Callable[[], object]] = {
            "rates.take() of two windows": lambda: rates.take([window, window]),
            "estimates.for_spec()": lambda: estimates.for_spec(spec),
            "limits.admit(), 0 unfinished": lambda: _admit(submitter),
        }
        crowd = User.objects.filter(email="crowd-1@example.com").first()
        if crowd is not None and crowd.jobs.exists():
            unfinished = Job.objects.all().unfinished_of(crowd).count()
            found[f"limits.admit(), {unfinished:,} unfinished"] = lambda: _admit(crowd)
            ended = User.objects.get(email="veteran@example.com")
            found[f"limits.admit(), {ended.jobs.count():,} ended"] = lambda: _admit(ended)
        number = iter(range(READINGS))
        found["idempotency.once_for()"] = lambda: idempotency.once_for(
            submitter, f"{time.time_ns()}-{next(number)}", "digest", lambda: (201, {}, {})
        )
        return {name: _milliseconds(read) for name, read in found.items()}


@transaction.atomic
def _admit(owner: User) -> None:
    limits.admit(owner, [_spec()], workspace=workspaces.current_id(owner))


def _milliseconds(read: Callable[[], object]) -> float:
    took = []
    for _ in range(READINGS):
        began = time.perf_counter()
        read()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def _spec() -> Any:
    blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance", "seed"))
    return offer.make_spec(prompt="a red circle moving right", **blank)


def serve() -> None:
    """Until the input ends."""
    world = World()
    for line in sys.stdin:
        order = json.loads(line)
        answer = getattr(world, order.pop("do"))(**order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
