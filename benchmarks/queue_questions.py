"""The questions of benchmarks/queue.py, each with its arms."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from benchmarks.arms import Clients, Row, Speed, interleave, rows_of, speeds
from benchmarks.stage import ROOT

CLIENTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    rows: int
    slice_seconds: float  # one arm, one round
    rounds: int
    snapshot_seconds: float
    wakes: int  # of each kind

    @property
    def reserve(self) -> int:
        return max(self.rows // 2, 20_000)


class Bench:
    def __init__(self, scale: Scale, deep: Clients, empty: Clients) -> None:
        self._scale, self._deep, self._empty = scale, deep, empty
        self._sql = psycopg.connect(os.environ["T2V_DATABASE_URL"], autocommit=True)
        self._versions = "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'pgtrigger_told%'"

    def close(self) -> None:
        self._sql.close()

    def _guards(self, how: str) -> None:
        """on, off, or unasked at the commit: a statement alone writes no event."""
        self._sql.execute("ALTER TABLE jobs_job ENABLE TRIGGER USER")
        if how == "off":
            self._sql.execute("ALTER TABLE jobs_job DISABLE TRIGGER USER")
        elif how == "unasked":
            for (name,) in self._sql.execute(self._versions).fetchall():
                self._sql.execute(f"ALTER TABLE jobs_job DISABLE TRIGGER {name}")

    def _arms(self, names: Sequence[str], clients: int) -> dict[str, Callable[[], Speed]]:
        ask = partial(self._deep.speed, seconds=self._scale.slice_seconds, clients=clients)
        return {name: partial(ask, name) for name in names}

    # --- The questions ------------------------------------------------------------------------

    def claims(self) -> list[Row]:
        rows = []
        for clients in (1, CLIENTS):
            label = f"{clients} client{'s'[: clients - 1]}"
            self._guards("unasked")
            arms = self._arms(("known", "claim", "plain claim", "bump"), clients)
            found = interleave(arms, self._scale.rounds)
            rows += speeds(found, "known", label=label, goals={"claim": ">= 0.7"})
            self._guards("on")
            arms = self._arms(("full known", "full claim"), clients)
            found = interleave(arms, self._scale.rounds)
            rows += speeds(found, "full known", label=label, goals={"full claim": ">= 0.7"})
        return rows

    def guards(self) -> list[Row]:
        def speed(what: str, how: str) -> Speed:
            self._guards(how)
            return self._deep.speed(what, self._scale.slice_seconds, 1)

        rows = []
        for what, how in (("known", "unasked"), ("full claim", "on")):
            arms = {"unguarded": partial(speed, what, "off"), "guarded": partial(speed, what, how)}
            found = interleave(arms, self._scale.rounds)
            rows += speeds(found, "unguarded", label=what, goals={})
        self._guards("on")
        return rows

    def snapshot(self) -> list[Row]:
        """The same while a transaction of somebody else's stays open."""
        rows = []
        self._guards("unasked")
        for clients in (1, CLIENTS):
            self._sql.execute("VACUUM (ANALYZE) jobs_job")
            with psycopg.connect(os.environ["T2V_DATABASE_URL"]) as old:
                old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                old.execute("SELECT state FROM jobs_job LIMIT 1")
                until = time.monotonic() + self._scale.snapshot_seconds
                arms = self._arms(("known", "claim", "plain claim"), clients)
                found: dict[str, list[Speed]] = {name: [] for name in arms}
                while time.monotonic() < until or not found["plain claim"]:
                    backwards = len(found["known"]) % 2
                    for name in list(arms)[:: -1 if backwards else 1]:
                        found[name].append(arms[name]())
            seconds = self._scale.snapshot_seconds
            label = f"{clients} client{'s'[: clients - 1]}, {seconds:.0f} s"
            goals = {"claim": ">= 0.6"}
            rows += speeds(found, "known", label=label, goals=goals)
            third = len(found["known"]) * 2 // 3
            late = {name: values[third:] for name, values in found.items()}
            rows += speeds(late, "known", label=f"{label}, its last third", goals=goals)
        self._guards("on")
        self._sql.execute("VACUUM (ANALYZE) jobs_job")
        return rows

    def depth(self) -> list[Row]:
        """What one costs, as many submitted as claimed in each round."""

        def one(clients: Clients, what: str) -> tuple[float, float]:
            answer = clients.ask("repeat", what=what, seconds=0.0, count=100)[0]
            return float(answer["median"]) * 1000, float(answer["cpu"]) * 1e6

        deep = f"depth {self._scale.rows:,}"
        places = {"depth 0": self._empty, deep: self._deep}
        kinds = ("submit", "full claim")
        found: dict[str, dict[str, list[tuple[float, float]]]] = {
            kind: {place: [] for place in places} for kind in kinds
        }
        for number in range(2 * self._scale.rounds + 1):
            for place in list(places)[:: -1 if number % 2 else 1]:
                for kind in kinds:
                    taken = one(places[place], kind)
                    if number:  # the first round warms up
                        found[kind][place].append(taken)
        rows = []
        for kind, takes in found.items():
            for index, unit in ((0, " ms"), (1, " µs CPU")):
                values = {place: [take[index] for take in all_] for place, all_ in takes.items()}
                goals = {deep: "<= 1.1"}
                rows += rows_of(values, "depth 0", label=kind, goals=goals, best=min, unit=unit)
        return rows

    def readings(self) -> list[Row]:
        rows = []
        empty, deep = self._empty.ask("readings")[0], self._deep.ask("readings")[0]
        for name, value in deep.items():
            base = empty[name]
            rows.append(Row(what=f"{name} at depth 0", median=base, best=base, unit=" ms"))
            rows.append(
                Row(
                    what=f"{name} at depth {self._scale.rows:,}",
                    median=value,
                    best=value,
                    against="depth 0",
                    ratio=value / base,
                    best_ratio=value / base,
                    unit=" ms",
                )
            )
        return rows

    def wakes(self, empty_url: str) -> list[Row]:
        """Milliseconds from a submit's commit until an idle worker's claim reaches Postgres."""
        with ExitStack() as stack:
            sql = stack.enter_context(psycopg.connect(empty_url, autocommit=True))
            stack.enter_context(_worker(sql, T2V_DATABASE_URL=empty_url))
            here = {"T2V_DATABASE_URL": empty_url, "T2V_POOL": "listen"}
            listener, teller = Clients(1, **here), Clients(1, **here)
            stack.callback(listener.close)
            stack.callback(teller.close)
            for clients in (teller, listener):
                clients.ask("look_around")
            listener.ask("listen")

            arms = {
                "LISTEN/NOTIFY": partial(_wake, sql, teller, notify=True),
                "knock": partial(_wake, sql, self._empty, notify=False),
            }
            found = interleave(arms, self._scale.wakes)
        rows = rows_of(found, "LISTEN/NOTIFY", label="p50", goals={}, best=min, unit=" ms")
        late = {name: [_p99(values)] for name, values in found.items()}
        goals = {"knock": "<= 2"}
        return rows + rows_of(late, "LISTEN/NOTIFY", label="p99", goals=goals, best=min, unit=" ms")


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def _wake(sql: Any, clients: Clients, *, notify: bool) -> float:
    told = clients.ask("submit_and_tell", notify=notify)[0]
    claimed = _until(
        sql,
        "SELECT extract(epoch FROM started_at) FROM jobs_job WHERE id = %s AND attempt = 1",
        [told["job"]],
    )
    clients.ask("cancel", job=told["job"])
    if not notify:
        _until(sql, "SELECT 1 FROM jobs_job WHERE id = %s AND lease_until IS NULL", [told["job"]])
    time.sleep(0.3)  # the worker looks once more, finds nothing, and is idle
    return (float(claimed) - float(told["at"])) * 1000


def _until(sql: Any, question: str, values: list[Any], seconds: float = 60.0) -> Any:
    """The first column of the first row, as soon as there is one."""
    until = time.monotonic() + seconds
    while True:
        row = sql.execute(question, values).fetchone()
        if row is not None:
            return row[0]
        assert time.monotonic() < until, question
        time.sleep(0.02)


@contextmanager
def _worker(sql: Any, **env: str) -> Iterator[None]:
    """The product's own, with the bundled model loaded."""
    calm = ["-W", "ignore:You're running the worker with superuser privileges"]
    command = [sys.executable, *calm, "-m", "celery", "--quiet", "-A", "t2v_site", "worker"]
    quiet = ["-Q", "gpu.default", "--loglevel", "ERROR"]
    process = subprocess.Popen([*command, *quiet], cwd=ROOT, env=os.environ | env)
    try:
        _until(sql, "SELECT 1 FROM jobs_worker WHERE ready_at IS NOT NULL", [], 120.0)
        yield
    finally:
        process.terminate()
        process.wait(60)
