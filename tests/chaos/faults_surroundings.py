"""Disks that run full, clocks that jump, and knocks that are too many, missing or forged."""

import errno
import json
import random
import time
from pathlib import Path
from typing import Any

from celery import Celery

from jobs.dispatch import KNOCK
from tests.chaos.faults import Fault, Skipped
from tests.chaos.system import WORKERS, System

QUEUE = "gpu.default"
PREFIX = "t2v:celery:"  # settings.BROKER_PREFIX
CLOCKS = ("+1h", "-1h", "+2d")
DOUBLES = 40
GARBAGE = (b"\xff\xfe\x00 no text", b"no JSON", b"[]", b"7", b'{"body": 1}', b"")


def _fill_disk(system: System, rng: random.Random) -> str:
    disk = system.scratch_disk
    if disk is None:
        raise Skipped("no small disk could be mounted here (that takes root)")
    filler, seconds = disk / "filler", rng.uniform(4, 12)
    try:
        written = _fill(filler)
        time.sleep(seconds)
    finally:
        filler.unlink(missing_ok=True)
    return f"worker-1: {written / 1e6:.1f} MB for {seconds:.0f} s"


def _fill(path: Path) -> int:
    """Bytes until nothing more went in."""
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"\0" * 65_536)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                return file.tell()


def _jump_clock(system: System, rng: random.Random) -> str:
    if not system.has_fake_clock:
        raise Skipped("the wheel libfaketime is not here")
    offset, seconds = rng.choice(CLOCKS), rng.uniform(5, 20)
    system.set_clock(offset)
    time.sleep(seconds)
    system.set_clock("+0")
    return f"worker-{WORKERS}: {offset} for {seconds:.0f} s"


def _knocker(system: System) -> Celery:
    """Sends as the site does, and knows nothing of it."""
    app = Celery("chaos", broker=system.env["T2V_REDIS_URL"], set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": PREFIX, "socket_timeout": 5}
    app.conf.task_ignore_result = True
    return app


def _double_knocks(system: System, rng: random.Random) -> str:
    with _knocker(system) as app:
        for _ in range(DOUBLES):
            app.send_task(KNOCK, queue=QUEUE, expires=60, retry=False)
    return f"{DOUBLES} at once"


def _lose_knocks(system: System, rng: random.Random) -> str:
    with system.redis_client() as client:
        lost: Any = client.llen(PREFIX + QUEUE)
        client.delete(PREFIX + QUEUE)
    return f"{lost} on their way"


def _forge_knocks(system: System, rng: random.Random) -> str:
    """Well-formed ones that ask for something."""
    evil = system.folder / "var" / "forged"
    with _knocker(system) as app:
        app.send_task(KNOCK, args=["job", 1], kwargs={"attempt": 9}, queue=QUEUE, retry=False)
        app.send_task("os.system", args=[f"touch {evil}"], queue=QUEUE, retry=False)
        app.send_task(KNOCK, queue=QUEUE, retry=False, serializer="pickle")
    return "arguments, another task, a pickle"


def _knock_garbage(system: System, rng: random.Random) -> str:
    """What is no message at all, in the list where knocks lie."""
    told = rng.choice(GARBAGE)
    with system.redis_client() as client:
        client.lpush(PREFIX + QUEUE, told)
    return json.dumps(told.decode("latin-1"))


FAULTS = [
    Fault(name="disk of a worker full", do=_fill_disk, weight=3, needs="scratch"),
    Fault(name="clock of a worker jumps", do=_jump_clock, weight=3, needs="clock", seconds=12),
    Fault(name="knocks doubled", do=_double_knocks, weight=2, needs="redis", seconds=1),
    Fault(name="knocks lost", do=_lose_knocks, weight=3, needs="redis", seconds=1),
    Fault(name="knocks forged", do=_forge_knocks, weight=2, needs="redis", seconds=1),
    Fault(name="garbage among the knocks", do=_knock_garbage, weight=1, needs="redis", seconds=1),
]
