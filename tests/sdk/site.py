"""A whole site of two replicas and a GPU worker, on the tests' own Postgres and Redis."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accounts import actions as accounts
from accounts.models import User
from accounts.roles import Scope
from jobs.models import Job, Worker
from t2v_site.management.commands import up
from tests.live.stage import Server, database_url
from tests.sdk.balancer import Balancer
from tests.stage import ROOT

READY_SECONDS = 150.0  # a worker loads torch and its first model, from a cold file cache
STOP_SECONDS = 40.0
MOST_UNFINISHED = 60


@dataclass(frozen=True, kw_only=True)
class Site:
    balancer: Balancer
    replicas: list[Server]
    worker_log: Path
    worker: int  # its process group

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.balancer.port}/v1"

    def errors(self) -> str:
        return "".join(replica.errors() for replica in self.replicas)

    @contextmanager
    def still_worker(self) -> Iterator[None]:
        """Nothing is rendered meanwhile."""
        os.killpg(self.worker, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.worker, signal.SIGCONT)


def until(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What it gives as soon as that is something; fails when that is not in time."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.05)
    return found


def person(name: str, *scopes: Scope) -> tuple[User, str]:
    """Somebody new, and a token of theirs."""
    user = User.objects.create_user(f"{name}@example.com", None)
    given = scopes or (Scope.JOBS_READ, Scope.JOBS_WRITE)
    _, token = accounts.issue_token(user, name="sdk", scopes=given)
    return user, token


@contextmanager
def running(folder: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        env = {"T2V_VAR": str(folder / "var"), "T2V_MAX_UNFINISHED": str(MOST_UNFINISHED)}
        env["T2V_RATE_WRITES"] = env["T2V_RATE_READS"] = "100000/minute"  # three SDKs in a minute
        replicas = [Server("daphne", folder / f"web-{number}.log", **env) for number in (1, 2)]
        worker_log = folder / "worker.log"
        worker = stack.enter_context(_worker(worker_log, env))
        for replica in replicas:
            replica.start()
            stack.callback(replica.stop)
        balancer = stack.enter_context(Balancer([replica.port for replica in replicas]))
        until(lambda: Worker.objects.filter(ready_at__isnull=False).exists(), READY_SECONDS)
        yield Site(balancer=balancer, replicas=replicas, worker_log=worker_log, worker=worker)


@contextmanager
def _worker(log: Path, env: dict[str, str]) -> Iterator[int]:
    part = next(part for part in up._parts() if part.name == "worker")
    whole = {**os.environ, **(part.env or {}), "T2V_DATABASE_URL": database_url(), **env}
    whole.pop("PYTEST_CURRENT_TEST", None)
    with log.open("wb") as out:
        process = subprocess.Popen(
            part.argv,
            cwd=ROOT,
            env=whole,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def unfinished(owner: User) -> int:
    return Job.objects.all().unfinished_of(owner).count()
