"""Who is refused is promised room at a moment, and finds it then: the ledger, and the answer."""

import math
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.db import transaction

from jobs import promises, rates
from jobs.errors import QueueFull, TooManyJobs
from jobs.models import Job
from jobs.promises import Queue, Reply, Wish
from jobs.rates import Breaker
from jobs.spec import RenderSpec
from jobs.tests.test_limits import slow_pool  # noqa: F401 - a fixture

ALICE, BOB = 1, 2
RENDER = 10.0  # GPU seconds
NOBODY = "redis://127.0.0.1:1/0"  # where no Redis is
LEDGER = f"{promises.PREFIX}:default"
FULL = Queue(pool="default", now=1000.0, wait=120.0, longest=100.0, workers=1, margin=0.0)


@pytest.fixture(autouse=True)
def ledger(empty_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    monkeypatch.setattr(rates, "breaker", Breaker())
    monkeypatch.setattr(rates, "TIMEOUT", 5.0)  # seconds: a test machine may stop for a moment
    monkeypatch.setattr(promises, "STRETCH", 1.2)  # so that moments are whole seconds
    rates._script.cache_clear()
    yield empty_redis
    rates._script.cache_clear()


def _wish(owner: int = ALICE, what: str = "a", *, seed: int = 0, seconds: float = RENDER) -> Wish:
    return Wish(owner=owner, kind=what, exact=f"{what}-{seed}", gpu_seconds=seconds)


def _ask(asked: Wish, *, at: float = 0.0, wait: float, **queue: Any) -> Reply:
    """at: seconds after the first of them asked."""
    told = promises.ask(asked, replace(FULL, now=FULL.now + at, wait=wait, **queue))
    assert told is not None
    return told


# --- The ledger ---------------------------------------------------------------------------------


def test_each_who_is_refused_is_told_a_moment_of_their_own() -> None:
    """A render after the one before, and a fifth later than that: some renders are slower."""
    told = [_ask(_wish(what=what), wait=120.0) for what in "abc"]
    assert [each.retry_after for each in told] == [24, 36, 48]
    assert [each.wait for each in told] == [120.0, 130.0, 140.0]
    assert not any(each.granted for each in told)


def test_two_workers_make_room_twice_as_quickly() -> None:
    told = [_ask(_wish(what=what), wait=120.0, workers=2) for what in "abc"]
    assert [each.retry_after for each in told] == [24, 30, 36]


def test_who_comes_when_told_is_let_in_once_and_nobody_new_is_before() -> None:
    _ask(_wish(), wait=120.0)
    assert not _ask(_wish(BOB), at=24.0, wait=96.0).granted  # there is room, but it is promised
    assert not _ask(_wish(what="b"), at=24.0, wait=96.0).granted  # and not for anything of hers
    assert _ask(_wish(), at=24.0, wait=96.0).granted
    assert not _ask(_wish(), at=24.1, wait=106.0).granted


def test_who_comes_too_early_is_told_the_same_moment_again() -> None:
    first = _ask(_wish(), wait=120.0)
    _ask(_wish(BOB), wait=120.0)
    again = _ask(_wish(), at=5.5, wait=114.5)
    assert (first.retry_after, again.retry_after) == (24, 19)
    assert _ask(_wish(BOB, "c"), at=5.5, wait=115.0).retry_after == 42  # behind two, not three


def test_who_comes_early_is_let_in_where_there_is_room_already() -> None:
    _ask(_wish(), wait=120.0)
    _ask(_wish(BOB), wait=120.0)
    assert not _ask(_wish(BOB), at=5.0, wait=95.0).granted  # alice was before
    assert _ask(_wish(), at=5.0, wait=95.0).granted


def test_who_is_late_does_not_hold_up_who_comes_when_told() -> None:
    told = [_ask(_wish(what=what, seconds=2.0), wait=120.0).retry_after for what in "ab"]
    assert told == [24, 27]
    assert _ask(_wish(what="b"), at=27.0, wait=99.0).granted
    assert _ask(_wish(what="a"), at=28.0, wait=100.0).granted


def test_where_renders_took_longer_a_promise_is_put_off_and_keeps_its_place() -> None:
    for what in "ab":
        _ask(_wish(what=what), wait=120.0)
    late = _ask(_wish(what="a"), at=24.0, wait=104.0)
    assert (late.granted, late.retry_after) == (False, 5)
    assert not _ask(_wish(BOB), at=29.0, wait=99.0).granted
    assert not _ask(_wish(what="b"), at=29.0, wait=99.0).granted
    assert _ask(_wish(what="a"), at=29.0, wait=99.0).granted
    assert _ask(_wish(what="b"), at=36.0, wait=102.0, margin=10.0).retry_after == 8  # half of it


def test_a_request_whose_seed_is_drawn_anew_is_the_same_wish_and_one_of_another_seed_is_another(
) -> None:  # fmt: skip
    moments = [_ask(_wish(seed=seed), wait=120.0).retry_after for seed in (1, 2)]
    assert moments == [24, 36]
    assert not _ask(_wish(BOB, seed=1), at=24.0, wait=98.0).granted  # another's wish is another
    assert _ask(_wish(seed=3), at=24.0, wait=104.0).retry_after == 5  # puts off the one that is due
    assert _ask(_wish(seed=3), at=30.0, wait=98.0).granted  # and takes it
    assert not _ask(_wish(seed=4), at=30.0, wait=108.0).granted
    assert _ask(_wish(seed=2), at=36.0, wait=96.0).granted


def test_who_does_not_come_holds_nobody_up_for_long(ledger: redis.Redis) -> None:
    """A quarter beyond what was told."""
    _ask(_wish(), wait=120.0)
    assert 0 < ledger.pttl(LEDGER) <= 90_000  # type: ignore[operator]  # then all is forgotten
    assert not _ask(_wish(BOB), at=30.0, wait=95.0).granted
    assert _ask(_wish(BOB), at=30.1, wait=95.0).granted
    assert ledger.hkeys(LEDGER) == [b"came"]


def test_where_many_never_come_the_later_ones_are_told_a_sooner_moment() -> None:
    """As if every second one came, at the least."""

    def told() -> list[int]:
        return [_ask(_wish(BOB, what), at=500.0, wait=120.0).retry_after for what in "xyz"]

    for number in range(100):
        _ask(_wish(number, "a", seconds=1.0), wait=120.0)
    assert told() == [24, 30, 36]


def test_below_half_of_what_may_wait_a_promise_keeps_nobody_out() -> None:
    for what in "abcdefgh":
        _ask(_wish(what=what), wait=120.0)
    assert not _ask(_wish(BOB), at=1.0, wait=51.0).granted
    assert _ask(_wish(BOB, "b"), at=1.0, wait=50.0).granted


def test_one_person_can_hold_a_bounded_part_and_the_ledger_is_bounded(
    ledger: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for more is told a moment, and nothing is held."""
    many = [_wish(seed=seed, seconds=5.0) for seed in range(promises.MOST_OF_ONE + 5)]
    told = [_ask(each, wait=120.0).retry_after for each in many]
    assert told[-6:] == [138, 144, 144, 144, 144, 144]
    assert _ask(_wish(BOB), wait=120.0).retry_after == 144
    assert _ask(_wish(BOB, "b"), wait=120.0).retry_after == 156
    monkeypatch.setattr(promises, "MOST", promises.MOST_OF_ONE + 2)
    assert {_ask(_wish(3, what), wait=120.0).retry_after for what in "abc"} == {168}
    assert ledger.hlen(LEDGER) == promises.MOST + 1  # and how many came


def test_what_is_minutes_away_is_told_and_not_held() -> None:
    """Further than the longest wait, of which three minutes are the least."""
    assert _ask(_wish(seconds=140.0), wait=120.0).retry_after == 24
    assert [_ask(_wish(BOB, what), wait=120.0).retry_after for what in "abc"] == [192] * 3
    far = [_ask(_wish(BOB, what), wait=420.0, longest=400.0).retry_after for what in "abc"]
    assert far == [192, 204, 216]


def test_of_twelve_who_are_refused_at_once_by_several_processes_no_two_are_told_the_same() -> None:
    """Each thread with a connection of its own, as replicas have."""
    with ThreadPoolExecutor(8) as threads:
        told = threads.map(lambda number: _ask(_wish(number, "a"), wait=120.0), range(12))
        assert sorted(each.retry_after for each in told) == list(range(24, 168, 12))


def test_pools_have_ledgers_of_their_own() -> None:
    _ask(_wish(), wait=120.0)
    assert _ask(_wish(BOB), wait=120.0, pool="other").retry_after == 24


def test_a_wish_is_known_by_the_person_and_by_all_that_they_ask_for() -> None:
    spec = RenderSpec(
        prompt="a circle", model="nano", width=64, height=64, frames=19, steps=8,
        guidance=4.5, seed=3, fps=12,
    )  # fmt: skip
    first = promises.wish(ALICE, [spec], gpu_seconds=1.0)
    assert first == promises.wish(ALICE, [spec], gpu_seconds=1.0)
    drawn = promises.wish(ALICE, [replace(spec, seed=4)], gpu_seconds=1.0)
    assert (drawn.kind, drawn.exact == first.exact) == (first.kind, False)
    other = promises.wish(ALICE, [replace(spec, prompt="a square")], gpu_seconds=1.0)
    twice = promises.wish(ALICE, [spec, spec], gpu_seconds=1.0)
    assert len({first.kind, other.kind, twice.kind}) == 3


# --- A burst, by a clock that is turned by hand --------------------------------------------------


class Crowd:
    """Forty clients at a queue of one worker, who all come within a second and again when told."""

    RENDER = 4.0  # seconds

    def __init__(self, *, slower: float) -> None:
        """slower: than was forecast, so many times."""
        self._rng = random.Random(7)
        self._slower = slower
        self._queued = 0.0  # seconds of rendering, as they will really take
        self._clock = 0.0
        self.came = self.let_in = 0

    def run(self, ask: Callable[[Wish, Queue], Reply]) -> float:
        """The share of those who were let in when they came as they were told, up to four times."""
        tries = [(self._rng.random(), 1, number) for number in range(40)]
        while tries:
            now, times, number = min(tries)
            tries.remove((now, times, number))
            self._queued = max(0.0, self._queued - (now - self._clock))
            self._clock = now
            wait = self._queued / self._slower
            told = ask(
                _wish(number % 3, f"{number}", seconds=self.RENDER),
                Queue(pool="default", now=now, wait=wait, longest=20.0, workers=1, margin=10.0),
            )
            self.came += times > 1
            self.let_in += times > 1 and told.granted
            if told.granted:
                self._queued += self.RENDER * self._slower
            elif times < 4:
                tries.append(
                    (now + told.retry_after + self._rng.uniform(0.02, 1.5), times + 1, number)
                )
        return self.let_in / self.came


def _as_if_nobody_else_came(asked: Wish, queue: Queue) -> Reply:
    seconds = math.ceil(queue.wait - queue.longest + queue.margin)
    return Reply(granted=queue.wait <= queue.longest, wait=queue.wait, retry_after=max(1, seconds))


def _of_the_ledger(asked: Wish, queue: Queue) -> Reply:
    told = promises.ask(asked, queue)
    assert told is not None
    return told


@pytest.mark.parametrize("slower", [0.8, 1.0, 1.2])
def test_of_a_burst_nearly_all_who_come_when_told_are_let_in_and_few_were_before(
    slower: float,
) -> None:
    assert Crowd(slower=slower).run(_as_if_nobody_else_came) < 0.3
    assert Crowd(slower=slower).run(_of_the_ledger) > 0.8


# --- The answer ---------------------------------------------------------------------------------


@pytest.fixture
def refused(
    db: None,
    slow_pool: None,  # noqa: F811
    submit: Callable[..., Job],
    settings: LazySettings,
) -> Callable[[int], QueueFull]:
    """What a submit with such a seed is told, where 120 s are waited and 100 may be."""
    settings.T2V_MAX_WAIT_SECONDS = 100

    def _refused(seed: int) -> QueueFull:
        with pytest.raises(QueueFull) as full, transaction.atomic():
            submit(seed=seed)
        return full.value

    return _refused


def _seconds(full: QueueFull) -> int:
    assert full.retry_after is not None
    return full.retry_after


def test_the_second_who_is_refused_is_told_to_come_a_render_later(
    refused: Callable[[int], QueueFull],
) -> None:
    first, second, third, first_again = (refused(seed) for seed in (1, 2, 3, 1))
    assert _seconds(first) + 30 < _seconds(second) < _seconds(third) - 30  # a render took 30 s
    assert _seconds(first_again) <= _seconds(first)
    assert "would wait about 2 min," in str(first)
    assert "would wait about 3 min," in str(third)


def test_where_redis_is_away_everybody_is_told_when_there_is_room_if_nobody_else_comes(
    refused: Callable[[int], QueueFull], settings: LazySettings
) -> None:
    settings.REDIS_URL = NOBODY
    told = [_seconds(refused(seed)) for seed in (1, 2, 3)]
    assert 20 <= min(told) <= max(told) <= 32


def test_without_redis_a_queue_that_is_short_enough_lets_in(
    refused: Callable[[int], QueueFull], submit: Callable[..., Job], settings: LazySettings
) -> None:
    settings.REDIS_URL = NOBODY
    settings.T2V_MAX_WAIT_SECONDS = 125
    submit()


def test_who_may_not_have_more_jobs_is_told_so_and_promised_nothing(
    refused: Callable[[int], QueueFull],
    submit: Callable[..., Job],
    settings: LazySettings,
    ledger: redis.Redis,
) -> None:
    settings.T2V_MAX_UNFINISHED = 4
    with pytest.raises(TooManyJobs), transaction.atomic():
        submit(seed=1)
    assert not ledger.exists(LEDGER)


def test_a_short_queue_asks_no_ledger(
    refused: Callable[[int], QueueFull],
    submit: Callable[..., Job],
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.T2V_MAX_WAIT_SECONDS = 300
    settings.REDIS_URL = NOBODY
    submit()
    assert rates.breaker.lets_try()  # nobody found out that Redis is away
    settings.T2V_MAX_WAIT_SECONDS = 200
    submit()
    assert not rates.breaker.lets_try()
