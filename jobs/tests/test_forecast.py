"""What past renders tell of the next one: seconds, waits and money."""

import heapq
import random
import time
from decimal import Decimal

import pytest

from jobs import forecast
from jobs.forecast import Load, Pace, Sample, fit, retry_after, wait_seconds


def _renders(count: int, *, noise: float, seed: int = 1) -> list[Sample]:
    """3 s and 2 s for each unit of work, on machines that are so much off."""
    dice = random.Random(seed)
    works = [dice.choice((1.0, 2.0, 5.0, 13.0)) for _ in range(count)]
    return [
        Sample(work=work, seconds=(3 + 2 * work) * dice.uniform(1 - noise, 1 + noise))
        for work in works
    ]


def _fitted(samples: list[Sample]) -> Pace:
    pace = fit(samples)
    assert pace is not None
    return pace


def test_the_fixed_part_and_what_grows_with_the_work_are_told_apart() -> None:
    pace = _fitted(_renders(20, noise=0.0))
    assert (pace.fixed_seconds, pace.seconds_per_unit) == pytest.approx((3.0, 2.0))
    assert pace.span(100.0).expected == pytest.approx(203.0)


def test_a_size_that_was_never_rendered_is_forecast_within_a_tenth_on_noisy_machines() -> None:
    for seed in range(20):
        pace = _fitted(_renders(60, noise=0.2, seed=seed))
        assert pace.span(8.0).expected == pytest.approx(19.0, rel=0.1)


def test_a_fifth_of_all_renders_on_a_machine_that_swaps_hardly_moves_the_forecast() -> None:
    samples = _renders(50, noise=0.05)
    slow = [
        Sample(work=one.work, seconds=one.seconds * 20) if number % 5 == 0 else one
        for number, one in enumerate(samples)
    ]
    assert _fitted(slow).span(5.0).expected == pytest.approx(13.0, rel=0.1)


def test_eight_of_ten_renders_lie_between_the_best_and_the_worst() -> None:
    samples = _renders(100, noise=0.3)
    pace = _fitted(samples)
    inside = [s for s in samples if pace.span(s.work).best <= s.seconds <= pace.span(s.work).worst]
    assert 75 <= len(inside) <= 85
    assert pace.best < 1 < pace.worst


def test_renders_of_one_size_alone_scale_with_the_work() -> None:
    pace = _fitted([Sample(work=2.0, seconds=seconds) for seconds in (9.0, 10.0, 11.0)])
    assert pace.span(2.0).expected == pytest.approx(10.0)
    assert pace.span(4.0).expected == pytest.approx(20.0)
    assert (pace.span(2.0).best, pace.span(2.0).worst) == pytest.approx((5.0, 20.0))


def test_a_forecast_is_never_negative_even_if_small_renders_took_longer_than_large_ones() -> None:
    pace = _fitted([Sample(work=1.0, seconds=20.0), Sample(work=10.0, seconds=5.0)])
    assert pace.span(0.1).expected > 0
    steep = _fitted([Sample(work=5.0, seconds=1.0), Sample(work=10.0, seconds=20.0)])
    assert steep.span(0.1).expected > 0


def test_nothing_is_forecast_of_nothing() -> None:
    assert fit([]) is None
    assert fit([Sample(work=0.0, seconds=1.0), Sample(work=1.0, seconds=0.0)]) is None


def test_a_pace_survives_its_way_through_json() -> None:
    pace = _fitted(_renders(20, noise=0.1))
    assert Pace.from_dict(pace.as_dict()) == pace


def test_a_thousand_past_renders_cost_no_more_than_a_hundred() -> None:
    newest, old = _renders(100, noise=0.1), [Sample(work=1.0, seconds=9e9)] * 900
    began = time.process_time()
    assert fit(newest + old) == fit(newest)
    assert time.process_time() - began < 0.5


# --- Waits ---------------------------------------------------------------------------------------


def _load(**changes: float) -> Load:
    values = {
        "queued": 10,
        "queued_seconds": 100.0,
        "running": 1,
        "running_seconds": 4.0,
        "workers": 1,
    }
    return Load(**values | changes)  # type: ignore[arg-type]


def test_with_one_worker_the_wait_is_just_what_lies_before_it() -> None:
    assert wait_seconds(_load()) == pytest.approx(104.0)
    assert wait_seconds(_load(), ahead=0) == pytest.approx(4.0)
    assert wait_seconds(_load(), ahead=3) == pytest.approx(34.0)


def test_a_job_that_finds_an_idle_worker_does_not_wait() -> None:
    idle = _load(queued=0, queued_seconds=0.0, workers=2)
    assert wait_seconds(idle) == 0.0
    assert wait_seconds(_load(queued=1, queued_seconds=10.0, workers=3)) == 0.0


def test_without_a_worker_nobody_knows_the_wait() -> None:
    assert wait_seconds(_load(workers=0)) is None
    assert wait_seconds(_load(workers=0), ahead=0) is None


@pytest.mark.parametrize("workers", [1, 2, 4, 16])
@pytest.mark.parametrize("queued", [0, 5, 100])
def test_the_wait_is_that_of_a_simulated_queue_on_the_average(workers: int, queued: int) -> None:
    told, came = 0.0, 0.0
    dice = random.Random(workers * 1000 + queued)
    for _ in range(400):
        left = [dice.uniform(0, 10) for _ in range(workers)]
        jobs = [dice.uniform(5, 15) for _ in range(queued)]
        load = Load(
            queued=queued,
            queued_seconds=sum(jobs),
            running=workers,
            running_seconds=sum(left),
            workers=workers,
        )
        told += wait_seconds(load) or 0.0
        came += _start_of_the_next(left, jobs)
    assert told / 400 == pytest.approx(came / 400, rel=0.1, abs=0.5)


def _start_of_the_next(left: list[float], jobs: list[float]) -> float:
    free = list(left)
    heapq.heapify(free)
    for seconds in jobs:
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return free[0]


def test_who_comes_again_when_told_finds_the_wait_below_the_limit() -> None:
    wait = wait_seconds(_load())
    assert wait is not None
    again = retry_after(wait, limit=60.0, margin=0.0)
    assert again == 44
    drained = _load(queued=6, queued_seconds=60.0, running_seconds=4.0 + 40.0 - again)
    later = wait_seconds(drained)
    assert later is not None
    assert later <= 60.0
    assert retry_after(60.0, limit=60.0, margin=0.0) == 1


# --- Money ---------------------------------------------------------------------------------------


def test_money_is_exact_to_the_millionth_and_never_in_powers_of_ten() -> None:
    assert forecast.money(22.5, price=Decimal("0.00055")) == "0.012375"
    assert forecast.money(1e-7, price=Decimal("0.1")) == "0.000000"
    assert forecast.money(3600.0, price=Decimal(0)) == "0.000000"
    assert forecast.money(1e9, price=Decimal(1)) == "1000000000.000000"
