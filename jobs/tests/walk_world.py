"""One job's world, and what may happen in it next: the model that jobs/tests/walk.py walks.

A step is one transaction, one request to storage or one fault. Where the job's row goes is read
from jobs/lifecycle.py and from nowhere else: a changed table is another walk. A lease may end at
any moment; a worker may die, or sleep past its lease and go on; a reply may be lost after its
commit; a knock may be lost, doubled or forged. Not in it: a person's retry (it is a new job) and
back-off (a delay decides nothing).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jobs.lifecycle import (
    FINAL,
    MAX_RELEASES,
    TABLE,
    Move,
    Outcome,
    State,
    move_after_failure,
    move_after_release,
    target,
)

NONE, LIVE, ENDED = "none", "live", "ended"  # a lease
IDLE, RENDERS, SAVES, UPLOADED = "idle", "renders", "saves", "uploaded"  # a worker
VIDEO, CHECKPOINT = "video", "checkpoint"  # a file


class File(NamedTuple):
    kind: str
    key: int  # the attempt in its key
    writer: int  # the attempt that put it


class Worker(NamedTuple):
    phase: str
    attempt: int  # what it believes to hold


class World(NamedTuple):
    """The job with its rows first, as Postgres has them; then storage, the bus and the workers."""

    state: State = State.QUEUED
    attempt: int = 0
    releases: int = 0
    cancel: bool = False  # it was accepted
    lease: str = NONE
    overdue: bool = False  # the deadline passed
    video: int = 0  # whose video the row names; 0: none
    checkpoint: int = 0  # whose checkpoint the row names; 0: none
    outcomes: tuple[Outcome, ...] = ()  # of attempts 1, 2, …
    final_events: int = 0
    files: tuple[File, ...] = ()
    knocks: int = 0
    workers: tuple[Worker, ...] = ()  # sorted: they are all alike


ROWS = World._fields.index("files")  # how many of its fields lie in Postgres


class Step(NamedTuple):
    name: str
    to: World
    by: int = 0  # the attempt that acted; 0: none did
    how: Move | None = None  # the move that it asked the table for


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How large a world is walked."""

    workers: int = 2
    attempts: int = 2  # max_attempts
    releases: int = 1  # MAX_RELEASES stands for as many
    checkpoints: int = 0  # in storage at one time
    knocks: int = 0  # on the bus at one time


