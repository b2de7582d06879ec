"""Whether the history of a job is one that jobs/lifecycle.py allows. Pure: no I/O, no framework.

For any run whose events were kept: a test's, a chaos run's, production's.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Protocol

from jobs.lifecycle import MAX_RELEASES, TABLE, Move, State

MOVES = {  # by the kind of event that tells of each
    "claimed": Move.CLAIM,
    "succeeded": Move.SUCCEED,
    "failed": Move.FAIL,
    "requeued": Move.REQUEUE,
    "released": Move.RELEASE,
    "parked": Move.PARK,
    "cancelled": Move.CANCEL,
    "expired": Move.EXPIRE,
}
NOTES = frozenset({"cancel_requested", "resumed"})  # of a running job; they move nothing

# In plain words: what was kept may be anything.
_LEADS: dict[tuple[str, Move], str] = {(state, move): to for (state, move), to in TABLE.items()}


class Told(Protocol):
    """One event as it was kept: a row of JobEvent, or a Fact."""

    @property
    def seq(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def attempt(self) -> int: ...


def check_trace(events: Iterable[Told]) -> list[str]:
    """What is wrong with the events of one job, in order of seq; empty when nothing is."""
    told = list(events)
    if not told:
        return ["there is no event, not even the first"]
    wrong = _begin(told[0])
    cancel, releases = False, 0
    for seq, (before, now) in enumerate(pairwise(told), start=2):
        found = _follow(before, now)
        if now.seq != seq:
            found.append(f"it should be number {seq}")
        if cancel and now.kind not in ("cancelled", "resumed"):
            found.append("the job's end was asked for before")
        releases += now.kind == "released"
        if releases > MAX_RELEASES:
            found.append(f"it is release {releases} of at most {MAX_RELEASES}")
        cancel = cancel or now.kind == "cancel_requested"
        wrong += [f"event {now.seq}, {now.kind}: {words}" for words in found]
    return wrong


def _begin(first: Told) -> list[str]:
    begin = (first.seq, first.kind, first.state, first.attempt)
    if begin == (1, "submitted", State.QUEUED, 0):
        return []
    return [f"it begins with {begin}, not with number 1, submitted, queued, attempt 0"]


def _follow(before: Told, now: Told) -> list[str]:
    if now.kind in NOTES:
        if (before.state, now.state) != (State.RUNNING, State.RUNNING):
            return [
                f"only a running job has it, not one that goes from {before.state} to {now.state}"
            ]
        to, attempt = before.state, before.attempt
    elif now.kind in MOVES:
        move = MOVES[now.kind]
        if (before.state, move) not in _LEADS:
            return [f"no such move leads from {before.state}"]
        to, attempt = _LEADS[before.state, move], before.attempt + (move is Move.CLAIM)
    else:
        return ["no such event can follow another"]
    wrong = []
    if now.state != to:
        wrong.append(f"it leads to {to}, not to {now.state}")
    if now.attempt != attempt:
        wrong.append(f"the attempt is {attempt} then, not {now.attempt}")
    return wrong
