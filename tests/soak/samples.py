"""What a system holds: memory, files, threads, connections; every few seconds, and how it grows."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg
import redis

from benchmarks.live_parts import private_kib
from tests.stage import System

KIB = "KB"
# A series is flat when its slope, less twice its standard error, stays below this an hour: what is
# less cannot be told from noise in an hour, and takes a month to matter.
LIMITS = {
    "web": 1024.0,
    "worker's parent": 1024.0,
    "worker's child": 4096.0,  # torch's allocator; 1,500 renders an hour
    "sweep": 1024.0,
    "webhooks": 1024.0,
    "supervisor": 1024.0,
    "Redis": 1024.0,
    "keys": 100.0,  # a preview's lives for 15 minutes: as many as jobs in that time
}
COUNT_LIMIT = 2.0  # files, threads, connections


@dataclass(kw_only=True)
class Series:
    name: str
    unit: str
    limit: float  # growth an hour
    at: list[float] = field(default_factory=list)  # seconds since the begin
    values: list[float] = field(default_factory=list)

    def trend(self, since: float) -> "Trend":
        """By least squares over the samples from that second on."""
        quarter = max(1, len(self.values) // 4)
        pairs = [(t / 3600, v) for t, v in zip(self.at, self.values, strict=True) if t >= since]
        slope, error = least_squares(pairs)
        return Trend(
            name=self.name,
            unit=self.unit,
            samples=len(pairs),
            first=statistics.median(self.values[:quarter]),
            last=statistics.median(self.values[-quarter:]),
            slope=slope,
            error=error,
            limit=self.limit,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    name: str
    unit: str
    samples: int  # that the slope is of
    first: float  # median of the first quarter of all
    last: float  # of the last
    slope: float  # an hour
    error: float  # its standard error
    limit: float

    @property
    def flat(self) -> bool:
        return self.slope - 2 * self.error < self.limit


def least_squares(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope and its standard error; 0 and infinity of fewer than three points."""
    if len(pairs) < 3:
        return 0.0, float("inf")
    mean_x = statistics.fmean(x for x, _ in pairs)
    mean_y = statistics.fmean(y for _, y in pairs)
    spread = sum((x - mean_x) ** 2 for x, _ in pairs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in pairs) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in pairs)
    error: float = (rest / (len(pairs) - 2) / spread) ** 0.5
    return slope, error


class Watch:
    """Samples of one system."""

    def __init__(
        self, system: System, second_worker: int, database: psycopg.Connection, store: redis.Redis
    ) -> None:
        self._database, self._redis = database, store
        self._parts = _parts(system, second_worker)
        self.series: dict[str, Series] = {}
        self.wrong: list[str] = []

    def look(self, now: float) -> None:
        for name, process in self._parts.items():
            kind = name.partition(" ")[2] if name[0].isdigit() else name
            try:
                with process.oneshot():
                    memory = private_kib(process.pid)
                    files, threads = process.num_fds(), process.num_threads()
            except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                complaint = f"{name} (process {process.pid}) has ended"
                if complaint not in self.wrong:
                    self.wrong.append(complaint)
                continue
            self._note(f"{name}: private memory", now, memory, unit=KIB, limit=LIMITS[kind])
            self._note(f"{name}: open files", now, files)
            self._note(f"{name}: threads", now, threads)
        store: Any = self._redis.info()
        used = store["used_memory"] / 1024
        self._note("Redis: used memory", now, used, unit=KIB, limit=LIMITS["Redis"])
        self._note("Redis: clients", now, store["connected_clients"])
        self._note("Redis: keys", now, self._keys(), limit=LIMITS["keys"])
        self._note("Postgres: connections", now, self._connections())

    def _keys(self) -> float:
        found: Any = self._redis.dbsize()
        return float(found)

    def _connections(self) -> float:
        query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        row = self._database.execute(query).fetchone()
        assert row is not None
        return float(row[0])

    def _note(
        self, name: str, now: float, value: float, *, unit: str = "", limit: float = COUNT_LIMIT
    ) -> None:
        series = self.series.setdefault(name, Series(name=name, unit=unit, limit=limit))
        series.at.append(now)
        series.values.append(value)


def _parts(system: System, second_worker: int) -> dict[str, psutil.Process]:
    """By name: of each worker the parent, its child that renders, and that one's side process."""
    found: dict[str, psutil.Process] = {}
    for process in system.processes():
        words = " ".join(process.cmdline())
        if "manage.py up" in words:
            found["supervisor"] = process
        elif "daphne" in words:
            found["web"] = process
        elif "manage.py sweep" in words:
            found["sweep"] = process
        elif "jobs.webhooks.tasks" in words:
            found["webhooks"] = process
        elif "celery" in words and "worker" in words:
            number = 2 if process.pid == second_worker else 1
            found[f"{number} worker's parent"] = process
            children = [p for p in process.children() if "spawn_main" in " ".join(p.cmdline())]
            assert len(children) == 1, children
            found[f"{number} worker's child"] = children[0]
    missing = {"supervisor", "web", "sweep", "webhooks"} - set(found)
    assert not missing, f"no process of {missing}"
    assert len(found) == 8, found
    return found
