"""One run: a site, a crowd, and the report."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.live_first import cookie_of
from t2v_site.embedded import DATABASE, REDIS, Machine
from tests.load import options as asked
from tests.load import report
from tests.load.options import Options
from tests.load.records import read
from tests.load.site import Site
from tests.load.watch import Watch
from tests.stage import ROOT, Caller, System, running

PEOPLE = ("alice", "bob", "charlie")  # two of one workspace, and one of another
TOKENS = 2  # of each of them
WARM_JOBS = 5  # before the crowd: without a past nobody is refused, and nothing is promised
WARM_SECONDS = 120.0
LOOK_SECONDS = 60.0  # the sweep looks at the queue every 5, on an idle machine
DRAIN_SECONDS = 120.0
LEAVE_SECONDS = 90.0  # of the crowd, beyond its time
SAMPLE_SECONDS, SAMPLES = 1.0, 300  # more seldom in a run that is longer than that


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """How the crowd comes in. No more than this is known of a site that was there before."""

    url: str
    tokens: list[str]
    sessions: list[dict[str, str]]  # cookie, csrf
    system: System | None  # our own


class Run:
    def __init__(self, options: Options) -> None:
        self.options = options
        self.run = secrets.token_hex(3)
        self.errors: list[str] = []
        stamp = datetime.now(tz=UTC).strftime("%Y%m%d-%H%M%S")
        usual = ROOT / "var" / "load" / f"{stamp}-{options.shape}-{options.seed}"
        self.out = (options.out or usual).absolute()

    def go(self) -> int:
        """The exit code. Leaves no process behind, and of an own site nothing but the report."""
        options = self.options
        _say(
            f"{options.shape}, seed {options.seed}: {options.users} users, {options.minutes:g} min"
        )
        self.out.mkdir(parents=True, exist_ok=True)
        with self._doors() as doors:
            measured = self._measure(doors)
        for line in report.write(measured, self.out, options=options):
            _say(line)
        return report.exit_code(measured)

    @contextmanager
    def _doors(self) -> Iterator[Doors]:
        options = self.options
        if options.url:
            assert options.token_file is not None
            tokens = asked.tokens(options.token_file)
            yield Doors(url=options.url, tokens=tokens, sessions=[], system=None)
            return
        folder = Path(tempfile.mkdtemp(prefix="t2v-load-"))
        try:
            longest = str(options.max_wait)
            with running(folder / "var", T2V_MAX_WAIT_SECONDS=longest) as system:
                try:
                    yield _own_doors(system)
                finally:
                    text = "".join(system.lines)
                    (self.out / "make-run.log").write_text(text, encoding="utf-8")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _measure(self, doors: Doors) -> dict[str, Any]:
        began = datetime.now(tz=UTC)
        site = Site(doors.url, doors.tokens, run=self.run)
        records = self.out / "records.jsonl"
        load_before = os.getloadavg()[0]
        clock = time.monotonic()
        try:
            watch = self._crowd(doors, records)
        except (KeyboardInterrupt, SystemExit):
            if doors.system is None and not self.options.keep:
                _say("tidying up; again to leave it")
                site.delete(began)  # which cancels what waits or renders
            raise
        seconds = time.monotonic() - clock
        load_after = os.getloadavg()[0]
        cancelled = site.drain(began, seconds=DRAIN_SECONDS)
        if cancelled:
            site.wait_until_final(began, seconds=30.0)
        endings = site.endings(began)
        if watch is not None:
            watch.stop()
            self.errors += [watch.wrong] if watch.wrong else []
        if doors.system is None and not self.options.keep:
            _say(f"deleted {site.delete(began)} videos of this run")
        return report.measure(
            records=list(read(records)),
            endings=endings,
            samples=watch.samples if watch else [],
            options=self.options,
            began=began,
            seconds=seconds,
            cancelled=cancelled,
            loads=(load_before, load_after),
            run_errors=self.errors,
        )

    def _crowd(self, doors: Doors, records: Path) -> Watch | None:
        """Until the last user has left, or the hard stop. The watch goes on."""
        options, seconds = self.options, self.options.minutes * 60
        orders = {
            "url": doors.url,
            "run": self.run,
            "seed": options.seed,
            "shape": options.shape,
            "users": options.users,
            "seconds": seconds,
            "jobs": options.jobs,
            "records_bytes": options.disk_mb * 1_000_000,
            "tokens": doors.tokens,
            "sessions": doors.sessions,
        }
        clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
        command = [sys.executable, "-m", "tests.load.crowd", str(records)]
        with (self.out / "crowd.log").open("wb") as log:
            crowd = subprocess.Popen(
                command, cwd=ROOT, env=clean, stdin=subprocess.PIPE, stdout=log, stderr=log
            )
            watch = None
            try:
                assert crowd.stdin is not None
                crowd.stdin.write(json.dumps(orders).encode() + b"\n")
                crowd.stdin.close()
                watch = self._watch(doors.system, psutil.Process(crowd.pid))
                self._wait(crowd, watch, until=time.monotonic() + seconds + LEAVE_SECONDS)
            finally:
                if crowd.poll() is None:
                    crowd.kill()
                    crowd.wait()
        if crowd.returncode:
            self.errors.append(f"the crowd ended with {crowd.returncode}: see crowd.log")
        return watch

    def _wait(self, crowd: "subprocess.Popen[bytes]", watch: Watch | None, *, until: float) -> None:
        while crowd.poll() is None:
            if watch is not None and watch.full.is_set():
                self.errors.append(f"the site's folder has more than {self.options.disk_mb} MB")
                return
            if time.monotonic() > until:
                self.errors.append("the crowd did not leave in time and was ended")
                return
            time.sleep(0.2)

    def _watch(self, system: System | None, crowd: psutil.Process) -> Watch | None:
        """None for a site that is not ours."""
        if system is None:
            return None
        services = Machine(system.var, frozenset({DATABASE, REDIS})).environment()
        watch = Watch(
            system=system,
            database=services[DATABASE],
            redis_url=services[REDIS],
            crowd=crowd,
            every_seconds=max(SAMPLE_SECONDS, self.options.minutes * 60 / SAMPLES),
            disk_mb=self.options.disk_mb,
        )
        watch.start()
        return watch


def _own_doors(system: System) -> Doors:
    """Signed in, and warm."""
    callers = [Caller(system.url, name) for name in PEOPLE]
    sessions = []
    for caller in callers:
        cookie = cookie_of(caller)
        names = dict(pair.split("=", 1) for pair in cookie.split("; "))
        csrf = next(value for name, value in names.items() if "csrf" in name)
        sessions.append({"cookie": cookie, "csrf": csrf})
    tokens = [_token(caller, number) for number in range(TOKENS) for caller in callers]
    jobs = [callers[0].submit(steps=4 + 2 * (n % 3), frames=19) for n in range(WARM_JOBS)]
    for job in jobs:
        callers[0].wait_for(job, "succeeded", seconds=WARM_SECONDS)
    _wait_for_a_forecast(callers[0])
    return Doors(url=system.url, tokens=tokens, sessions=sessions, system=system)


def _wait_for_a_forecast(caller: Caller) -> None:
    """Until the sweep has seen the renders: before that nothing is promised and nobody refused."""
    until = time.monotonic() + LOOK_SECONDS
    while True:
        answer = caller.ask("POST", "/api/v1/jobs/dry-run", json.dumps({"prompt": "a red circle"}))
        assert answer.status == 200, answer.data
        if answer.json()["estimate"]["eta_seconds"] is not None:
            return
        assert time.monotonic() < until, answer.data
        time.sleep(0.5)


def _token(caller: Caller, number: int) -> str:
    body = {"name": f"load {number}", "scopes": ["jobs:read", "jobs:write"], "expires_in_days": 1}
    answer = caller.ask("POST", "/api/v1/tokens", json.dumps(body))
    assert answer.status == 201, answer.data
    return str(answer.json()["token"])


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201
