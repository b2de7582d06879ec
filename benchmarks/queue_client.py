"""One client of benchmarks/queue.py: a process that does one kind of thing as often as it can.

Its own process, so that every client has its own mark in the queue and its own interpreter. Reads
an order a line, and answers with a line.
"""

import itertools
import json
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import connection, models, transaction

from accounts import workspaces
from accounts.models import Membership, User
from jobs import actions, limits, offer, queue
from jobs.models import LEASE, Job, JobEvent, JobRequest
from jobs.queue import Taken
from jobs.spec import RenderSpec

CROWD = 1000  # people who own the waiting jobs
SUBMITTERS = 400  # people who submit in turn: nobody comes near the limit of unfinished jobs
# The claim of a job that is known already: what a claim costs that has nothing to choose.
_KNOWN = queue._CLAIM.replace(f"({queue._NEXT})", "%(job)s")
_BUMP = "UPDATE jobs_job SET version = version + 1 WHERE id = %(id)s"
_DISTINCT = "SELECT DISTINCT pool FROM jobs_job WHERE state = 'queued' AND run_at <= now()"


class Client:
    def __init__(self, number: int, clients: int) -> None:
        self._worker = f"bench-{number}/1"
        self._number, self._clients = number, clients
        self._known: Iterator[UUID] = iter(())
        self._dice = random.Random(number)
        self._reserve: list[UUID] = []
        self._submitters: Iterator[User] = iter(())
        plain = _replaced(queue, "HEAD_SECONDS", 0.0)
        known = _replaced(queue, "claim_next", self._claim_known)
        self._kinds: dict[str, tuple[Callable[[], object], Any]] = {
            "claim": (self._claim, nullcontext),
            "plain claim": (self._claim, plain),  # every one reads the queue from its head
            "known": (self._take_known, nullcontext),
            "bump": (self._bump, nullcontext),
            "full claim": (self._full_claim, nullcontext),
            "full known": (self._full_claim, known),
            "submit": (self._submit, nullcontext),
        }

    # --- Kinds of things ----------------------------------------------------------------------

    def _claim(self) -> None:
        taken = queue.claim_next(worker=self._worker, pool="default", lease=LEASE)
        assert taken is not None, "the queue ran dry: more --rows"

    def _claim_known(self, *, worker: str, pool: str, lease: timedelta) -> Taken:
        job = next(self._known, None)
        assert job is not None, "the reserve ran dry: more --rows"
        values: dict[str, Any] = {"worker": worker, "lease": lease.total_seconds(), "job": job}
        with connection.cursor() as cursor:
            cursor.execute(_KNOWN, values)
            row = cursor.fetchone()
        assert row is not None, "a job of the reserve was taken by somebody else"
        return Taken(job=row[0], attempt=row[1])

    def _take_known(self) -> None:
        self._claim_known(worker=self._worker, pool="reserve", lease=LEASE)

    def _bump(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_BUMP, {"id": self._dice.choice(self._reserve)})

    def _full_claim(self) -> None:
        assert actions.claim(worker=self._worker, pool="default") is not None, "the queue ran dry"

    def _submit(self) -> None:
        actions.submit(owner=next(self._submitters), spec=_spec())

    def repeat(self, what: str, seconds: float, count: int) -> dict[str, float]:
        """For so long, or so many times. In seconds, apart from done; cpu is that of one."""
        act, circumstances = self._kinds[what]
        took: list[float] = []
        connection.ensure_connection()
        with circumstances():
            began, cpu = time.perf_counter(), _cpu_seconds()
            now = began
            while len(took) < count or now - began < seconds:
                act()
                before, now = now, time.perf_counter()
                took.append(now - before)
        return {
            "done": len(took),
            "seconds": now - began,
            "median": statistics.median(took),
            "cpu": (_cpu_seconds() - cpu) / len(took),
        }

    # --- Preparations -------------------------------------------------------------------------

    def look_around(self) -> None:
        """After the filling: which jobs are this client's own, and who submits."""
        reserved = Job.objects.filter(pool="reserve", state="queued").order_by("run_at", "id")
        ids = list(reserved.values_list("pk", flat=True))
        # The first client is alone in half of the arms, and needs as many again as all the others.
        shares = [*range(self._clients), *[0] * self._clients]
        mine = [share == self._number for share in shares]
        self._reserve = [job for job, yes in zip(ids, itertools.cycle(mine), strict=False) if yes]
        self._known = iter(self._reserve)
        self._submitters = itertools.cycle(User.objects.filter(email__startswith="submitter-"))
        self._full_claim_once()

    def _full_claim_once(self) -> None:
        """The first one in a process compiles and caches."""
        with transaction.atomic():
            actions.claim(worker=self._worker, pool="reserve")
            transaction.set_rollback(True)

    def people(self) -> None:
        names = [f"crowd-{n}" for n in range(CROWD)] + ["veteran"]
        names += [f"submitter-{n}" for n in range(SUBMITTERS)]
        for name in names:  # each with a workspace, which a bulk insert makes none of
            User.objects.create(email=f"{name}@example.com")

    def fill(self, rows: int, reserve: int, ended: int) -> None:
        """Copies of one job that was really submitted: waiting, in reserve, and long over."""
        people = Membership.objects.filter(user__email__startswith="crowd-").order_by("user")
        crowd, places = zip(*people.values_list("user", "workspace"), strict=True)
        veteran = User.objects.get(email="veteran@example.com")
        first = actions.submit(owner=veteran, spec=_spec())
        one_of_crowd = f"(ARRAY{[*crowd]})[1 + n %% {CROWD}]"
        their_place = f"(ARRAY{[*places]})[1 + n %% {CROWD}]"
        with _without_triggers(), connection.cursor() as cursor:
            for pool, count in (("default", rows), ("reserve", reserve)):
                waited = f"now() - make_interval(secs => ({count} - n) * 0.01)"
                changes = {"owner_id": one_of_crowd, "workspace_id": their_place}
                changes |= {"pool": f"'{pool}'", "run_at": waited}
                _copy_job(cursor, first, count, changes)
            over = {"state": "'cancelled'", "pool": "'over'", "finished_at": "now()"}
            _copy_job(cursor, first, ended, over)
            _copy_for_all(cursor, JobRequest, first)
            _copy_for_all(cursor, JobEvent, first)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE) jobs_job, jobs_jobrequest, jobs_jobevent")

    # --- Single readings ----------------------------------------------------------------------

    def readings(self) -> dict[str, float]:
        """Milliseconds, the median of 20."""
        waiting = Job.objects.filter(pool="default", state="queued").order_by("run_at")
        ids = list(waiting.values_list("pk", flat=True)[: 10**6 : 997])[:20]
        found: dict[str, Callable[[], object]] = {
            "pools_waiting()": queue.pools_waiting,
            "SELECT DISTINCT pool": _distinct,
            "places() of 20 jobs": lambda: queue.places(ids),
            "expire()": actions.expire,
        }
        for name in ("submitter-0", "veteran"):
            owner = User.objects.get(email=f"{name}@example.com")
            found[f"limits.admit() of {name}"] = partial(_admit, owner)
        return {name: _milliseconds(read) for name, read in found.items()}

    # --- Waking up ----------------------------------------------------------------------------

    def submit_and_tell(self, notify: bool) -> dict[str, Any]:
        """The job, and when its commit was done (seconds of the epoch)."""
        at: list[float] = []
        with transaction.atomic(), connection.cursor() as cursor:
            transaction.on_commit(lambda: at.append(time.time()))
            job = actions.submit(owner=next(self._submitters), spec=_spec())
            if notify:
                cursor.execute("NOTIFY bench")
        return {"job": str(job.pk), "at": at[0]}

    def cancel(self, job: str) -> None:
        actions.cancel(UUID(job))

    def listen(self) -> None:
        """From now on this process claims as soon as it is notified."""
        ready = threading.Event()

        def serve() -> None:
            with psycopg.connect(os.environ["T2V_DATABASE_URL"], autocommit=True) as raw:
                raw.execute("LISTEN bench")
                ready.set()
                for _ in raw.notifies():
                    actions.claim(worker="listener/1", pool=settings.T2V_POOL)

        threading.Thread(target=serve, daemon=True).start()
        assert ready.wait(20)


