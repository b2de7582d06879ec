"""Redis may stand still or be full, and nobody's job notices."""

import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest
import redis

from t2v_site.embedded import REDIS, Machine
from tests.stage import Caller, System, running

pytestmark = [pytest.mark.whole, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("redis") / "var") as started:
        yield started


@pytest.fixture
def alice(system: System) -> Caller:
    return Caller(system.url)


def _one(system: System, *words: str) -> psutil.Process:
    """The process with all of these words in its command line."""
    (found,) = [
        process
        for process in system.processes()
        if all(word in " ".join(process.cmdline()) for word in words)
    ]
    return found


def test_fifty_submits_with_a_frozen_redis_take_no_half_second_and_all_finish(
    system: System, alice: Caller
) -> None:
    frozen = _one(system, "redis-server")
    os.kill(frozen.pid, signal.SIGSTOP)
    seconds, jobs = [], []
    try:
        for seed in range(50):
            began = time.monotonic()
            jobs.append(alice.submit(steps=4, frames=19, seed=seed))
            seconds.append(time.monotonic() - began)
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    assert max(seconds) < 0.5, sorted(seconds)[-5:]
    assert len(set(jobs)) == 50
    for job in jobs:
        assert alice.wait_for(job, "succeeded", "failed", "parked")["state"] == "succeeded"


def test_a_worker_that_starts_while_redis_is_full_renders_all_the_same(
    system: System, alice: Caller
) -> None:
    url = Machine(system.var, frozenset({REDIS})).environment()[REDIS]
    client = redis.Redis.from_url(url, socket_timeout=10)
    client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("more", "than it takes")
        _one(system, "celery", "worker").kill()
        job = alice.submit(steps=4, frames=19)
        assert alice.wait_for(job, "succeeded", "parked", seconds=90)["state"] == "succeeded"
    finally:
        client.config_set("maxmemory", "0")
        client.close()
