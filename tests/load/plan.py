"""How many come when, and what each of them does: drawn from the seed. Pure.

The same seed gives every user the same sequence of requests, prompts and waits; how far each gets
within the time is the site's to say.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

BURST = 10  # times as many as before
RAMP_SHARE = 0.7  # of the time, in which the number grows
QUIET_SHARE, BURST_SHARE = 0.15, 0.35  # of the time: before the burst, and in it
SOAK_RAMP_SECONDS = 30.0
KINDS = ("person", "program", "videos")
KIND_WEIGHTS = (4, 4, 2)
PROGRAM_KINDS, PROGRAM_WEIGHTS = KINDS[1:], KIND_WEIGHTS[1:]  # where only tokens open anything
IMPATIENT = 0.15  # of all users: come again when they like, whatever Retry-After says
FOLLOW = {
    "person": ("live",),  # a page has its socket
    "program": ("poll", "wait", "live", "leave"),
    "videos": ("poll", "leave"),
}
THINK_SECONDS = (1.0, 6.0)  # between two visits
NUDGE_SECONDS = (0.3, 1.5)  # between two tries of an impatient one
NUDGES = 6
STEPS = (8, 12, 16)
FRAMES = (19, 25)
PROMPT_PARTS = (
    ("a", "a small", "a large"),
    ("red", "green", "blue", "yellow", "cyan"),
    ("circle", "square", "triangle", "star"),
    ("moving right", "moving up", "moving down and left", "growing", "bouncing"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    number: int  # of the user's visits, from 0
    prompt: str
    steps: int
    frames: int
    seed: int
    follow: str  # live, poll, wait (Prefer: wait), leave
    looks_around: bool  # at the library before, and at the clip after
    nudges: tuple[float, ...]  # seconds between tries, for an impatient one
    think_seconds: float  # afterwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    kind: str  # of KINDS
    impatient: bool


def _rng(seed: int, user: int, what: str) -> random.Random:
    """Its own for each, so that what one does moves nobody else. A text's seed is its SHA-512."""
    return random.Random(f"{seed}/{user}/{what}")


def character(seed: int, user: int, *, pages: bool) -> Character:
    """user: from 0, in the order of arrival. pages: whether there are sessions for browsers."""
    rng = _rng(seed, user, "character")
    kinds, weights = (KINDS, KIND_WEIGHTS) if pages else (PROGRAM_KINDS, PROGRAM_WEIGHTS)
    kind = rng.choices(kinds, weights=weights)[0]
    return Character(kind=kind, impatient=rng.random() < IMPATIENT)


def visits(seed: int, user: int, kind: str) -> Iterator[Visit]:
    """Without an end."""
    rng, number = _rng(seed, user, "visits"), 0
    while True:
        yield Visit(
            number=number,
            prompt=" ".join(rng.choice(words) for words in PROMPT_PARTS),
            steps=rng.choice(STEPS),
            frames=rng.choice(FRAMES),
            seed=rng.randrange(2**32),
            follow=rng.choice(FOLLOW[kind]),
            looks_around=rng.random() < 0.5,
            nudges=tuple(rng.uniform(*NUDGE_SECONDS) for _ in range(NUDGES)),
            think_seconds=rng.uniform(*THINK_SECONDS),
        )
        number += 1


def users_at(shape: str, second: float, *, users: int, seconds: float) -> int | None:
    """How many there are then; None: the run is over. users: at the most. seconds: of the run."""
    if second >= seconds:
        return None
    if shape == "ramp":
        return max(1, min(users, round(users * second / (RAMP_SHARE * seconds))))
    if shape == "burst":
        within = 0 <= second - QUIET_SHARE * seconds < BURST_SHARE * seconds
        return users if within else max(1, round(users / BURST))
    return max(1, min(users, round(users * second / min(SOAK_RAMP_SECONDS, seconds / 4))))
