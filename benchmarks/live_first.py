"""How soon the first picture is seen: from the claim to a socket, on the system of `make run`.

The model is the one that sleeps (gpu_worker/sleeper.py), 50 ms a step: what is measured is ours.
"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from benchmarks.arms import Row
from benchmarks.live_socket import BINARY, Socket, connect
from benchmarks.stage import ROOT
from jobs.events import PreviewHeader
from tests.stage import Caller, running

STEP_SECONDS = 0.05
STEPS = 6
WAITING = 3  # jobs in the queue: the worker never waits for one
PATIENCE_SECONDS = 60.0
GOAL_MS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """One job's first preview, in seconds from the claim."""

    made: float  # the worker's clock in the header
    seen: float  # by the socket
    step: int


@dataclass(kw_only=True)
class Watcher:
    """One socket that watches job after job until each one's claim and first preview."""

    done: set[str] = field(default_factory=set)
    claimed: dict[str, float] = field(default_factory=dict)  # seconds since 1970, Postgres' clock
    pictures: dict[str, tuple[float, PreviewHeader]] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, socket: Socket, opcode: int, payload: bytes) -> None:
        if opcode == BINARY:
            now = time.time()
            header = PreviewHeader.unpack(payload)
            job = str(header.job)
            where = f'"job":"{job}","attempt":{header.attempt},"step":{header.step}'
            socket.send(f'{{"type":"ack",{where}}}'.encode())
            self.pictures.setdefault(job, (now, header))
            self._look(socket, job)
            return
        message = json.loads(payload)
        if message["type"] == "ping":
            socket.send(b'{"type":"pong","n":%d}' % message["n"])
        elif message["type"] == "fact" and message["kind"] == "claimed":
            self.claimed[message["job"]] = datetime.fromisoformat(message["at"]).timestamp()
            self._look(socket, message["job"])

    def _look(self, socket: Socket, job: str) -> None:
        """A preview may overtake the fact."""
        if job in self.claimed and job in self.pictures and job not in self.done:
            self.done.add(job)
            socket.send(json.dumps({"type": "unsubscribe", "job": job}).encode())
            self.news.set()

    def first(self, job: str) -> First:
        seen, header = self.pictures[job]
        claimed = self.claimed[job]
        return First(made=header.server_us / 1e6 - claimed, seen=seen - claimed, step=header.step)


def first_previews(count: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="t2v-bench-first-") as folder:
        models = str(ROOT / "tests" / "chaos" / "models.toml")
        with running(Path(folder) / "var", T2V_MODELS_FILE=models) as system:
            return _rows(asyncio.run(_watch(system.url, count)))


def cookie_of(caller: Caller) -> str:
    return "; ".join(f"{name}={value}" for name, value in caller._cookies.items())


async def _watch(url: str, count: int) -> list[First]:
    caller = await asyncio.to_thread(Caller, url)
    watcher = Watcher()
    address = url.replace("http", "ws", 1) + "/ws/"
    socket = await connect(address, watcher.take, cookie=cookie_of(caller))
    jobs: list[str] = []
    until = time.monotonic() + PATIENCE_SECONDS
    while len(watcher.done) < count:
        assert not socket.closed, socket.closed
        assert time.monotonic() < until, f"{len(watcher.done)} first previews of {len(jobs)}"
        if len(jobs) < count and len(jobs) - len(watcher.done) < WAITING:
            job = await asyncio.to_thread(caller.submit, steps=STEPS, guidance=STEP_SECONDS)
            jobs.append(job)
            told = {"type": "subscribe", "job": job, "after": 0}
            socket.send(json.dumps(told).encode())
            until = time.monotonic() + PATIENCE_SECONDS
            continue
        watcher.news.clear()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await watcher.news.wait()
    socket.close()
    return [watcher.first(job) for job in jobs]


def _rows(found: Sequence[First]) -> list[Row]:
    parts = {
        "claim → first preview, minus one step": [one.seen - STEP_SECONDS for one in found],
        "… of which until it was made": [one.made - STEP_SECONDS for one in found],
        "… and from there to the socket": [one.seen - one.made for one in found],
    }
    rows = [
        _row(f"{what}, {name}", 1000 * share(sorted(seconds)), 1000 * min(seconds))
        for what, seconds in parts.items()
        for name, share in (("p50", statistics.median), ("p99", _p99), ("most", max))
    ]
    later = sum(one.step > 1 for one in found) / len(found)
    return [*rows, _row("first previews of a later step than the first", later, later, unit="")]


def _row(what: str, median: float, best: float, *, unit: str = " ms") -> Row:
    goal = f"≤ {GOAL_MS} ms" if what.startswith("claim") and what.endswith("p99") else ""
    return Row(what=what, median=median, best=best, goal=goal, unit=unit)


def _p99(ordered: Sequence[float]) -> float:
    return ordered[max(0, -(-len(ordered) * 99 // 100) - 1)]
