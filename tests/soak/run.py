"""One soak from an empty folder to its verdict."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import redis

from benchmarks.live_first import cookie_of
from t2v_site.embedded import DATABASE, REDIS, SECRET, Machine
from tests.chaos.verdict import Verdict
from tests.soak.report import SHORT_MINUTES, Report, log_kinds, write
from tests.soak.samples import Watch
from tests.soak.viewers import Crowd, Person
from tests.stage import ROOT, Caller, System, running

NAMES = ("alice", "bob", "olga")  # olga sees every job, and owns none
UNFINISHED = "jobs_job WHERE state IN ('queued', 'running')"
QUEUED = 5  # jobs that wait, plus or minus one
REMEMBERED = 40  # newest jobs, for the viewers to choose from
SAMPLE_SECONDS, SAMPLES = 15.0, 60  # at least so many of a short run
WARM_SHARE, WARM_MINUTES = 0.25, 20.0  # the ring and the previews fill for 15 minutes
DRAIN_SECONDS = 120.0  # for what is left in the queue at the end
READY_SECONDS = 90.0
STOP_SECONDS = 40.0
PROMPTS = ("a red circle moving right", "a blue square moving up", "a green star growing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    minutes: float
    viewers: int
    seed: int
    write: bool


class Soak:
    def __init__(self, options: Options) -> None:
        self.options = options
        self._said: list[str] = []
        self._live: dict[str, deque[str]] = {n: deque(maxlen=REMEMBERED) for n in NAMES}
        self._submitted = 0

    def go(self) -> bool:
        """Whether all was well. Leaves no process behind."""
        options, whole = self.options, False
        self._say(f"seed {options.seed}: {options.minutes:g} minutes, {options.viewers} viewers")
        folder = Path(tempfile.mkdtemp(prefix="t2v-soak-"))
        try:
            whole = self._run(folder)
        finally:
            if whole:
                shutil.rmtree(folder)
            else:
                self._say(f"kept: {folder}")
        return whole

    def _run(self, folder: Path) -> bool:
        var, log = folder / "var", folder / "second-worker.log"
        with running(var) as system:
            try:
                with _second_worker(system, log) as second:
                    return self._soak(system, second.pid, log)
            finally:
                (folder / "make-run.log").write_text("".join(system.lines), encoding="utf-8")

    def _soak(self, system: System, second_worker: int, log: Path) -> bool:
        services = Machine(system.var, frozenset({DATABASE, REDIS})).environment()
        self._callers = {name: Caller(system.url, name) for name in NAMES}
        with (
            psycopg.connect(services[DATABASE], autocommit=True) as self._database,
            redis.Redis.from_url(services[REDIS], socket_timeout=10) as store,
        ):
            _wait_for_workers(self._database)
            self._watch = Watch(system, second_worker, self._database, store)
            crowd = self._crowd(system.url)
            asyncio.run(self._play(crowd))
            lines = [*system.lines, *log.read_text(encoding="utf-8").splitlines()]
            return self._judge(crowd, log_kinds(lines))

    def _crowd(self, url: str) -> Crowd:
        cookies = {name: cookie_of(caller) for name, caller in self._callers.items()}
        people = [
            Person(url=url, cookie=cookies[NAMES[number % len(NAMES)]])
            for number in range(self.options.viewers)
        ]
        return Crowd(
            people,
            seed=self.options.seed,
            live_jobs=lambda number: list(self._live[NAMES[number % len(NAMES)]]),
            stall_seconds=min(60.0, self.options.minutes * 20),
        )

    # --- The run --------------------------------------------------------------------------------

    async def _play(self, crowd: Crowd) -> None:
        began = time.monotonic()
        viewers = asyncio.create_task(crowd.come_and_go())
        feeder = asyncio.create_task(self._feed(crowd.stop))
        seconds = self.options.minutes * 60
        every = min(SAMPLE_SECONDS, seconds / SAMPLES)
        for number in range(int(seconds / every) + 1):
            await asyncio.sleep(max(0.0, began + number * every - time.monotonic()))
            assert not viewers.done(), viewers
            assert not feeder.done(), feeder
            await asyncio.to_thread(self._watch.look, time.monotonic() - began)
            if number * every % 300 < every:
                self._tell(time.monotonic() - began)
        crowd.stop.set()
        await asyncio.gather(viewers, feeder)
        await asyncio.to_thread(self._wait_for_the_rest)
        await crowd.catch_up()

    def _wait_for_the_rest(self) -> None:
        until = time.monotonic() + DRAIN_SECONDS
        while self._count(UNFINISHED) and time.monotonic() < until:
            time.sleep(0.5)

    async def _feed(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            while await asyncio.to_thread(self._count, "jobs_job WHERE state = 'queued'") < QUEUED:
                owner = NAMES[self._submitted % 2]
                prompt = PROMPTS[self._submitted % len(PROMPTS)]
                job = await asyncio.to_thread(self._callers[owner].submit, prompt)
                self._live[owner].append(job)
                self._live["olga"].append(job)
                self._submitted += 1
            await asyncio.sleep(0.3)

    def _count(self, rows: str) -> int:
        query = f"SELECT count(*) FROM {rows}"  # noqa: S608
        row = self._database.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def _tell(self, seconds: float) -> None:
        series = self._watch.series
        web = series["web: private memory"].values[-1] / 1024
        done = self._count("jobs_job WHERE state = 'succeeded'")
        self._say(f"{seconds / 60:5.1f} min: {done:5} videos, web {web:.1f} MB")

    # --- Afterwards -----------------------------------------------------------------------------

    def _judge(self, crowd: Crowd, logged: "Counter[str]") -> bool:
        options, series = self.options, self._watch.series
        warm = 60 * min(WARM_MINUTES, options.minutes * WARM_SHARE)
        trends = [one.trend(warm) for _, one in sorted(series.items())]
        seen: Counter[str] = Counter()
        for person in crowd.people:
            seen += person.counts
        verdict = Verdict(
            checks={
                "what viewers saw was in order and never went back": [
                    line for person in crowd.people for line in person.wrong
                ],
                "what viewers saw of each job is what the database says": self._compare(crowd),
                "every job that was submitted has its video": self._unfinished(),
                "no process ended": self._watch.wrong,
                "no error was logged": [
                    f"{count} × {line}" for line, count in logged.items() if "WARNING" not in line
                ],
            }
        )
        if options.minutes >= SHORT_MINUTES:
            growing = [f"{trend.name} grows" for trend in trends if not trend.flat]
            verdict.checks["nothing grows"] = growing
        report = Report(
            minutes=options.minutes,
            viewers=options.viewers,
            seed=options.seed,
            jobs=self._count("jobs_job"),
            facts=self._count("jobs_jobevent"),
            warm_minutes=warm / 60,
            trends=trends,
            seen=seen,
            logged=logged,
            verdict=verdict,
            samples={name: one.values for name, one in series.items()},
        )
        for line in report.lines():
            self._say(line)
        if options.write:
            write(report, self._said)
        return not verdict.failed

    def _compare(self, crowd: Crowd) -> list[str]:
        query = "SELECT job_id, seq, kind, state, attempt, at, data FROM jobs_jobevent ORDER BY seq"
        truth: dict[str, list[dict[str, Any]]] = {}
        for job, seq, kind, state, attempt, at, data in self._database.execute(query):
            fact = {"seq": seq, "kind": kind, "state": state, "attempt": attempt, "data": data}
            truth.setdefault(str(job), []).append({**fact, "at": at})
        wrong = []
        for number, person in enumerate(crowd.people):
            for job, facts in person.facts.items():
                seen = [
                    {name: fact[name] for name in ("seq", "kind", "state", "attempt", "data")}
                    | {"at": datetime.fromisoformat(fact["at"])}
                    for fact in facts
                ]
                if seen != truth[job]:
                    wrong.append(f"viewer {number} saw {seen} of {job}, not {truth[job]}")
        return wrong

    def _unfinished(self) -> list[str]:
        query = "SELECT id, state FROM jobs_job WHERE state <> 'succeeded'"
        return [f"{job} is {state}" for job, state in self._database.execute(query)]

    def _say(self, text: str) -> None:
        self._said.append(text)
        print(text, flush=True)  # noqa: T201


@contextmanager
def _second_worker(system: System, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Beside the one of `make run`, as its supervisor starts that one."""
    services = Machine(system.var, frozenset({DATABASE, REDIS, SECRET})).environment()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
    env = clean | services | {"T2V_VAR": str(system.var), "OMP_NUM_THREADS": "1"}
    calm = ["-W", "ignore:You're running the worker with superuser privileges"]
    command = [sys.executable, *calm, "-m", "celery", "--quiet", "-A", "t2v_site", "worker"]
    command += ["-Q", "gpu.default", "--loglevel", "WARNING"]
    command += ["--without-mingle", "--without-gossip"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def _wait_for_workers(database: psycopg.Connection) -> None:
    until = time.monotonic() + READY_SECONDS
    query = "SELECT count(*) FROM jobs_worker WHERE ready_at IS NOT NULL"
    while (row := database.execute(query).fetchone()) is not None and row[0] < 2:
        assert time.monotonic() < until, f"{row[0]} of 2 workers are ready"
        time.sleep(0.2)
