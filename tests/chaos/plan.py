"""What a run asks for and suffers, drawn from its seed: the same seed, the same plan."""

import random
from dataclasses import dataclass

from tests.chaos import faults_processes, faults_services, faults_surroundings
from tests.chaos.faults import Fault

FAULTS = [*faults_processes.FAULTS, *faults_services.FAULTS, *faults_surroundings.FAULTS]
# Shares of all jobs, at least one each. A poison that kills or breaks costs three children or
# more, and a child takes 5 s of a core to come back.
POISONS = {"error": 0.02, "passing": 0.02, "kill": 0.01, "cuda": 0.005}
LONG, CANCELLED, OVERDUE, REPEATED = 0.1, 0.08, 0.04, 0.1
# Seconds: early, since it takes minutes, but not as the first, when no worker knows its pace yet.
HANG_AT = 30.0
LAST_FAULT = 0.97  # of the window: what comes last needs some of it, too
PROMPT_WORDS = ("a nap", "a long nap", "a doze", "forty winks", "a siesta", "a good night")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    number: int
    at: float  # seconds from the begin of the window
    prompt: str
    steps: int
    step_seconds: float
    frames: int
    seed: int
    poison: str  # a key of POISONS, "hang", or ""
    cancel_after: float | None  # seconds from its acceptance
    start_within: int | None  # seconds
    repeated: bool  # the same request, once more, when it was accepted

    def body(self) -> dict[str, object]:
        """As POST /api/v1/jobs takes it."""
        body: dict[str, object] = {
            "prompt": self.prompt,
            "steps": self.steps,
            "guidance": self.step_seconds,
            "frames": self.frames,
            "seed": self.seed,
        }
        return (
            body
            if self.start_within is None
            else body | {"start_within_seconds": self.start_within}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    at: float  # seconds from the begin of the window
    fault: Fault
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    jobs: list[PlannedJob]  # in the order of time, as are the faults
    faults: list[PlannedFault]
    window: float  # seconds in which all of them begin


def roll_call(number: int) -> PlannedJob:
    """A job that keeps one worker busy for 3 s, so that the next one goes to another."""
    return PlannedJob(
        number=number,
        at=0.0,
        prompt="a last nap",
        steps=4,
        step_seconds=0.75,
        frames=7,
        seed=number,
        poison="",
        cancel_after=None,
        start_within=None,
        repeated=False,
    )


def draw(seed: int, *, jobs: int, faults: int, window: float, hangs: int) -> Plan:
    """window: seconds. hangs: jobs whose third step hangs."""
    rng = random.Random(seed)
    poisons = ["hang"] * hangs
    for poison, share in POISONS.items():
        poisons += [poison] * max(1, round(share * jobs))
    poisons += [""] * (jobs - len(poisons))
    rng.shuffle(poisons)
    times = sorted(rng.uniform(0, 0.9 * window) for _ in range(jobs))
    planned = [
        _job(rng, number, at, poison)
        for number, (at, poison) in enumerate(zip(times, poisons, strict=True), 1)
    ]
    planned.sort(key=lambda job: job.at)
    return Plan(jobs=planned, faults=_faults(rng, faults, window), window=window)


def _job(rng: random.Random, number: int, at: float, poison: str) -> PlannedJob:
    steps, step_seconds = rng.randint(4, 10), rng.uniform(0.01, 0.12)
    if not poison and rng.random() < LONG:
        steps, step_seconds = rng.randint(30, 60), rng.uniform(0.1, 0.3)
    plain = not poison
    prompt = rng.choice(PROMPT_WORDS)
    return PlannedJob(
        number=number,
        at=HANG_AT if poison == "hang" else at,
        prompt=f"{prompt} poison:{poison}" if poison else prompt,
        steps=steps,
        step_seconds=round(step_seconds, 3),
        frames=rng.choice((7, 13)),
        seed=rng.randrange(2**32),
        poison=poison,
        cancel_after=rng.uniform(0, 3) if plain and rng.random() < CANCELLED else None,
        start_within=rng.randint(1, 4) if plain and rng.random() < OVERDUE else None,
        repeated=rng.random() < REPEATED,
    )


def _faults(rng: random.Random, count: int, window: float) -> list[PlannedFault]:
    """Each kind once as far as they go, the rest by weight; a long one early enough to end."""
    kinds = rng.sample(FAULTS, k=min(count, len(FAULTS)))
    kinds += rng.choices(FAULTS, weights=[fault.weight for fault in FAULTS], k=count - len(kinds))
    planned = []
    for fault in kinds:
        last = LAST_FAULT * window - (fault.seconds if fault.outlasts_lease else 0.0)
        at = rng.uniform(0.0, max(last, 1.0))
        planned.append(PlannedFault(at=at, fault=fault, seed=rng.randrange(2**32)))
    return sorted(planned, key=lambda planned_fault: planned_fault.at)
