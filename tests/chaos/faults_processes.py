"""Processes that die, are told to end, or stand still."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import psycopg

from tests.chaos.faults import Fault, Skipped, comes_true
from tests.chaos.parts import Part
from tests.chaos.system import System

LEASE_SECONDS = 60.0  # jobs.models.LEASE, which needs Django's settings to be read
REPLACED_SECONDS = 40.0  # a spawned child imports torch on two busy cores
VANISH_SECONDS = 40.0  # 25 s of a drain, and some for the way there
DRAIN_SECONDS = 35.0  # below the 40 s after which a part is killed at the end
CHECKPOINT_PATIENCE_SECONDS, TAIL_PATIENCE_SECONDS = 30.0, 20.0
BUSY_PATIENCE_SECONDS = 15.0  # for a worker that is to be frozen to have a job
# Beyond the lease: after an outage of Postgres the sweep lets everybody renew first, for a lease.
TAKEN_BACK_SECONDS = 75.0
_HELD = "SELECT count(*) FROM jobs_job WHERE state = 'running' AND worker LIKE %s"
_AT_A_CHECKPOINT = """
SELECT split_part(job.worker, '/', 1), job.id, job.attempt, saved.step FROM jobs_job AS job
JOIN jobs_checkpoint AS saved ON saved.job_id = job.id AND saved.attempt = job.attempt
WHERE job.state = 'running' AND job.cancel_requested_at IS NULL
    AND job.attempt - job.releases < job.max_attempts
"""


@contextmanager
def _one_of(system: System, kind: str, rng: random.Random) -> Iterator[Part]:
    candidates = system.parts.named(kind)
    rng.shuffle(candidates)
    with system.parts.taken(candidates) as part:
        if part is None:
            raise Skipped(f"every {kind} is dead or in the hands of another fault")
        yield part


def child_of(worker: Part) -> psutil.Process | None:
    """The one that renders."""
    for process in worker.family():
        try:
            if "spawn_main" in " ".join(process.cmdline()):
                return process
        except psutil.NoSuchProcess:
            continue
    return None


def _living_child(worker: Part) -> psutil.Process:
    child = child_of(worker)
    if child is None:
        raise Skipped(f"{worker.name} has no child at the moment")
    return child


def _kill_child(system: System, rng: random.Random) -> str:
    with _one_of(system, "worker", rng) as worker:
        return _replace_child(worker)


def _replace_child(worker: Part) -> str:
    child, pid, began = _living_child(worker), worker.pid, time.monotonic()
    with suppress(psutil.NoSuchProcess):  # a poison may have been faster
        child.kill()

    def replaced() -> bool:
        fresh = child_of(worker)
        return worker.pid != pid or (fresh is not None and fresh.pid != child.pid)

    assert comes_true(replaced, REPLACED_SECONDS), f"{worker.name} got no new child"
    return f"{worker.name}: another child after {time.monotonic() - began:.1f} s"


def _kill_at_a_checkpoint(system: System, rng: random.Random) -> str:
    """A child whose render has a checkpoint: the one after it has to go on from there."""
    until = time.monotonic() + CHECKPOINT_PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            saved = {name: at for name, *at in system.sql(_AT_A_CHECKPOINT)}
        except psycopg.OperationalError:
            saved = {}
        found = [part for part in system.parts.named("worker") if part.name in saved]
        with system.parts.taken(found) as worker:
            if worker is not None:
                job, attempt, step = saved[worker.name]
                result = _replace_child(worker)
                system.killed_at[str(job)] = (attempt, step)
                return f"{result}; {job} had step {step}"
        time.sleep(0.2)
    raise Skipped(f"no render had a checkpoint for {CHECKPOINT_PATIENCE_SECONDS:.0f} s")


def _kill_tail(system: System, rng: random.Random) -> str:
    with _one_of(system, "worker", rng) as worker:
        tails: list[psutil.Process] = []

        def makes_files() -> bool:
            tails[:] = _tails(worker)
            return bool(tails)

        if not comes_true(makes_files, TAIL_PATIENCE_SECONDS):
            raise Skipped(f"{worker.name} made no file for {TAIL_PATIENCE_SECONDS:.0f} s")
        with suppress(psutil.NoSuchProcess):  # a poison may have been faster
            tails[0].kill()
        return f"{worker.name}: pid {tails[0].pid}"


def _tails(worker: Part) -> list[psutil.Process]:
    """Its process that makes files; a fresh child starts one with its first clip."""
    return [one for one in worker.family() if "gpu_worker.tail_process" in _words(one)]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _kill_worker(system: System, rng: random.Random) -> str:
    with _one_of(system, "worker", rng) as worker:
        family, began = worker.family(), time.monotonic()
        worker.send(signal.SIGKILL)
        _, left = psutil.wait_procs(family, timeout=VANISH_SECONDS)
        for process in left:
            process.kill()
        assert not left, f"{worker.name}: {len(left)} of {len(family)} outlived their parent"
        return f"{worker.name}: its {len(family)} were gone after {time.monotonic() - began:.1f} s"


def _kill_one(kind: str, system: System, rng: random.Random) -> str:
    with _one_of(system, kind, rng) as part:
        pid = part.pid
        part.send(signal.SIGKILL)
        assert comes_true(lambda: part.pid not in {0, pid}, 20), f"{part.name} did not come back"
        return part.name


def _kill_web(system: System, rng: random.Random) -> str:
    return _kill_one("web", system, rng)


def _kill_sweep(system: System, rng: random.Random) -> str:
    return _kill_one("sweep", system, rng)


def _drain_worker(system: System, rng: random.Random) -> str:
    with _one_of(system, "worker", rng) as worker:
        family, pid, began = worker.family(), worker.pid, time.monotonic()
        worker.send(signal.SIGTERM)
        assert comes_true(lambda: worker.pid != pid, DRAIN_SECONDS), f"{worker.name} did not end"
        took = time.monotonic() - began
        _, left = psutil.wait_procs(family, timeout=20)
        for process in left:
            process.kill()
        assert not left, f"{worker.name}: {len(left)} outlived their parent's drain"
        return f"{worker.name}: ended in {took:.1f} s"


def _freeze_worker(system: System, rng: random.Random) -> str:
    """All of it, beyond the lease: it wakes up as somebody whose job is another's."""
    with _one_of(system, "worker", rng) as worker:
        comes_true(lambda: _held(system, worker) > 0, BUSY_PATIENCE_SECONDS)
        began = time.monotonic()
        worker.send(signal.SIGSTOP, to_all=True)
        try:
            held = _held(system, worker)
            time.sleep(LEASE_SECONDS + rng.uniform(8, 15))
            lost = comes_true(lambda: _held(system, worker) == 0, TAKEN_BACK_SECONDS)
        finally:
            worker.send(signal.SIGCONT, to_all=True)
        seconds = time.monotonic() - began
        assert lost, f"{worker.name} slept for {seconds:.0f} s and its job waited for it"
        return f"{worker.name}: {seconds:.0f} s, {max(held, 0)} jobs taken back from it"


