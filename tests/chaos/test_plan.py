"""A seed is a plan: the same jobs and the same faults, every kind among them."""

from collections import Counter

from tests.chaos.plan import FAULTS, POISONS, Plan, draw

WINDOW = 120.0  # seconds


def _draw(seed: int, *, jobs: int = 300, faults: int = 100, hangs: int = 1) -> Plan:
    return draw(seed, jobs=jobs, faults=faults, window=WINDOW, hangs=hangs)


def test_the_same_seed_draws_the_same_plan_and_another_seed_another() -> None:
    assert _draw(1) == _draw(1)
    assert _draw(1) != _draw(2)


def test_every_kind_of_fault_comes_and_all_begin_in_the_window_in_order() -> None:
    for count in (len(FAULTS), 100):
        faults = _draw(3, faults=count).faults
        assert len(faults) == count
        assert {planned.fault.name for planned in faults} == {fault.name for fault in FAULTS}
        times = [planned.at for planned in faults]
        assert times == sorted(times)
        assert 0 <= times[0] <= times[-1] < WINDOW


def test_a_fault_that_outlasts_a_lease_ends_in_the_window() -> None:
    lasting = [p for p in _draw(4).faults if p.fault.outlasts_lease]
    assert lasting
    assert all(planned.at + planned.fault.seconds < WINDOW for planned in lasting)


def test_every_poison_is_among_the_jobs_however_few_they_are() -> None:
    for count in (60, 300):
        jobs = _draw(5, jobs=count).jobs
        assert len(jobs) == count
        poisons = Counter(job.poison for job in jobs)
        assert poisons.keys() == {"", "hang", *POISONS}
        assert poisons[""] > 0.9 * count
        for job in jobs:
            assert job.prompt.endswith(f"poison:{job.poison}" if job.poison else job.prompt)


def test_some_jobs_are_cancelled_overdue_repeated_or_long() -> None:
    jobs = _draw(6).jobs
    for some in (
        [job for job in jobs if job.cancel_after is not None],
        [job for job in jobs if job.start_within is not None],
        [job for job in jobs if job.repeated],
        [job for job in jobs if job.steps * job.step_seconds > 5],
    ):
        assert 3 <= len(some) < 100
