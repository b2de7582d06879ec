"""How often a lease is renewed: programs read the row, and want to see a render get on."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from django.db import connection

from gpu_worker import lease as leases
from gpu_worker.lease import NEWS_SECONDS, RENEW_SECONDS, Lease
from jobs import actions
from jobs.actions import Claim, Orders
from jobs.models import Job

pytestmark = pytest.mark.django_db


class Watched:
    """A lease whose clock is the test's, and what it told Postgres when."""

    def __init__(self, held: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.told = 0.0, list[tuple[float, int]]()
        self.lease = Lease(held, clock=lambda: self.now)
        renew = actions.renew

        def told(held: Claim, *, step: int) -> Orders:
            self.told.append((self.now, step))
            return renew(held, step=step)

        monkeypatch.setattr(actions, "renew", told)

    def render(self, steps: int, *, step_seconds: float, begin: int = 0) -> None:
        """A look every half second, as the thread does it."""
        looked = self.now
        for step in range(begin + 1, steps + 1):
            self.now += step_seconds
            self.lease.moved(step)
            while self.now - looked >= leases.LOOK_SECONDS:
                looked += leases.LOOK_SECONDS
                self.lease._look()
        connection.close()


@pytest.fixture
def watched(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    monkeypatch: pytest.MonkeyPatch,
    transactional_db: None,
) -> Watched:
    submit(steps=100)
    return Watched(claim(), monkeypatch)


def test_a_render_of_half_a_minute_is_seen_to_get_on(watched: Watched) -> None:
    watched.render(100, step_seconds=0.3)
    steps = [step for _, step in watched.told]
    assert len(steps) >= 15
    assert all(late - early >= 5 for early, late in pairwise(steps))
    assert Job.objects.get().progress >= 90


def test_progress_costs_at_most_a_statement_a_second_and_twenty_in_all(watched: Watched) -> None:
    watched.render(100, step_seconds=0.05)  # 5 s
    times = [at for at, _ in watched.told]
    assert 3 <= len(times) <= 6
    assert all(late - early >= NEWS_SECONDS - 1e-6 for early, late in pairwise(times))


def test_slow_steps_are_told_when_the_lease_is_renewed_anyway(watched: Watched) -> None:
    watched.render(8, step_seconds=9.0)  # five percent take 45 s
    times = [at for at, _ in watched.told]
    assert len(times) <= 72.0 / RENEW_SECONDS + 1
    assert Job.objects.get().progress in {7, 8}


def test_progress_never_falls_and_is_never_a_hundred_before_the_end(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    job = submit(steps=50)

    def progress() -> int:
        return Job.objects.get(pk=job.pk).progress

    first = claim()
    assert progress() == 0
    actions.renew(first, step=30)
    assert progress() == 60
    actions.release(first)
    assert progress() == 60
    second = claim()
    actions.renew(second, step=2)
    assert (progress(), Job.objects.get(pk=job.pk).step) == (60, 2)
    actions.renew(second, step=50)
    assert progress() == 99
