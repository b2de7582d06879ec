"""When a render hangs: by its own steps, and by those of its kind before it."""

from dataclasses import replace
from uuid import uuid4

import pytest

from gpu_worker.lease import Lease
from gpu_worker.tempo import KINDS, LOADING_SECONDS, STALL_SECONDS, Tempo, Tempos
from jobs.actions import Claim
from jobs.spec import RenderSpec


def _lease(spec: RenderSpec, tempo: Tempo, now: list[float]) -> Lease:
    held = Claim(job=uuid4(), attempt=1, worker="w/1", spec=spec, owner=1)
    return Lease(held, tempo=tempo, clock=lambda: now[0])


def _run(lease: Lease, now: list[float], *, steps: range, seconds: float) -> None:
    for step in steps:
        now[0] += seconds
        lease.moved(step)


@pytest.mark.parametrize(("step_seconds", "stall"), [(1.0, STALL_SECONDS), (60.0, 300.0)])
def test_a_step_may_take_five_times_the_usual_but_two_minutes_at_the_least(
    spec: RenderSpec, step_seconds: float, stall: float
) -> None:
    now = [0.0]
    lease = _lease(replace(spec, steps=64), Tempo(), now)
    _run(lease, now, steps=range(1, 12), seconds=step_seconds)
    now[0] += stall - 1
    assert lease._hangs(now[0]) == ""
    now[0] += 2
    assert lease._hangs(now[0]) == f"nothing moved for {stall:.0f} s"


def test_a_worker_that_is_new_to_a_model_notices_a_hang_in_its_third_step(
    spec: RenderSpec,
) -> None:
    now = [0.0]
    lease = _lease(replace(spec, steps=64), Tempo(), now)
    _run(lease, now, steps=range(1, 3), seconds=1.0)
    assert lease._hangs(now[0] + STALL_SECONDS - 1) == ""
    assert lease._hangs(now[0] + STALL_SECONDS + 1) != ""


def test_loading_and_what_follows_the_last_step_have_fifteen_minutes(spec: RenderSpec) -> None:
    now = [0.0]
    lease = _lease(replace(spec, steps=12), Tempo(), now)
    assert lease._hangs(LOADING_SECONDS - 1) == ""
    assert lease._hangs(LOADING_SECONDS + 1) != ""
    _run(lease, now, steps=range(1, 13), seconds=0.1)
    assert lease._hangs(now[0] + LOADING_SECONDS - 1) == ""
    assert lease._hangs(now[0] + LOADING_SECONDS + 1) != ""


def test_a_render_that_only_crawls_ends_at_three_times_what_its_steps_should_take(
    spec: RenderSpec,
) -> None:
    """It moves all the time; each of its later steps is slower than the stall limit knows."""
    now = [0.0]
    lease = _lease(replace(spec, steps=100), Tempo(), now)
    _run(lease, now, steps=range(1, 13), seconds=10.0)
    limit = STALL_SECONDS + 3 * 100 * 10.0
    step = 12
    while now[0] < 10.0 + limit:
        assert lease._hangs(now[0]) == ""
        step += 1
        _run(lease, now, steps=range(step, step + 1), seconds=45.0)
    assert "at the most" in lease._hangs(now[0])


def test_a_worker_knows_the_pace_of_a_kind_from_the_job_before(spec: RenderSpec) -> None:
    now, tempos = [0.0], Tempos()
    first = _lease(replace(spec, steps=20), tempos.of(spec), now)
    _run(first, now, steps=range(1, 20), seconds=2.0)
    assert tempos.of(replace(spec, prompt="another", seed=9)).step_seconds == 2.0
    assert tempos.of(replace(spec, frames=19)).step_seconds is None
    for width in range(KINDS):
        tempos.of(replace(spec, width=width))
    assert tempos.of(spec).step_seconds is None, "only so many kinds are remembered"


def test_the_first_step_tells_nothing_of_the_pace(spec: RenderSpec) -> None:
    """It waits for the model, or goes on from a checkpoint far ahead."""
    now, tempo = [0.0], Tempo()
    lease = _lease(replace(spec, steps=64), tempo, now)
    _run(lease, now, steps=range(40, 41), seconds=500.0)
    _run(lease, now, steps=range(41, 50), seconds=1.0)
    assert tempo.step_seconds == 1.0
