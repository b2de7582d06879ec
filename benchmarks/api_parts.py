"""The servers that benchmarks/api.py measures, and who calls them."""

import http.client
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from benchmarks.stage import ROOT
from tests.ports import free_port

START_SECONDS = 60.0
REST_SECONDS = 10.0  # jobs.rates.REST_SECONDS; this process knows no Django
APPS = {"ours": "t2v_site.asgi:application", "bare": "benchmarks.api_bare:application"}
PLENTY = {
    "T2V_RATE_WRITES": "1000000/minute",
    "T2V_RATE_READS": "1000000/minute",
    "T2V_MAX_UNFINISHED": "100000",
    "T2V_MAX_WAIT_SECONDS": "2000000",  # on, and never reached
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Some requests, one after the other. Of one request, in µs, apart from the walls in ms."""

    web: float  # CPU of the web process
    postgres: float  # CPU of Postgres
    p50: float
    p99: float
    worst: float


class Clock:
    """CPU seconds of a process, threads that have ended included, to the nanosecond.

    Source: Linux, clock_getcpuclockid(3); the kernel's MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED.
    """

    def __init__(self, pid: int) -> None:
        self._clock = (~pid << 3) | 2

    def seconds(self) -> float:
        return time.clock_gettime(self._clock)


class Postgres:
    """CPU seconds of the server and its backends; of those that have ended in ticks of 10 ms."""

    def __init__(self, backend: int) -> None:
        server = psutil.Process(backend).parent()
        assert server is not None
        self._server = server

    def seconds(self) -> float:
        total = 0.0
        for process in (self._server, *self._server.children()):
            with suppress(OSError):  # it ended: from now on it counts with the ended ones
                total += Clock(process.pid).seconds()
        ended = self._server.cpu_times()
        return total + ended.children_user + ended.children_system


class Server:
    """One web process under daphne, and one keep-alive connection to it."""

    def __init__(self, app: str, *, database: str, pool: int) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port)]
        env = {"T2V_DATABASE_URL": database, "T2V_DATABASE_POOL": str(pool)}
        self._popen = subprocess.Popen(
            [*command, "--verbosity", "0", APPS[app]], cwd=ROOT, env=os.environ | PLENTY | env
        )
        self._clock = Clock(self._popen.pid)
        self._counted = False  # the last answer's request
        self._http = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                if self.ask("GET", "/healthz/live")[0] == 200:
                    break
            except OSError:
                self._http.close()
                assert self._popen.poll() is None, "the server ended"
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.1)

    def ask(
        self, method: str, path: str, body: str | None = None, **headers: str
    ) -> tuple[int, bytes]:
        sent = {"Content-Type": "application/json", **headers}
        self._http.request(method, path, body=body, headers=sent)
        answer = self._http.getresponse()
        self._counted = "RateLimit" in answer.headers
        return answer.status, answer.read()

    def wait_counting(self, calls: "Calls") -> None:
        """Until requests are counted in Redis, which after a failure takes a while."""
        until = time.monotonic() + 2 * REST_SECONDS
        while not self._counted:
            assert time.monotonic() < until, "no request is counted"
            time.sleep(0.2)
            method, path, body, headers = calls.next()
            self.ask(method, path, body, **headers)

    def slice(self, calls: "Calls", count: int, postgres: Postgres) -> Slice:
        """The connection is a new one: the server ends those that are idle for long."""
        self._http.close()
        took = []
        web, base = self._clock.seconds(), postgres.seconds()
        for _ in range(count):
            method, path, body, headers = calls.next()
            began = time.perf_counter()
            status, said = self.ask(method, path, body, **headers)
            took.append(time.perf_counter() - began)
            assert status < 300, (status, said)
        took.sort()
        return Slice(
            web=(self._clock.seconds() - web) / count * 1e6,
            postgres=max(1.0, (postgres.seconds() - base) / count * 1e6),
            p50=statistics.median(took) * 1000,
            p99=took[min(count - 1, int(count * 0.99))] * 1000,
            worst=took[-1] * 1000,
        )

    def close(self) -> None:
        self._http.close()
        self._popen.send_signal(signal.SIGINT)
        try:
            self._popen.wait(15)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


class Calls:
    """The same request again and again, each time by the next of these programs."""

    def __init__(
        self,
        tokens: list[str],
        path: str,
        body: dict[str, Any] | None = None,
        *,
        keyed: bool = False,
    ) -> None:
        self._tokens = itertools.cycle(tokens)
        self._path, self._keyed = path, keyed
        self._body = None if body is None else json.dumps(body)
        self._method = "GET" if body is None else "POST"

    def next(self) -> tuple[str, str, str | None, dict[str, str]]:
        headers = {"Authorization": f"Bearer {next(self._tokens)}"}
        if self._keyed:
            headers["Idempotency-Key"] = f"bench-{time.time_ns()}"
        return self._method, self._path, self._body, headers
