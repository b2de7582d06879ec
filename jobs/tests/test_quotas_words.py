"""Quotas without a database: what refuses, in which words, when it renews; who gets a place."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from jobs.errors import Refusal
from jobs.quotas import (
    GB,
    Asked,
    Contender,
    Holder,
    Places,
    QuotaSet,
    Use,
    arrange,
    refusal,
    renews_at,
)

NOW = datetime(2026, 12, 26, 5, tzinfo=UTC)
QUOTAS = QuotaSet(queued=5, gpu_seconds=3600, stored_bytes=10 * GB)


def _refused(asked: Asked, use: Use, holder: Holder = Holder.WORKSPACE) -> Refusal | None:
    return refusal(asked, QUOTAS, use, holder=holder, now=NOW, deleted_hours=24)


@pytest.mark.parametrize(
    ("asked", "use", "code", "words"),
    [
        (Asked(count=1), Use(queued=5), "too_many_jobs", ["Your workspace has 5 unfinished jobs"]),
        (Asked(count=3), Use(queued=3), "too_many_jobs", ["it may have 5. Send 2 at the most"]),
        (
            Asked(count=1, gpu_seconds=30),
            Use(spent_seconds=3500, reserved_seconds=80),
            "gpu_seconds_used_up",
            [
                "3,500 are used and 80 reserved",
                "20 are left",
                "about 30",
                "They renew on 1 January 2027, 00:00 UTC.",
            ],
        ),
        (
            Asked(count=1, gpu_seconds=4000),
            Use(),
            "gpu_seconds_used_up",
            ["more than a whole month's"],
        ),
        (
            Asked(count=1),
            Use(stored_bytes=10 * GB + 3 * 10**8),
            "storage_full",
            ["may store 10 GB, and 10.3 GB are stored", "after 24 h"],
        ),
    ],
)
def test_a_refusal_says_what_is_left_and_what_to_do(
    asked: Asked, use: Use, code: str, words: list[str]
) -> None:
    refused = _refused(asked, use)
    assert refused is not None
    assert refused.code == code
    assert [each for each in words if each not in str(refused)] == []
    mine = _refused(asked, use, Holder.PERSON)
    assert mine is not None
    assert "our workspace" not in str(mine)


@pytest.mark.parametrize(
    "use",
    [
        Use(queued=4),
        Use(spent_seconds=3500, reserved_seconds=70),
        Use(stored_bytes=10 * GB - 1),
    ],
)
def test_what_just_fits_is_accepted(use: Use) -> None:
    assert _refused(Asked(count=1, gpu_seconds=30), use) is None


def test_without_a_quota_nothing_is_refused() -> None:
    use = Use(queued=10**6, spent_seconds=1e9, stored_bytes=10**15)
    asked = Asked(count=500, gpu_seconds=1e9)
    free = refusal(asked, QuotaSet(), use, holder=Holder.PERSON, now=NOW, deleted_hours=24)
    assert free is None


def test_seconds_renew_on_the_first_whatever_the_time_zone() -> None:
    refused = _refused(Asked(count=1, gpu_seconds=30), Use(spent_seconds=3600))
    assert refused is not None
    assert refused.retry_after == 5 * 86_400 + 19 * 3600
    eastern = datetime.fromisoformat("2026-03-01T00:30:00+05:00")
    assert renews_at(eastern) == datetime(2026, 3, 1, tzinfo=UTC)


def test_a_row_overrides_the_sites_own_and_nought_is_no_limit() -> None:
    columns: dict[str, int | None] = {"max_queued": 0, "max_gpu_seconds": None}
    assert QUOTAS.overridden(columns) == QuotaSet(queued=0, gpu_seconds=3600, stored_bytes=10 * GB)


# --- Places -------------------------------------------------------------------------------------


def _crowd(dice: Random) -> tuple[Places, list[Contender], list[Contender]]:
    owners = range(dice.randint(1, 4))
    places = Places(
        most=dice.choice([0, 1, 2, 5]),
        each=dice.choice([0, 1, 2]),
        others={owner: dice.choice([0, 1, 3]) for owner in owners if dice.random() < 0.3},
    )

    def one(running: bool) -> Contender:
        at = NOW + timedelta(seconds=dice.randint(0, 9))
        job = UUID(int=dice.getrandbits(128))
        due = running or dice.random() < 0.8
        turn = (dice.choice([0, 0, -1]), at, job)
        return Contender(job=job, owner=dice.choice(owners), running=running, due=due, turn=turn)

    placed = [one(dice.random() < 0.4) for _ in range(dice.randint(0, 6))]
    held = [each for each in (one(False) for _ in range(dice.randint(0, 6))) if each.due]
    return places, placed, held


def test_no_place_too_many_is_given_none_is_left_empty_and_who_runs_keeps_it() -> None:
    for seed in range(1000):
        _check(*_crowd(Random(seed)))


def _check(places: Places, placed: list[Contender], held: list[Contender]) -> None:
    order = arrange(places, placed=placed, held=held)
    back, inside = set(order.held_back), set(order.let_in)
    by_id = {each.job: each for each in (*placed, *held)}
    now = [each for each in placed if each.job not in back] + [by_id[job] for job in order.let_in]
    runs = [each for each in placed if each.running]
    assert not back & {each.job for each in runs}

    def full(owner: int) -> bool:
        own = [each for each in now if each.owner == owner]
        most = places.of(owner)
        return bool((places.most and len(now) >= places.most) or (most and len(own) >= most))

    if places.most:
        assert len(now) <= max(places.most, len(runs))
    for owner in {each.owner for each in now}:
        theirs, running = (sum(e.owner == owner for e in group) for group in (now, runs))
        assert not places.of(owner) or theirs <= max(places.of(owner), running)
    for each in by_id.values():
        if each not in now and each.due:
            assert full(each.owner), "a place is empty, and somebody waits for it"
        if each in placed and not each.due and places.limited:
            assert each not in now
    # Among those of one person, nobody comes before another whose turn it was.
    for job in inside:
        passed = [other for other in held if other.owner == by_id[job].owner]
        assert all(o.job in inside for o in passed if o.turn < by_id[job].turn)


def test_whoever_has_a_thousand_waiting_holds_up_nobody() -> None:
    def one(number: int, owner: int) -> Contender:
        turn: tuple[Any, ...] = (0, NOW + timedelta(seconds=number))
        return Contender(job=UUID(int=number), owner=owner, running=False, due=True, turn=turn)

    greedy = [one(number, 1) for number in range(1000)]
    places = Places(most=4, each=1, others={})
    assert places.longest == 1
    assert arrange(places, placed=[], held=[*greedy, one(5000, 2)]).let_in == [
        UUID(int=0),
        UUID(int=5000),
    ]
