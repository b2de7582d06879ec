"""Kills the worker's child at random steps and compares the clip with an undisturbed one.

`python -m tests.kills --kills 30 --seed 1` (make kills) prints a line a kill and a table. The whole
system of `make run`, the bundled model, nothing replaced.
"""

import argparse
import hashlib
import io
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import psutil
import psycopg
import redis

from jobs.stream import RING
from t2v_site.embedded import DATABASE, REDIS, Machine
from tests.stage import Caller, System, running

CHECKPOINT_SECONDS = 1
SPEC: dict[str, Any] = {"frames": 19, "seed": 20261125}
STEPS = 1000
PATIENCE_SECONDS = 180.0
LAST_STEP = 0.9  # of all steps: a later kill would often hit the decoding


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    at_step: int  # the last one that was told
    resumed_step: int
    interval_steps: int  # between two checkpoints, the largest seen in this attempt
    next_step_after: float  # seconds from the kill to the next step, by another process
    equal: bool

    @property
    def recomputed(self) -> int:
        return self.at_step - self.resumed_step


class Stage:
    """One system, its Postgres and its Redis."""

    def __init__(self, system: System) -> None:
        self.system, self.caller = system, Caller(system.url)
        services = Machine(system.var, frozenset({DATABASE, REDIS})).environment()
        self._redis = redis.Redis.from_url(services[REDIS], socket_timeout=30)
        self._database = psycopg.connect(services[DATABASE], autocommit=True)

    def close(self) -> None:
        self._database.close()
        self._redis.close()

    def child(self) -> psutil.Process:
        """Celery's one child, which renders."""
        (found,) = [
            process
            for process in self.system.processes()
            if "spawn_main" in " ".join(process.cmdline())
        ]
        return found

    def ticks(self, job: str, *, since: str) -> Iterator[tuple[float, dict[str, Any]]]:
        """What the ring says of the job's steps from that entry on, as it comes."""
        until, last = time.monotonic() + PATIENCE_SECONDS, since
        while time.monotonic() < until:
            answer: Any = self._redis.xread({RING: last}, block=1000, count=100)
            for _, rows in answer or []:
                for entry, fields in rows:
                    last = entry
                    event = json.loads(fields[b"event"])
                    if event["job"] == job and event["type"] == "tick":
                        yield time.monotonic(), event
        raise AssertionError(f"no step of job {job} for {PATIENCE_SECONDS:.0f} s")

    def newest_entry(self) -> str:
        rows: Any = self._redis.xrevrange(RING, count=1)
        return rows[0][0].decode() if rows else "0-0"

    def saved_step(self, job: str) -> int:
        row = self._database.execute(
            "SELECT step FROM jobs_checkpoint WHERE job_id = %s", [job]
        ).fetchone()
        return 0 if row is None else int(row[0])

    def resumed_step(self, job: str) -> int:
        """Of the newest attempt; 0 when it began from noise."""
        row = self._database.execute(
            "SELECT data->>'step' FROM jobs_jobevent WHERE job_id = %s AND kind = 'resumed' "
            "ORDER BY seq DESC LIMIT 1",
            [job],
        ).fetchone()
        return 0 if row is None else int(row[0])

    def frames_hash(self, job: str) -> str:
        """SHA-256 of all decoded frames, RGB."""
        found = self.caller.wait_for(job, "succeeded", "failed", "parked", seconds=PATIENCE_SECONDS)
        assert found["state"] == "succeeded", found
        body = self.caller.ask("GET", found["video_url"]).data
        digest = hashlib.sha256()
        with av.open(io.BytesIO(body), mode="r") as clip:
            for frame in clip.decode(video=0):
                digest.update(frame.to_ndarray(format="rgb24").tobytes())
        return digest.hexdigest()


def kill_once(stage: Stage, at_step: int, undisturbed: str, *, steps: int) -> Kill:
    """One render that is killed as soon as that step was told."""
    since = stage.newest_entry()
    job = stage.caller.submit(**SPEC, steps=steps)
    saved, interval, reached = 0, 0, 0
    for _, tick in stage.ticks(job, since=since):
        if tick["phase"] != "denoising":
            continue
        reached = tick["step"]
        now_saved = stage.saved_step(job)
        interval, saved = max(interval, now_saved - saved), now_saved
        if reached >= at_step:
            break
    child, since = stage.child(), stage.newest_entry()
    child.kill()
    killed = time.monotonic()
    after = next(
        at
        for at, tick in stage.ticks(job, since=since)
        if tick["attempt"] == 2 and tick["phase"] == "denoising"
    )
    equal = stage.frames_hash(job) == undisturbed
    return Kill(
        at_step=reached,
        resumed_step=stage.resumed_step(job),
        interval_steps=interval,
        next_step_after=after - killed,
        equal=equal,
    )


def run(stage: Stage, *, kills: int, seed: int, steps: int = STEPS) -> list[Kill]:
    chance, done = random.Random(seed), []
    undisturbed = stage.frames_hash(stage.caller.submit(**SPEC, steps=steps))
    for number in range(1, kills + 1):
        at_step = chance.randint(1, int(LAST_STEP * steps))
        kill = kill_once(stage, at_step, undisturbed, steps=steps)
        done.append(kill)
        print(  # noqa: T201
            f"{number:3}  killed at step {kill.at_step:4}, went on from {kill.resumed_step:4}: "
            f"{kill.recomputed:3} steps again (a checkpoint every {kill.interval_steps} steps), "
            f"next step after {kill.next_step_after:.1f} s, "
            f"{'the same frames' if kill.equal else 'OTHER FRAMES'}",
            flush=True,
        )
    return done


@contextmanager
def start(folder: Path) -> Iterator[Stage]:
    """A system whose worker saves a checkpoint every second, if that is cheap enough."""
    with running(folder / "var", T2V_CHECKPOINT_SECONDS=str(CHECKPOINT_SECONDS)) as system:
        stage = Stage(system)
        try:
            yield stage
        finally:
            stage.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}")  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="t2v-kills-") as folder, start(Path(folder)) as stage:
        kills = run(stage, kills=options.kills, seed=options.seed)
    equal = sum(kill.equal for kill in kills)
    after = [kill.next_step_after for kill in kills]
    print(  # noqa: T201
        f"equal {equal} of {len(kills)}; steps again: median "
        f"{statistics.median(kill.recomputed for kill in kills):.0f}, most "
        f"{max(kill.recomputed for kill in kills)}, a checkpoint every "
        f"{max(kill.interval_steps for kill in kills)} steps at the most; from the kill "
        f"to the next step: median {statistics.median(after):.1f} s, most {max(after):.1f} s"
    )
    return 0 if equal == len(kills) else 1


if __name__ == "__main__":
    sys.exit(main())
