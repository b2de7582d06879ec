"""The processes of benchmarks/live.py: the servers that are measured, and those around them."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import urllib3

from benchmarks.stage import ROOT
from tests.ports import free_port

START_SECONDS = 60.0
APPS = {"ours": "t2v_site.asgi:application", "group_send": "benchmarks.live_baseline:application"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    app: str  # of APPS
    server: str  # daphne, uvicorn

    def __str__(self) -> str:
        return f"{self.app} on {self.server}"

    @property
    def pages(self) -> bool:
        """Its viewers speak our protocol."""
        return self.app == "ours"

    def command(self, port: int) -> list[str]:
        """As `make run` starts daphne, and as uvicorn's own documentation starts it."""
        address = ["127.0.0.1", "-p", str(port), "--verbosity", "0"]
        if self.server == "daphne":
            return [sys.executable, "-m", "daphne", "-b", *address, APPS[self.app]]
        return [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning",
                APPS[self.app]]  # fmt: skip

    def path(self, job: str) -> str:
        return "/ws/" if self.pages else f"/ws/jobs/{job}/"


class Server:
    """One web process; it is ready after `wait`."""

    def __init__(self, arm: Arm) -> None:
        self.arm, self.port = arm, free_port()
        self._popen = subprocess.Popen(arm.command(self.port), cwd=ROOT)
        self.process = psutil.Process(self._popen.pid)

    def wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        http = urllib3.PoolManager(retries=False, timeout=2)
        while True:
            try:
                if http.request("GET", f"http://127.0.0.1:{self.port}/healthz/live").status == 200:
                    break
            except urllib3.exceptions.HTTPError:
                assert self._popen.poll() is None, f"{self.arm} ended"
            assert time.monotonic() < until, f"{self.arm} did not start"
            time.sleep(0.1)
        http.clear()

    def url(self, job: str) -> str:
        return f"ws://127.0.0.1:{self.port}{self.arm.path(job)}"

    @property
    def cpu(self) -> float:
        return cpu_of(self.process)

    @property
    def private_kib(self) -> int:
        return private_kib(self.process.pid)

    def close(self) -> None:
        self._popen.send_signal(signal.SIGINT)
        try:
            self._popen.wait(15)
        except subprocess.TimeoutExpired:
            self._popen.kill()  # a server that waits for its clients to go
            self._popen.wait()


class Helper:
    """A process that waits for orders, a line each, and answers with a line."""

    def __init__(self, module: str, **env: str) -> None:
        self._module = module
        self._popen = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=os.environ | env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, do: str, **values: Any) -> Any:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(json.dumps({"do": do, **values}) + "\n")
        self._popen.stdin.flush()
        line = self._popen.stdout.readline()
        assert line, f"{self._module} ended at {do}"
        return json.loads(line)

    def close(self) -> None:
        self._popen.communicate(timeout=20)  # the end of its input


def cpu_of(process: psutil.Process) -> float:
    """Seconds of all its threads, by the scheduler's own clock: a tick of 10 ms is too coarse."""
    clocks = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    return sum(int(clock.read_text(encoding="ascii").split()[0]) for clock in clocks) / 1e9


def private_kib(pid: int) -> int:
    """Memory that would be free again without the process."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    lines = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
    return sum(int(lines[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))


def allow_files(count: int) -> None:
    """For this process and those that it starts. Raises ValueError when the machine forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))
