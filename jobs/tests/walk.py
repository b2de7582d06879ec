"""Walks every state that a job can reach, and holds each to what we promise.

    python -m jobs.tests.walk [--mutants] [--big]

--mutants: each rule bent or dropped, each pair of the table removed, added or turned elsewhere;
every one of them must be caught. --big: three workers and three attempts, some 15 s.
"""

import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from jobs.lifecycle import FINAL, Move, Outcome, State
from jobs.tests.walk_mutants import DESIGNS, mutants
from jobs.tests.walk_promises import broken_by, broken_in, owed
from jobs.tests.walk_world import BIG, Rules, World, start, steps

# What may save no job: a person, luck on the bus, a deadline, a death, a machine that comes back.
NO_HELP = frozenset(
    {
        "cancel",
        "cancel asked",
        "knock lost",
        "knock forged",
        "deadline passes",
        "worker dies",
        "reap predecessor",
    }
)


@dataclass(kw_only=True)
class Walk:
    """What a walk found. broken: the first promise that did not hold; trace: how it came to it."""

    broken: str = ""
    trace: tuple[str, ...] = ()
    states: int = 0
    steps: int = 0
    seconds: float = 0.0
    _parents: dict[World, tuple[World, str] | None] = field(default_factory=dict)
    _used: set[tuple[State, Move]] = field(default_factory=set)
    _before: dict[World, list[World]] = field(default_factory=dict)

    def way_to(self, world: World) -> tuple[str, ...]:
        """The names of the fewest steps from the start to there."""
        names = []
        while (parent := self._parents[world]) is not None:
            world, name = parent
            names.append(name)
        return tuple(reversed(names))


def walk(rules: Rules) -> Walk:
    """Breadth first, so that a trace is a shortest one; ends at the first broken promise."""
    found, began = Walk(), time.perf_counter()
    _explore(found, rules)
    if not found.broken:
        _judge(found, rules)
    found.states, found.seconds = len(found._parents), time.perf_counter() - began
    return found


def _explore(found: Walk, rules: Rules) -> None:
    first = start(rules)
    found._parents[first] = None
    frontier = deque([first])
    while frontier:
        world = frontier.popleft()
        following = list(steps(world, rules))
        found.steps += len(following)
        for step in following:
            if step.how is not None:
                found._used.add((world.state, step.how))
            if step.name not in NO_HELP:
                found._before.setdefault(step.to, []).append(world)
            broken = broken_by(step, world)
            if step.to not in found._parents:
                found._parents[step.to] = (world, step.name)
                frontier.append(step.to)
                broken = broken or broken_in(step.to, rules)
            if broken:
                found.broken, found.trace = broken, (*found.way_to(world), step.name)
                return
        if broken := owed(world, following):
            found.broken, found.trace = broken, found.way_to(world)
            return


def _judge(found: Walk, rules: Rules) -> None:
    """What only the whole walk shows: no job is stuck, and no pair of the table is idle."""
    safe = _leading_to(found, (world for world in found._parents if world.state in FINAL))
    stuck = next((world for world in found._parents if world not in safe), None)
    if stuck is not None:
        found.broken, found.trace = "I8 from everywhere an end is reached", found.way_to(stuck)
        return
    states = {world.state for world in found._parents}
    outcomes = {outcome for world in found._parents for outcome in world.outcomes}
    for never in sorted((set(State) - states) | (set(Outcome) - outcomes)):
        found.broken = f"I8 nothing ever becomes {never}"
    for state, how in sorted(set(rules.table) - found._used):
        found.broken = f"I3 the table allows what no verb does: {how} of a {state} job"


def _leading_to(found: Walk, ends: Iterable[World]) -> set[World]:
    """All from which one of these is reached without help."""
    frontier = deque(ends)
    reached = set(frontier)
    while frontier:
        for world in found._before.get(frontier.popleft(), ()):
            if world not in reached:
                reached.add(world)
                frontier.append(world)
    return reached


def main(arguments: list[str]) -> int:
    """The exit status: 0 when the designs hold and every mutant was caught."""
    wrong, began = 0, time.perf_counter()
    big = {"the design, large": Rules(within=BIG)} if "--big" in arguments else {}
    for name, rules in (DESIGNS | big).items():
        found = walk(rules)
        wrong += bool(found.broken)
        _say(
            f"{found.broken or 'holds'}: {name}: {found.states:,} states, {found.steps:,} "
            f"transitions, {found.seconds:.1f} s",
            found,
        )
    for name, rules in mutants() if "--mutants" in arguments else ():
        found = walk(rules)
        wrong += not found.broken
        _say(f"{'caught' if found.broken else 'MISSED'}: {name}: {found.broken}", found)
    sys.stdout.write(f"{wrong} wrong, in {time.perf_counter() - began:.1f} s\n")
    return 1 if wrong else 0


def _say(line: str, found: Walk) -> None:
    sys.stdout.write(": ".join([line, " > ".join(found.trace)]).rstrip(" :") + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
