"""Redis, Postgres and S3 that die, stand still, run full, break off or lie."""

import random
import signal
import time
from collections.abc import Callable

import psycopg

from tests.chaos.faults import Deed, Fault, Skipped, comes_true
from tests.chaos.system import System

FULL, ROOMY = 1 << 20, 256 << 20  # bytes of Redis' memory; the second is its own configuration's
SPOIL_SECONDS = 20.0  # so long a spoilt S3 waits for somebody to come by

_TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM (
    SELECT pid FROM pg_stat_activity
    WHERE usename = current_user AND pid <> pg_backend_pid() ORDER BY random() LIMIT %s
) AS chosen
"""


def _kill_redis(system: System, rng: random.Random) -> str:
    system.end_service(system.redis, signal.SIGKILL)
    for path in [*system.redis.folder.glob("appendonly*"), *system.redis.folder.glob("*.rdb")]:
        path.unlink()
    seconds = rng.uniform(0.5, 4)
    time.sleep(seconds)
    system.start_service(system.redis)
    return f"away for {seconds:.1f} s, then empty"


def _freeze_redis(system: System, rng: random.Random) -> str:
    seconds = rng.uniform(3, 12)
    system.redis.send(signal.SIGSTOP)
    time.sleep(seconds)
    system.redis.send(signal.SIGCONT)
    return f"for {seconds:.0f} s"


def _fill_redis(system: System, rng: random.Random) -> str:
    seconds = rng.uniform(3, 10)
    with system.redis_client() as client:
        client.config_set("maxmemory", FULL)
        time.sleep(seconds)
        client.config_set("maxmemory", ROOMY)
    return f"it refused every write for {seconds:.0f} s"


def _empty_redis(system: System, rng: random.Random) -> str:
    with system.redis_client() as client:
        count = client.dbsize()
        client.flushall()
    return f"{count} keys"


def _terminate_backends(system: System, rng: random.Random) -> str:
    until, ended = time.monotonic() + rng.uniform(2, 6), 0
    while time.monotonic() < until:
        ended += int(system.sql(_TERMINATE, 2)[0][0])
        time.sleep(0.2)
    return f"{ended} connections"


def _stop_postgres(system: System, rng: random.Random) -> str:
    seconds, began = rng.uniform(0.5, 6), time.monotonic()
    system.end_service(system.postgres, signal.SIGQUIT)
    time.sleep(seconds)
    system.start_service(system.postgres)

    def answers() -> bool:
        try:
            return bool(system.sql("SELECT 1"))
        except psycopg.OperationalError:
            return False

    assert comes_true(answers, 60), "Postgres did not come back"
    return f"it answered again after {time.monotonic() - began:.1f} s"


def _spoil(mode: str, requests: Callable[[random.Random], int]) -> Deed:
    def deed(system: System, rng: random.Random) -> str:
        wanted = requests(rng)
        system.s3.proxy.spoil(mode, wanted)
        comes_true(lambda: system.s3.proxy.spoilt >= wanted, SPOIL_SECONDS)
        if mode == "hang":
            time.sleep(rng.uniform(1, 8))
        spoilt = system.s3.proxy.heal()
        if not spoilt:
            raise Skipped(f"no request came by within {SPOIL_SECONDS:.0f} s")
        return f"{spoilt} requests"

    return deed


FAULTS = [
    Fault(name="Redis killed, its data lost", do=_kill_redis, weight=3, needs="redis"),
    Fault(name="Redis frozen", do=_freeze_redis, weight=3, needs="redis"),
    Fault(name="Redis full", do=_fill_redis, weight=2, needs="redis"),
    Fault(name="Redis emptied", do=_empty_redis, weight=2, needs="redis", seconds=1),
    Fault(name="Postgres connections ended", do=_terminate_backends, weight=4, needs="postgres"),
    Fault(name="Postgres stopped at once", do=_stop_postgres, weight=2, needs="postgres"),
    Fault(
        name="S3 answers 503", do=_spoil("503", lambda r: r.randint(2, 25)), weight=3, needs="s3"
    ),
    Fault(name="S3 hangs", do=_spoil("hang", lambda r: r.randint(1, 3)), weight=2, needs="s3"),
    Fault(
        name="S3 upload cut at half",
        do=_spoil("cut", lambda r: r.randint(1, 4)),
        weight=3,
        needs="s3",
    ),
    Fault(
        name="S3 reply lost",
        do=_spoil("lost reply", lambda r: r.randint(1, 4)),
        weight=3,
        needs="s3",
    ),
]
