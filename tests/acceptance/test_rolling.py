"""An upgrade's restarts: every part in turn, under load, and nobody notices.

Two webs behind a balancer's rules, three workers, two sweeps, on one Postgres, Redis and S3 server
(those of tests/chaos, with the model that sleeps instead of rendering). With UPGRADE_FROM=COMMIT,
which is what `make upgrade-drill` does, all of them begin with the code of that commit, on the
tables of this one, and each restart brings this one's code: two versions side by side.
"""

import io
import json
import os
import signal
import subprocess
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import urllib3

from jobs.tests.invariants import violations
from tests.chaos.history import History
from tests.chaos.parts import Part
from tests.chaos.people import Crowd
from tests.chaos.system import System
from tests.stage import ROOT

pytestmark = [pytest.mark.whole, pytest.mark.timeout(600)]

PATIENCE_SECONDS = 240.0  # for one event on a machine that does ten other things
PACE_SECONDS = 0.3  # between two submits
FOLLOWED = 3  # jobs, each by a stream of its own


def checked_out(commit: str, folder: Path) -> Path:
    """The files of a commit of this repository."""
    archive = ["git", "archive", "--format=tar", commit]
    done = subprocess.run(archive, cwd=ROOT, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


class Rolling(System):
    def _make_parts(self) -> list[Part]:
        parts = super()._make_parts()
        if commit := os.environ.get("UPGRADE_FROM"):
            before = checked_out(commit, self.folder / "before")
            for part in parts:
                part.root = before
        return parts

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"T2V_DRAIN_SECONDS": "1"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rolling]:
    folder = tmp_path_factory.mktemp("rolling")
    history = History(folder / "history.jsonl")
    made = Rolling(folder, history)
    try:
        made.start()
        yield made
    finally:
        made.parts.stop()
        made.kill()
        history.close()


def until(seen: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not seen():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.1)


