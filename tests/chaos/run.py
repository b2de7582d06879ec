"""One run from its seed to its verdict."""

import itertools
import json
import random
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.chaos.faults import Skipped
from tests.chaos.faults_services import ROOMY
from tests.chaos.history import History
from tests.chaos.people import Crowd
from tests.chaos.plan import Plan, PlannedFault, draw, roll_call
from tests.chaos.system import WORKERS, System
from tests.chaos.verdict import Verdict

WINDOW_SHARE = 0.52  # of the time, in which jobs are submitted and faults happen
PATIENCE_SECONDS = 60.0  # for a service that a fault is at already
LAST_SECONDS = 150.0  # at least, for what is left when the faults have ended: a lease has 60
HANG_MINUTES = 15  # a hung step is waited for 120 s, and there are three attempts
ROLL_CALL_SECONDS = 150.0  # if a worker is still on its way back
HANDS = 16  # faults at a time
CLEARED = "; 0 attempts cleared away"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    seed: int
    jobs: int
    faults: int
    minutes: float
    keep: bool  # the folder, also when all is well


class Run:
    def __init__(self, options: Options) -> None:
        self.options = options
        self._folder = Path(tempfile.mkdtemp(prefix="t2v-chaos-"))
        self._history = History(self._folder / "history.jsonl")
        self._say = self._history.say
        self._system = System(self._folder, self._history)
        self._services: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()  # no fault begins after it
        self._done: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._wrong: list[str] = []  # faults that did not go as they have to

    def go(self) -> bool:
        """Whether every check passed. Leaves no process behind, whatever happens."""
        options = self.options
        self._say(
            f"seed {options.seed}: {options.jobs} jobs, {options.faults} faults, "
            f"at most {options.minutes:g} minutes; {self._folder}"
        )
        whole = False
        try:
            verdict = self._play()
            whole = not verdict.failed
        finally:
            self._ended.set()
            self._system.kill()
            if not whole or options.keep:
                self._say(f"kept: {self._folder}")
            self._history.close()
            if whole and not options.keep:
                shutil.rmtree(self._folder)
        return whole

    def _play(self) -> Verdict:
        options, history = self.options, self._history
        self._system.start()
        self._say(f"ready after {history.seconds:.1f} s: 2 webs, 3 workers, 2 sweeps")
        plan = draw(
            options.seed,
            jobs=options.jobs,
            faults=options.faults,
            window=options.minutes * 60 * WINDOW_SHARE,
            hangs=int(options.minutes >= HANG_MINUTES),
        )
        crowd = Crowd(urls=self._system.web_urls, seed=options.seed, history=history)
        crowd.sign_in()
        self._harm(plan, crowd)
        self._heal()
        waited = self._wait_for_ends()
        self._stamp("every job is over" if not self._left() else "the time is up")
        asleep = self._call_the_roll(crowd)
        self._stamp("the last jobs are over, too")
        return self._judge(crowd, waited=waited, asleep=asleep)

    # --- Faults ---------------------------------------------------------------------------------

    def _harm(self, plan: Plan, crowd: Crowd) -> None:
        people = threading.Thread(target=crowd.run, args=(plan,), name="people")
        people.start()
        began = time.monotonic()
        try:
            with ThreadPoolExecutor(HANDS) as hands:
                for planned in plan.faults:
                    time.sleep(max(0.0, began + planned.at - time.monotonic()))
                    hands.submit(self._strike, planned)
            time.sleep(max(0.0, began + plan.window - time.monotonic()))
        except BaseException:
            crowd.stop()
            raise
        finally:
            people.join()

    def _strike(self, planned: PlannedFault) -> None:
        fault, began = planned.fault, self._history.seconds
        try:
            result = self._do(planned)
            self._count(self._done, fault.name)
        except Skipped as why:
            result = f"left out: {why}"
            self._count(self._skipped, fault.name)
        except Exception as error:  # whatever it is, it belongs into the verdict
            result = f"WRONG: {type(error).__name__}: {error}"
            self._count(self._done, fault.name)
            self._wrong.append(f"{fault.name} at {began:.1f} s: {error}")
        self._say(f"{began:7.1f} s  {fault.name}: {result}")

    def _count(self, counter: "Counter[str]", name: str) -> None:
        with self._lock:
            counter[name] += 1

    def _do(self, planned: PlannedFault) -> str:
        needs = planned.fault.needs
        if not needs:
            return planned.fault.do(self._system, random.Random(planned.seed))
        with self._lock:
            service = self._services.setdefault(needs, threading.Lock())
        if not service.acquire(timeout=PATIENCE_SECONDS):
            raise Skipped(f"another fault was at {needs} for too long")
        try:
            return planned.fault.do(self._system, random.Random(planned.seed))
        finally:
            service.release()

    # --- Afterwards -----------------------------------------------------------------------------

    def _heal(self) -> None:
        """Every fault undoes what it did; this is for those that went wrong."""
        system = self._system
        for part in system.parts.all:
            part.send(signal.SIGCONT, to_all=True)
        for daemon in (system.redis, system.postgres):
            daemon.send(signal.SIGCONT)
            if daemon.pid() is None:
                system.start_service(daemon)
        with system.redis_client() as client:
            client.config_set("maxmemory", ROOMY)
        system.s3.proxy.heal()
        system.set_clock("+0")
        self._stamp("no more faults")

    def _stamp(self, text: str) -> None:
        self._say(f"{self._history.seconds:7.1f} s  {text}")

    def _wait_for_ends(self) -> float:
        """Seconds until every job was final, or until the time was up."""
        began = self._history.seconds
        until = max(self.options.minutes * 60, began + LAST_SECONDS)
        while self._left() and self._history.seconds < until:
            self._ended.wait(0.3)
        return self._history.seconds - began

    def _left(self) -> int:
        """Jobs that are not over; -1 when nobody can say."""
        query = "SELECT count(*) FROM jobs_job WHERE state IN ('queued', 'running')"
        try:
            return int(self._system.sql(query)[0][0])
        except psycopg.OperationalError:
            return -1

    def _call_the_roll(self, crowd: Crowd) -> list[str]:
        """Workers that take no job any more: as many jobs as workers, until each has had one."""
        names: set[str] = set()
        until = time.monotonic() + ROLL_CALL_SECONDS
        for first in itertools.count(self.options.jobs + 1, WORKERS):
            if time.monotonic() > until:
                break
            since = self._system.sql("SELECT now()")[0][0]
            crowd.run(
                Plan(jobs=[roll_call(first + n) for n in range(WORKERS)], faults=[], window=0)
            )
            self._wait_for_ends()
            query = (
                "SELECT DISTINCT split_part(worker, '/', 1) FROM jobs_attempt"
                " WHERE outcome = 'succeeded' AND started_at > %s"
            )
            names |= {row[0] for row in self._system.sql(query, since)}
            if len(names) == WORKERS:
                return []
        return [f"only {sorted(names)} took a job at the end"]

    def _judge(self, crowd: Crowd, *, waited: float, asleep: list[str]) -> Verdict:
        system = self._system
        unwell = system.stop_parts()
        self._stamp("every part has ended")
        swept = self._sweep_storage()
        self._stamp("what nobody refers to is cleared away")
        told = [
            {
                "job": one.job,
                "poison": one.planned.poison,
                "cancel": one.cancel,
                "overdue": one.planned.start_within is not None,
                "killed_at": self._system.killed_at.get(one.job),
            }
            for one in crowd.accepted
        ]
        verdict = Verdict(
            checks={
                "people got the answers that they should": crowd.wrong,
                f"each of {sum(self._done.values())} faults went as it has to": self._wrong,
                "the forged knocks did nothing": self._forged(),
                "every worker renders at the end": asleep,
            }
        )
        code = "from tests.chaos.audit import main; main()"
        found = json.loads(system.shell(code, told=json.dumps(told)))
        self._stamp("rows, files and histories are looked at")
        verdict.checks |= found["checks"]
        verdict.counts = found["counts"]
        verdict.checks["every process ended when it was told to"] = unwell
        verdict.checks["no process and no connection is left"] = system.stop()
        self._tell(verdict, crowd, waited=waited, swept=swept)
        return verdict

    def _forged(self) -> list[str]:
        found = self._folder / "var" / "forged"
        return [f"{found} was made"] if found.exists() else []

    def _sweep_storage(self) -> int:
        """Rounds until nothing was left to clear away; what is due is due at once."""
        self._system.env["T2V_ORPHAN_HOURS"] = "0"
        for rounds in range(1, 200):
            if CLEARED in self._system.manage("sweep", "--once"):
                return rounds
        return 0

    def _tell(self, verdict: Verdict, crowd: Crowd, *, waited: float, swept: int) -> None:
        say = self._say
        say("")
        for name in sorted(self._done.keys() | self._skipped.keys()):
            left_out = f" ({self._skipped[name]} left out)" if self._skipped[name] else ""
            say(f"  {name:<45}{self._done[name]:>5}{left_out}")
        say(f"  {'faults in all':<45}{sum(self._done.values()):>5}")
        for title, counts in verdict.counts.items():
            say("")
            for name, count in sorted(counts.items()):
                label = name if title == "other" else f"{title} {name}"
                say(f"  {label:<45}{count:>5}")
        say(f"  {'requests asked again':<45}{crowd.retries:>5}")
        starts = sum(part.starts for part in self._system.parts.all)
        say(f"  {'starts of a process':<45}{starts:>5}")
        say(f"  {'rounds of the sweep until storage was clear':<45}{swept:>5}")
        say(f"  {'seconds from the last fault to the last end':<45}{waited:>5.0f}")
        say(f"  {'seconds in all':<45}{self._history.seconds:>5.0f}")
        say("")
        for line in verdict.lines():
            say(line)
        passed = len(verdict.checks) - verdict.failed
        say(f"seed {self.options.seed}: {passed} passed, {verdict.failed} failed")
