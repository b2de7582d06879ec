"""Runs jobs/tests/machine.py: a fixed set of runs; as many new ones as MACHINE_RUNS says."""

import os

import pytest
import redis
from django.conf import LazySettings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from accounts.models import User
from jobs import lifecycle, queue
from jobs.tests.expected import MAX_ATTEMPTS, MAX_RELEASES
from jobs.tests.machine import JobMachine

RUNS = int(os.environ.get("MACHINE_RUNS", "0"))
PROFILE = hypothesis_settings(
    max_examples=RUNS or 50,
    stateful_step_count=20,
    derandomize=not RUNS,
    database=None,
    deadline=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(0 if RUNS else 300)
def test_no_order_of_verbs_and_faults_breaks_a_promise(
    alice: User,
    settings: LazySettings,
    empty_redis: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.T2V_MAX_ATTEMPTS, settings.T2V_MAX_UNFINISHED = MAX_ATTEMPTS, 1000
    monkeypatch.setattr(lifecycle, "MAX_RELEASES", MAX_RELEASES)
    # Hypothesis repeats runs: no step may hang on the time. test_queue.py has what is left out.
    monkeypatch.setattr(queue, "HEAD_SECONDS", 0.0)

    class Machine(JobMachine):
        owner = alice
        broker = empty_redis

    Machine.settings = settings
    run_state_machine_as_test(Machine, settings=PROFILE)
