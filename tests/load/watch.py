"""What a site's parts take while it is loaded: processor, memory, connections."""

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis

from tests.load.records import Sample
from tests.stage import System

OTHER = "other"
CROWD = "crowd"  # ours
_COUNTS = """
SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'running'),
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
FROM jobs_job WHERE state IN ('queued', 'running')
"""


def part_of(words: str) -> str:
    """words: a process' command line."""
    known = {
        "manage.py up": "supervisor",
        "daphne": "web",
        "manage.py sweep": "sweep",
        "jobs.webhooks.tasks": "webhooks",
        "celery": "worker",
        "spawn_main": "worker",
        "gpu_worker": "worker",
        "postgres": "postgres",
        "redis-server": "redis",
        "tests.load.crowd": CROWD,
    }
    return next((part for sign, part in known.items() if sign in words), OTHER)


@dataclass(kw_only=True)
class Watch(threading.Thread):
    """Samples until it is stopped. full: set when the data folder is as large as it may be."""

    system: System
    database: str  # its address
    redis_url: str
    crowd: psutil.Process
    every_seconds: float
    disk_mb: int
    samples: list[Sample] = field(default_factory=list)
    full: threading.Event = field(default_factory=threading.Event)
    wrong: str = "nobody watched to the end"

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self._known: dict[int, tuple[psutil.Process, str]] = {}
        self._spent: dict[int, tuple[float, float]] = {}  # when, seconds of processor

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        with (
            psycopg.connect(self.database, autocommit=True) as sql,
            redis.Redis.from_url(self.redis_url, socket_timeout=10) as store,
        ):
            while not self._over.wait(self.every_seconds):
                self.samples.append(self._look(sql, store))
        self.wrong = ""

    def stop(self) -> None:
        self._over.set()
        self.join(30)

    def _look(self, sql: psycopg.Connection, store: redis.Redis) -> Sample:
        if len(self.samples) % 10 == 0:
            self._find()
        cpu: dict[str, float] = {}
        memory: dict[str, float] = {}
        for pid, (process, part) in list(self._known.items()):
            try:
                times, now = process.cpu_times(), time.monotonic()
                held = _proportional_mb(pid)
            except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                del self._known[pid]
                continue
            seconds = times.user + times.system
            since, before = self._spent.get(pid, (now, seconds))
            self._spent[pid] = (now, seconds)
            used = 100 * (seconds - before) / (now - since) if now > since else 0.0
            cpu[part] = cpu.get(part, 0.0) + used
            memory[part] = memory.get(part, 0.0) + held
        row = sql.execute(_COUNTS).fetchone()
        assert row is not None
        told: Any = store.info("memory")
        disk = _folder_mb(self.system.var)
        if disk > self.disk_mb:
            self.full.set()
        return Sample(
            at=time.time(),
            cpu={part: round(value, 1) for part, value in cpu.items()},
            memory_mb={part: round(value, 1) for part, value in memory.items()},
            queued=row[0],
            running=row[1],
            connections=row[2],
            redis_mb=round(told["used_memory"] / 1e6, 2),
            disk_mb=round(disk, 1),
            machine_load=os.getloadavg()[0],
        )

    def _find(self) -> None:
        """Those that came since."""
        for process in [*self.system.processes(), self.crowd]:
            self._know(process)
        for process, part in list(self._known.values()):
            if part == "postgres":  # its backends have no environment of their own
                for child in _children(process):
                    self._know(child)

    def _know(self, process: psutil.Process) -> None:
        if process.pid in self._known:
            return
        try:
            part = part_of(" ".join(process.cmdline()) or process.name())
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            return
        self._known[process.pid] = (process, part)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


def _proportional_mb(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1000


def _folder_mb(folder: Path) -> float:
    """Files that go meanwhile are left out."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                continue
    return total / 1e6
