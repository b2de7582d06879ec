"""All faults by name: how often each is drawn, what it needs, and what does it."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.system import System


class Skipped(Exception):
    """It could not be done here and now; says why."""


Deed = Callable[[System, random.Random], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """do returns a few words on what happened, or raises Skipped, or AssertionError."""

    name: str
    do: Deed
    weight: int  # how often among all
    needs: str = ""  # the service that no two faults are at: "redis", "postgres", "s3" and so on
    seconds: float = 10.0  # about so long it lasts
    outlasts_lease: bool = False


def comes_true(look: Callable[[], bool], seconds: float) -> bool:
    """Whether it does within that time."""
    until = time.monotonic() + seconds
    while not look():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
