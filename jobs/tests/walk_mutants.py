"""Designs that are wrong in one rule: each must break a promise somewhere in its walk.

The rules that others ship without: lease and fence (Oban CE, River, Procrastinate), the sweep (late
acknowledgement and a broker's word), the count at the claim (retries counted when they report).
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from jobs.lifecycle import (
    TABLE,
    Move,
    Outcome,
    State,
    move_after_failure,
    move_after_release,
    target,
)
from jobs.tests.walk_world import KEEPING, KNOCKING, Rules, World

DESIGNS = {
    "the design": Rules(within=KNOCKING),
    "with checkpoints in storage": Rules(within=KEEPING),
    # Two things find a job whose knock was lost; each is enough by itself.
    "workers that never look by themselves": Rules(within=KNOCKING, workers_look=False),
    "a sweep that never knocks": Rules(within=KNOCKING, sweep_knocks=False),
}


def mutants() -> Iterator[tuple[str, Rules]]:
    """A name and what it describes."""
    yield from _RULES.items()
    yield from _DECISIONS.items()
    yield from _tables()


def _failed(world: World) -> int:
    return world.outcomes.count(Outcome.FAILED)


_RULES = {
    "no fence on a worker's writes": Rules(attempt_fences=False, state_fences=False),
    "a fence by state alone": Rules(attempt_fences=False),
    "a fence by attempt alone": Rules(state_fences=False),
    "renewal without a fence": Rules(renewal_fenced=False),
    "a key without the attempt": Rules(key_has_attempt=False),
    "a success that ignores a cancel": Rules(success_heeds_cancel=False),
    "a success before its put": Rules(success_after_put=False),
    "no reaping": Rules(sweep_reaps=False),
    "nobody looks: the knock is trusted": Rules(
        within=KNOCKING, sweep_knocks=False, workers_look=False
    ),
    "a claim that does not look at the state": Rules(claim_looks_at_state=False),
    "attempts counted when they report, not at the claim": Rules(spent=_failed),
    "a release that gives the attempt's number back": Rules(release_keeps_attempt=False),
    "the final event in another transaction": Rules(event_in_commit=False),
    "reaping that does not look at the state": Rules(reap_looks_at_state=False),
    "reaping that does not look at the lease": Rules(reap_looks_at_lease=False),
    "a claim after the deadline": Rules(claim_heeds_deadline=False),
    "no expiry": Rules(sweep_expires=False),
    "a begun job is left waiting after its deadline": Rules(claim_looks_at_attempt=False),
    "a begun job expires when it comes back": Rules(expiry_looks_at_attempt=False),
    "a checkpoint without a fence": Rules(within=KEEPING, checkpoint_fenced=False),
    "a checkpoint named before its put": Rules(within=KEEPING, checkpoint_after_put=False),
    "a purge that looks at no row": Rules(within=KEEPING, purge_spares_named=False),
    "a purge of what still renders": Rules(purge_spares_live=False),
}


def _after_failure(**bend: Callable[[Any], object]) -> Callable[..., Move]:
    """move_after_failure, told something else than what is so."""
    return lambda **so_far: move_after_failure(**_bent(so_far, bend))


def _after_release(**bend: Callable[[Any], object]) -> Callable[..., Move]:
    return lambda **so_far: move_after_release(**_bent(so_far, bend))


def _bent(so_far: dict[str, Any], bend: dict[str, Callable[[Any], object]]) -> dict[str, Any]:
    return {**so_far, **{name: how(so_far[name]) for name, how in bend.items()}}


def no(_: object) -> bool:
    return False


def yes(_: object) -> bool:
    return True


def one_more(count: int) -> int:
    return count + 1


def one_less(count: int) -> int:
    return count - 1


_DECISIONS = {
    "a permanent failure is tried again": Rules(after_failure=_after_failure(permanent=no)),
    "a passing failure is for good": Rules(after_failure=_after_failure(permanent=yes)),
    "a failure forgets the cancel": Rules(after_failure=_after_failure(cancel_requested=no)),
    "a failure cancels unasked": Rules(after_failure=_after_failure(cancel_requested=yes)),
    "parked one attempt too late": Rules(after_failure=_after_failure(spent=one_less)),
    "parked one attempt too early": Rules(after_failure=_after_failure(spent=one_more)),
    "a release forgets the cancel": Rules(after_release=_after_release(cancel_requested=no)),
    "a release cancels unasked": Rules(after_release=_after_release(cancel_requested=yes)),
    "released for ever": Rules(after_release=_after_release(releases=lambda _: 0)),
    "released once too often": Rules(after_release=_after_release(releases=one_less)),
    "released once too little": Rules(after_release=_after_release(releases=one_more)),
    "a release too often parks one attempt too late": Rules(
        after_release=_after_release(spent=one_less)
    ),
    "a release too often parks one attempt too early": Rules(
        after_release=_after_release(spent=one_more)
    ),
}


def _tables() -> Iterator[tuple[str, Rules]]:
    """Each pair removed, each pair that is not there added, each pair led to another state."""
    for state, how in itertools.product(State, Move):
        here = f"{how} of a {state} job"
        if (state, how) not in TABLE:
            yield f"{here}, added", Rules(table={**TABLE, (state, how): target(how)})
            continue
        rest = {pair: to for pair, to in TABLE.items() if pair != (state, how)}
        yield f"{here}, removed", Rules(table=rest)
        for to in State:
            if to is not TABLE[state, how]:
                yield f"{here}, led to {to}", Rules(table={**rest, (state, how): to})