class Balancer:
    """One try at each web in turn; the other one only when nobody answered at all."""

    def __init__(self, system: Rolling, crowd: Crowd) -> None:
        self._urls, self._turn = system.web_urls, 0
        self._http = urllib3.PoolManager(retries=False, timeout=30, maxsize=8)
        cookies = crowd._cookies
        token = next(value for name, value in cookies.items() if "csrf" in name)
        self._headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "X-CSRFToken": token,
            "Content-Type": "application/json",
        }
        self.answers: Counter[int] = Counter()
        self.turned_to_the_other = 0

    def ask(
        self, method: str, path: str, *, more: dict[str, str] | None = None, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        self._turn = turn = self._turn + 1  # other threads turn it meanwhile
        urls = [self._urls[(turn + other) % 2] for other in (0, 1)]
        for url in urls:
            try:
                headers = self._headers | (more or {})
                answer = self._http.request(method, url + path, headers=headers, **options)
            except urllib3.exceptions.HTTPError:
                self.turned_to_the_other += 1
                continue
            self.answers[answer.status] += 1
            return answer
        raise AssertionError(f"neither web answers {method} {path}")


class Follower:
    """Of one job's events, as EventSource does it: again and again, from the last id."""

    def __init__(self, balancer: Balancer, job: str) -> None:
        self.seqs: list[int] = []
        self.streams = 0
        self._balancer, self._job = balancer, job
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        ended = False
        while not ended:
            last = {"Last-Event-ID": str(self.seqs[-1])} if self.seqs else {}
            path = f"/api/v1/jobs/{self._job}/events"
            answer = self._balancer.ask("GET", path, more=last, preload_content=False)
            self.streams += 1
            try:
                ended = self._read(answer)
            except urllib3.exceptions.HTTPError:
                continue  # cut off: it comes back
            finally:
                answer.release_conn()

    def _read(self, answer: urllib3.BaseHTTPResponse) -> bool:
        """Whether the job has ended."""
        rest = b""
        for chunk in answer.stream(4096):
            *events, rest = (rest + chunk).split(b"\n\n")
            for event in events:
                lines = dict(line.partition(b": ")[::2] for line in event.split(b"\n"))
                if b"id" in lines:
                    self.seqs.append(int(lines[b"id"]))
                told = json.loads(lines.get(b"data", b"{}"))
                if told.get("type") == "snapshot" and told["job"]["state"] == "succeeded":
                    return True
        return False

    def has_ended(self) -> bool:
        return not self._thread.is_alive()


def restart(system: Rolling, part: Part) -> None:
    """SIGTERM; its keeper starts it again; until it does its work as before."""
    before, starts = part.process, part.starts
    ready = "SELECT max(ready_at) FROM jobs_worker WHERE name = %s"
    was_ready = system.sql(ready, part.name)
    part.root = ROOT
    part.send(signal.SIGTERM)
    until(lambda: part.starts > starts and part.pid)
    assert before is not None
    assert before.poll() in (0, -signal.SIGTERM), f"{part.name} ended with {before.poll()}"
    if part.name.startswith("web"):
        url = system.web_urls[int(part.name.removeprefix("web-")) - 1]
        until(lambda: _is_ready(url))
    elif part.name.startswith("worker"):
        until(lambda: system.sql(ready, part.name) not in (was_ready, [(None,)]))


def _is_ready(url: str) -> bool:
    try:
        answer = urllib3.request("GET", f"{url}/healthz/ready", retries=False, timeout=10)
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status == 200


def test_a_rolling_restart_of_every_part_under_load_loses_nothing(system: Rolling) -> None:
    crowd = Crowd(urls=system.web_urls, seed=1, history=system.history)
    crowd.sign_in()
    balancer = Balancer(system, crowd)
    jobs: list[str] = []

    def submit(steps: int) -> str:
        spec = {"prompt": "a red circle", "steps": steps, "seed": len(jobs)}
        key = {"Idempotency-Key": f"rolling-{len(jobs)}"}
        answer = balancer.ask("POST", "/api/v1/jobs", more=key, body=json.dumps(spec))
        assert answer.status == 201, answer.data
        jobs.append(answer.json()["id"])
        return jobs[-1]

    followers = [Follower(balancer, submit(400)) for _ in range(FOLLOWED)]  # 20 s each
    until(lambda: all(each.seqs for each in followers))  # a web's end is to cut their streams
    stop, failed = threading.Event(), []

    def load() -> None:
        while not stop.wait(PACE_SECONDS):
            try:
                submit(6)
            except Exception as error:  # told below, by the test's own thread
                failed.append(error)
                return

    loading = threading.Thread(target=load, daemon=True)
    loading.start()
    for kind in ("web", "worker", "sweep"):
        for part in system.parts.named(kind):
            restart(system, part)
    stop.set()
    loading.join(60)
    assert not failed, failed

    unfinished = "SELECT count(*) FROM jobs_job WHERE finished_at IS NULL"
    until(lambda: system.sql(unfinished) == [(0,)])
    states = Counter(state for (state,) in system.sql("SELECT state FROM jobs_job"))
    assert states == {"succeeded": len(set(jobs))} == {"succeeded": len(jobs)}
    outcomes = dict(system.sql("SELECT outcome, count(*) FROM jobs_attempt GROUP BY 1"))
    assert outcomes["succeeded"] == len(jobs)
    assert set(outcomes) <= {"succeeded", "released"}, "no attempt was lost or spent"
    with psycopg.connect(system.env["T2V_DATABASE_URL"]) as database:
        assert violations(database.cursor()) == []
    assert not [status for status in balancer.answers if status >= 500], balancer.answers

    until(lambda: all(each.has_ended() for each in followers))
    for follower in followers:
        assert follower.seqs == list(range(1, len(follower.seqs) + 1)), "each fact, once, in order"
    assert any(each.streams > 1 for each in followers), "a web's restart cuts streams"