def _spec() -> RenderSpec:
    blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance", "seed"))
    return offer.make_spec(prompt="a red circle moving right", **blank)


def _cpu_seconds() -> float:
    """Of this thread and of its Postgres process, which a busy machine slows but does not lengthen.

    Source: Linux, Documentation/scheduler/sched-stats.rst (nanoseconds on a CPU).
    """
    server = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat")
    return time.thread_time() + int(server.read_text(encoding="ascii").split()[0]) / 1e9


@transaction.atomic
def _admit(owner: User) -> None:
    limits.admit(owner, [_spec()], workspace=workspaces.current_id(owner))


def _distinct() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_DISTINCT)
        cursor.fetchall()


def _milliseconds(read: Callable[[], object]) -> float:
    took = []
    for _ in range(20):
        began = time.perf_counter()
        read()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def _replaced(where: Any, name: str, value: object) -> Any:
    @contextmanager
    def replaced() -> Iterator[None]:
        before = getattr(where, name)
        setattr(where, name, value)
        try:
            yield
        finally:
            setattr(where, name, before)

    return replaced


@contextmanager
def _without_triggers() -> Iterator[None]:
    """For the filling alone: the guards would look at every single row."""
    tables = [model._meta.db_table for model in (Job, JobRequest, JobEvent)]
    with transaction.atomic(), connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what still waits forbids ALTER TABLE
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def _copy_job(cursor: Any, first: Job, count: int, changes: dict[str, str]) -> None:
    changes = {"id": "gen_random_uuid()", **changes}
    columns = [str(field.column) for field in Job._meta.concrete_fields]
    values = [changes.get(column, f"one.{column}") for column in columns]
    cursor.execute(
        f"INSERT INTO jobs_job ({', '.join(columns)}) SELECT {', '.join(values)} "  # noqa: S608
        f"FROM jobs_job AS one, generate_series(1, %s) AS n WHERE one.id = %s",
        [count, first.pk],
    )


def _copy_for_all(cursor: Any, model: type[models.Model], first: Job) -> None:
    """The first job's row of that table, once for each of the others."""
    table = model._meta.db_table
    columns = [str(field.column) for field in model._meta.concrete_fields if field.column != "id"]
    values = ["job.id" if column == "job_id" else f"one.{column}" for column in columns]
    cursor.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} "  # noqa: S608
        f"FROM {table} AS one, jobs_job AS job WHERE one.job_id = %s AND job.id <> %s",
        [first.pk, first.pk],
    )


def serve(number: int, clients: int) -> None:
    """Until the input ends."""
    client = Client(number, clients)
    for line in sys.stdin:
        order = json.loads(line)
        answer = getattr(client, order.pop("do"))(**order)
        print(json.dumps(answer), flush=True)
