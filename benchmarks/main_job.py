"""How long a person waits: second start, submit to claim, claim to first preview, render, stop.

    .venv/bin/python -m benchmarks.main_job [ROUNDS]

Each round is one `make run` with the same data folder, and three default jobs in it. Prints the
median and the range, and writes benchmarks/results/main_job.json. There is no baseline arm: these
are waits of a person, to be compared on one machine only.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import urllib3
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.stage import PASSWORD, System, running

RESULTS = Path(__file__).parent / "results"
JOB = {"prompt": "a red circle moving right"}
Waits = dict[str, list[float]]


class Visitor:
    """Alice as a program: her session, the API and the page's socket."""

    def __init__(self, system: System) -> None:
        self._url = system.url
        self._http = urllib3.PoolManager()
        self._cookies: dict[str, str] = {}
        self._request("GET", "/accounts/login/")
        form = {"login": "alice@example.com", "password": PASSWORD}
        self._request("POST", "/accounts/login/", fields=form | {"csrfmiddlewaretoken": self._csrf})

    @property
    def _csrf(self) -> str:
        return next(value for name, value in self._cookies.items() if "csrf" in name)

    @property
    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    def _request(self, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        headers = {"Cookie": self._cookie, "Referer": self._url}
        if self._cookies:
            headers["X-CSRFToken"] = self._csrf
        answer = self._http.request(
            method, self._url + path, headers=headers, redirect=False, **more
        )
        for cookie in answer.headers.getlist("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer

    def submit(self) -> str:
        answer = self._request("POST", "/api/v1/jobs", json=JOB)
        assert answer.status == 201, answer.data
        return str(answer.json()["id"])

    def socket(self) -> ClientConnection:
        return connect(
            self._url.replace("http", "ws") + "/ws/",
            origin=Origin(self._url),
            additional_headers={"Cookie": self._cookie},
        )


def one_job(visitor: Visitor, waits: Waits) -> None:
    with visitor.socket() as socket:
        submitted = time.monotonic()
        job = visitor.submit()
        waits["submit answered"].append(time.monotonic() - submitted)
        socket.send(json.dumps({"type": "subscribe", "job": job, "after": 0}))
        at: dict[str, float] = {}
        while "succeeded" not in at:
            message = socket.recv(timeout=60)
            now = time.monotonic()
            if isinstance(message, bytes):
                at.setdefault("preview", now)
                continue
            said = json.loads(message)
            if said["type"] == "fact":
                assert said["kind"] in {"submitted", "claimed", "succeeded"}, said
                at[said["kind"]] = now
                if said["kind"] == "claimed":
                    claimed = datetime.fromisoformat(said["at"])
                if said["kind"] == "succeeded":
                    ended = datetime.fromisoformat(said["at"])
    waits["submit to claim seen"].append(at["claimed"] - submitted)
    waits["claim to first preview seen"].append(at["preview"] - at["claimed"])
    waits["claim to success (32 steps, 64x64x25)"].append((ended - claimed).total_seconds())
    waits["submit to success seen"].append(at["succeeded"] - submitted)


def main(rounds: int) -> None:
    waits: Waits = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            with running(Path(folder) / "var") as system:
                if number:  # the first round makes the database
                    waits["second start to a page"].append(system.page_after)
                    waits["second start to Ready"].append(system.ready_after)
                else:
                    waits["first start (new data) to Ready"].append(system.ready_after)
                visitor = Visitor(system)
                for _ in range(3):
                    one_job(visitor, waits)
                waits["Ctrl-C to the end"].append(system.stop())
                assert system.processes() == []
    rows = {
        name: {"median": statistics.median(taken), "min": min(taken), "max": max(taken)}
        for name, taken in waits.items()
    }
    print(f"{'seconds':<42}{'median':>8}{'min':>8}{'max':>8}")
    for name, row in rows.items():
        print(f"{name:<42}{row['median']:>8.2f}{row['min']:>8.2f}{row['max']:>8.2f}")
    RESULTS.mkdir(exist_ok=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    result = {"machine": machine, "rounds": rounds, "seconds": rows}
    (RESULTS / "main_job.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