SMALL, KNOCKING, KEEPING = Bounds(), Bounds(knocks=1), Bounds(checkpoints=1)
BIG = Bounds(workers=3, attempts=3, knocks=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the product keeps to. A mutant drops or bends one of them."""

    within: Bounds = SMALL
    table: Mapping[tuple[State, Move], State] = field(default_factory=lambda: TABLE)
    after_failure: Callable[..., Move] = move_after_failure
    after_release: Callable[..., Move] = move_after_release
    spent: Callable[[World], int] = lambda world: world.attempt - world.releases
    attempt_fences: bool = True  # WHERE attempt = …, in every write of a worker
    state_fences: bool = True  # WHERE state IN …, in every move
    renewal_fenced: bool = True
    checkpoint_fenced: bool = True
    key_has_attempt: bool = True
    claim_looks_at_state: bool = True
    claim_heeds_deadline: bool = True
    claim_looks_at_attempt: bool = True  # what was begun goes on after its deadline
    success_heeds_cancel: bool = True
    success_after_put: bool = True
    checkpoint_after_put: bool = True
    release_keeps_attempt: bool = True  # what is unspent is counted apart
    event_in_commit: bool = True
    reap_looks_at_state: bool = True
    reap_looks_at_lease: bool = True
    purge_spares_named: bool = True  # what the row names stays in storage
    purge_spares_live: bool = True  # what an attempt that still runs has put, too
    sweep_reaps: bool = True
    sweep_expires: bool = True
    expiry_looks_at_attempt: bool = True
    sweep_knocks: bool = True
    workers_look: bool = True  # an idle one, without a knock


def start(rules: Rules) -> World:
    """Submitted, committed and knocked for."""
    world = World(workers=(Worker(IDLE, 0),) * rules.within.workers)
    return world._replace(knocks=_knocked(world, rules))


def steps(world: World, rules: Rules) -> Iterator[Step]:
    """What may happen next."""
    yield from _bus(world, rules)
    yield from _people(world, rules)
    for place, worker in enumerate(world.workers):
        if worker.phase != IDLE:
            yield from _holder(world, place, rules)
        elif place == 0 or world.workers[place - 1].phase != IDLE:
            yield from _claim(world, place, rules)
    yield from _time(world, rules)
    yield from _purge(world, rules)


def _bus(world: World, rules: Rules) -> Iterator[Step]:
    if world.knocks:
        yield Step("knock lost", world._replace(knocks=world.knocks - 1))
    if world.knocks < rules.within.knocks:
        yield Step("knock forged", world._replace(knocks=world.knocks + 1))
    if rules.sweep_knocks and world.state is State.QUEUED and world.knocks < rules.within.knocks:
        yield Step("sweep knocks", world._replace(knocks=_knocked(world, rules)))


def _people(world: World, rules: Rules) -> Iterator[Step]:
    if world.state is State.RUNNING:
        if not world.cancel:
            yield Step("cancel asked", world._replace(cancel=True))
    elif to := _moved(world, Move.CANCEL, rules, cancel=True):
        yield Step("cancel", to, how=Move.CANCEL)


def _claim(world: World, place: int, rules: Rules) -> Iterator[Step]:
    begun = world.attempt > 0 and rules.claim_looks_at_attempt
    overdue = world.overdue and not begun and rules.claim_heeds_deadline
    if overdue or not (world.knocks or rules.workers_look):
        return
    to = _moved(
        world,
        Move.CLAIM,
        rules,
        unguarded=not rules.claim_looks_at_state and world.state not in FINAL,
        attempt=world.attempt + 1,
        lease=LIVE,
        outcomes=(*world.outcomes, Outcome.RUNNING),
        knocks=max(0, world.knocks - 1),
    )
    if to:
        yield Step("claim", _with(to, place, RENDERS, to.attempt), how=Move.CLAIM)
        yield Step("claim, reply lost", to, how=Move.CLAIM)


def _holder(world: World, place: int, rules: Rules) -> Iterator[Step]:
    """What a worker does that believes to hold the job, or that is done to it."""
    phase, mine = world.workers[place]
    newest = mine == world.attempt
    holds = newest and world.state is State.RUNNING
    yield Step("worker dies" if holds else "worker is fenced out", _with(world, place, IDLE, 0))
    if world.lease == ENDED and (holds or not rules.renewal_fenced):
        yield Step("renew", world._replace(lease=LIVE), by=mine)
    if phase == RENDERS:
        yield Step("put video", _with(_put(world, VIDEO, mine, rules), place, UPLOADED, mine))
        if sum(file.kind == CHECKPOINT for file in world.files) < rules.within.checkpoints:
            put = _put(world, CHECKPOINT, mine, rules)
            yield Step("put checkpoint", _with(put, place, SAVES, mine))
    if (phase == SAVES or not rules.checkpoint_after_put) and (
        holds or not rules.checkpoint_fenced
    ):
        saved = world._replace(checkpoint=mine)
        yield Step("save checkpoint", _with(saved, place, RENDERS, mine), by=mine)
    if newest or not rules.attempt_fences:
        for name, how, to in _ends(world, phase, mine, rules):
            if to:
                yield Step(name, _with(to, place, IDLE, 0), by=mine, how=how)
                yield Step(f"{name}, reply lost", to, by=mine, how=how)  # it will tell it again


def _ends(
    world: World, phase: str, mine: int, rules: Rules
) -> Iterator[tuple[str, Move, World | None]]:
    if phase == UPLOADED or not rules.success_after_put:
        if world.cancel and rules.success_heeds_cancel:
            yield "succeed too late", Move.CANCEL, _ended(world, Move.CANCEL, rules)
        else:
            to = _ended(world, Move.SUCCEED, rules, Outcome.SUCCEEDED, video=mine)
            yield "succeed", Move.SUCCEED, to
    if world.cancel:
        yield "obey cancel", Move.CANCEL, _ended(world, Move.CANCEL, rules)
    so_far = _so_far(world, rules)
    for permanent in (False, True):
        how = rules.after_failure(permanent=permanent, **so_far)
        name = "fail for good" if permanent else "fail in passing"
        yield name, how, _ended(world, how, rules, Outcome.FAILED)
    before = world.releases + MAX_RELEASES - rules.within.releases  # as if that were it
    how = rules.after_release(releases=before, **so_far)
    if how is Move.RELEASE:
        columns = {"releases": world.releases + 1}
        if not rules.release_keeps_attempt:
            columns = {"attempt": world.attempt - 1}
        yield "release", how, _ended(world, how, rules, Outcome.RELEASED, **columns)
    else:
        yield "release too often", how, _ended(world, how, rules, Outcome.FAILED)


def _time(world: World, rules: Rules) -> Iterator[Step]:
    if world.lease == LIVE:
        yield Step("lease ends", world._replace(lease=ENDED))
    if not world.overdue and world.state not in FINAL:
        yield Step("deadline passes", world._replace(overdue=True))
    overdue = world.overdue and (world.attempt == 0 or not rules.expiry_looks_at_attempt)
    if overdue and rules.sweep_expires and (to := _moved(world, Move.EXPIRE, rules)):
        yield Step("expire", to, how=Move.EXPIRE)
    lost = world.state is State.RUNNING or (not rules.reap_looks_at_state and world.attempt > 0)
    how = rules.after_failure(permanent=False, **_so_far(world, rules))
    to = _moved(
        world,
        how,
        rules,
        unguarded=not rules.reap_looks_at_state,
        outcomes=_outcomes(world, Outcome.LOST if how is not Move.CANCEL else Outcome.CANCELLED),
    )
    if lost and to:
        if rules.sweep_reaps and (world.lease == ENDED or not rules.reap_looks_at_lease):
            yield Step("reap", to, how=how)
        # Its worker's name came back as another process; the old one may live all the same.
        yield Step("reap predecessor", to, how=how)


def _purge(world: World, rules: Rules) -> Iterator[Step]:
    """The sweep deletes what attempts that ended have left behind."""
    for file in world.files:
        ended = world.outcomes[file.writer - 1] is not Outcome.RUNNING
        named = world.video if file.kind == VIDEO else world.checkpoint
        if (ended or not rules.purge_spares_live) and not (
            rules.purge_spares_named and named and file.key == key_of(named, rules)
        ):
            kept = tuple(other for other in world.files if other != file)
            yield Step(f"purge {file.kind}", world._replace(files=kept))


# --- How rows and files change --------------------------------------------------------------------


def _moved(
    world: World, how: Move, rules: Rules, *, unguarded: bool = False, **columns: Any
) -> World | None:
    """The rows after one compare-and-swap; None where the table knows no such move."""
    to = rules.table.get((world.state, how), target(how) if unguarded else None)
    if to is None:
        return None
    columns = {"lease": NONE, "knocks": world.knocks, **columns}
    if to in FINAL:
        columns["final_events"] = world.final_events + rules.event_in_commit
        if to is not State.PARKED:
            columns["checkpoint"] = 0
    elif to is State.QUEUED:
        columns["knocks"] = _knocked(world, rules)
    return world._replace(state=to, **columns)


def _ended(
    world: World, how: Move, rules: Rules, outcome: Outcome = Outcome.CANCELLED, **columns: Any
) -> World | None:
    """The rows after the end of the live attempt."""
    outcomes = _outcomes(world, Outcome.CANCELLED if how is Move.CANCEL else outcome)
    unguarded = not rules.state_fences
    return _moved(world, how, rules, unguarded=unguarded, outcomes=outcomes, **columns)


def _knocked(world: World, rules: Rules) -> int:
    return min(world.knocks + 1, rules.within.knocks)


def _outcomes(world: World, outcome: Outcome) -> tuple[Outcome, ...]:
    return tuple(outcome if one is Outcome.RUNNING else one for one in world.outcomes)


def _so_far(world: World, rules: Rules) -> dict[str, Any]:
    return {
        "cancel_requested": world.cancel,
        "spent": rules.spent(world),
        "max_attempts": rules.within.attempts,
    }


def key_of(attempt: int, rules: Rules) -> int:
    return attempt if rules.key_has_attempt else 1


def _put(world: World, kind: str, attempt: int, rules: Rules) -> World:
    """The weakest store: a second put under one key replaces the first."""
    key = key_of(attempt, rules)
    others = [file for file in world.files if (file.kind, file.key) != (kind, key)]
    return world._replace(files=tuple(sorted([*others, File(kind, key, attempt)])))


def _with(world: World, place: int, phase: str, attempt: int) -> World:
    workers = list(world.workers)
    workers[place] = Worker(phase, attempt)
    return world._replace(workers=tuple(sorted(workers)))