def _held(system: System, worker: Part) -> int:
    """Jobs that it holds; -1 while nobody can say."""
    try:
        return int(system.sql(_HELD, f"{worker.name}/%")[0][0])
    except psycopg.OperationalError:
        return -1


def _freeze_child(system: System, rng: random.Random) -> str:
    """The one that renders and renews: to its parent it looks alive."""
    with _one_of(system, "worker", rng) as worker:
        child, seconds = _living_child(worker), rng.uniform(3, 12)
        try:
            child.suspend()
            time.sleep(seconds)
            child.resume()
        except psutil.NoSuchProcess:
            return f"{worker.name}: it was replaced within {seconds:.0f} s"
        return f"{worker.name}: {seconds:.0f} s"


FAULTS = [
    Fault(name="kill -9 of a worker's child", do=_kill_child, weight=4),
    Fault(name="kill -9 of a child at a checkpoint", do=_kill_at_a_checkpoint, weight=6),
    Fault(name="kill -9 of a worker", do=_kill_worker, weight=4),
    Fault(name="kill -9 of a worker's tail", do=_kill_tail, weight=2, seconds=1),
    Fault(name="kill -9 of a web", do=_kill_web, weight=3, seconds=2),
    Fault(name="kill -9 of a sweep", do=_kill_sweep, weight=2, seconds=2),
    Fault(name="SIGTERM of a worker", do=_drain_worker, weight=4),
    Fault(
        name="SIGSTOP of a worker beyond its lease",
        do=_freeze_worker,
        weight=1,
        seconds=75,
        outlasts_lease=True,
    ),
    Fault(name="SIGSTOP of a worker's child", do=_freeze_child, weight=2),
]
