"""What we promise of a job, as predicates over the walked world: I1 to I9 of the invariants.

jobs/tests/invariants.py says the same of rows, in SQL.
"""

from collections.abc import Iterable

from jobs.lifecycle import FINAL, Move, Outcome, State
from jobs.tests.walk_world import (
    CHECKPOINT,
    ENDED,
    LIVE,
    NONE,
    ROWS,
    VIDEO,
    Bounds,
    File,
    Rules,
    Step,
    World,
    key_of,
)


def broken_in(now: World, rules: Rules) -> str:
    """The promise that does not hold in this world; empty when all do."""
    return _by_its_rows(now, rules.within) or _by_its_files(now, rules)


def _by_its_rows(now: World, bounds: Bounds) -> str:
    running, final = now.state is State.RUNNING, now.state in FINAL
    spent = now.attempt - now.releases
    last = now.outcomes[-1] if now.outcomes else None
    for broken, promise in (
        (
            now.outcomes.count(Outcome.RUNNING) != running
            or (running and last is not Outcome.RUNNING),
            "I1 running if and only if its newest attempt, and no other, is live",
        ),
        ((now.lease != NONE) != running, "I1 running if and only if it holds a lease"),
        (now.attempt != len(now.outcomes), "I2 the attempt counts the claims"),
        (
            (now.state is State.SUCCEEDED) != (now.video > 0),
            "I4 succeeded if and only if a video is named",
        ),
        (now.video not in (0, now.attempt), "I4 the video is the newest attempt's"),
        (
            now.state is State.SUCCEEDED and last is not Outcome.SUCCEEDED,
            "I4 a success is its attempt's",
        ),
        (
            spent > bounds.attempts or now.releases > bounds.releases,
            "I5 no more attempts and releases than allowed",
        ),
        (
            now.state is State.PARKED and spent < bounds.attempts,
            "I5 parked only when all attempts are spent",
        ),
        (
            now.state is State.FAILED and last is not Outcome.FAILED,
            "I5 failed only when the attempt says so",
        ),
        (
            now.state is State.SUCCEEDED and now.cancel,
            "I6 no success after an accepted cancel",
        ),
        (
            now.state is State.CANCELLED and not now.cancel,
            "I6 cancelled only when somebody asked",
        ),
        (now.state is State.EXPIRED and not now.overdue, "I6 expired only after the deadline"),
        (now.final_events != final, "I7 one final event, written with the end"),
    ):
        if broken:
            return promise
    return ""


def _by_its_files(now: World, rules: Rules) -> str:
    for kind, attempt in ((VIDEO, now.video), (CHECKPOINT, now.checkpoint)):
        if attempt and File(kind, key_of(attempt, rules), attempt) not in now.files:
            return f"I4 the {kind} that the row names is there, as its attempt put it"
    return ""


def broken_by(step: Step, before: World) -> str:
    """The promise that this step breaks; empty when it breaks none."""
    now = step.to
    if step.how is None and now[:ROWS] == before[:ROWS]:
        return ""
    ended = before.outcomes[: len(before.outcomes) - (before.state is State.RUNNING)]
    for broken, promise in (
        (now.attempt < before.attempt, "I2 the attempt never goes back"),
        (
            before.state in FINAL,
            "I3 what is final never changes",
        ),
        (now.outcomes[: len(ended)] != ended, "I3 how an attempt ended is never rewritten"),
        (
            before.cancel and now.state not in (State.RUNNING, State.CANCELLED),
            "I6 an accepted cancel wins over all that follows",
        ),
        (
            before.overdue and before.attempt == 0 and now.state is State.RUNNING,
            "I6 nothing begins after its deadline",
        ),
        (
            now.state is State.EXPIRED and before.attempt > 0,
            "I6 what was begun in time is not given up for its deadline",
        ),
        (
            step.name.startswith("fail for good") and now.state is State.QUEUED,
            "I5 what can never work is not tried again",
        ),
        (
            before.lease == ENDED and now.lease == LIVE and step.by != now.attempt,
            "I9 a lease is renewed by its own attempt only",
        ),
        (step.name == "reap" and before.lease != ENDED, "I9 the sweep takes no live lease"),
        (
            step.by > 0 and (before.state is not State.RUNNING or step.by != before.attempt),
            "I9 only the live attempt changes the job",
        ),
    ):
        if broken:
            return promise
    return ""


def owed(world: World, following: Iterable[Step]) -> str:
    """What must be possible here and is not; empty when all is."""
    if world.state is State.QUEUED and not any(
        step.how is Move.CANCEL and step.to.state is State.CANCELLED for step in following
    ):
        return "I8 what waits can be cancelled at once"
    return ""
