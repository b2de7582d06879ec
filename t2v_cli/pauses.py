"""How long to wait before the next try. Pure but for the clock and the dice that it is given."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_SECONDS, MOST_SECONDS = 0.5, 15.0
# A site that says "come back in a second" to thousands must not see them all in that second.
SPREAD = 0.25


@dataclass(kw_only=True)
class Patience:
    """So many seconds of trying in all, counted from the last time that something went well."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    dice: Callable[[], float] = random.random
    tries: int = 0
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._since = self.clock()

    def renew(self) -> None:
        """Something went well."""
        self.tries, self._since = 0, self.clock()

    def next_pause(self, asked: float | None = None) -> float | None:
        """Seconds to wait, never less than what the site asked for; None when it is no use.

        It is none where the next try would come after the end.
        """
        own = min(MOST_SECONDS, FIRST_SECONDS * 2 ** min(self.tries, 10))
        pause = max(own * (0.5 + self.dice() / 2), (asked or 0) * (1 + SPREAD * self.dice()))
        self.tries += 1
        return pause if self.clock() - self._since + pause <= self.seconds else None


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds, from a number or an HTTP date (RFC 9110 §10.2.3); None without a sensible one."""
    if header is None:
        return None
    if header.strip().isdecimal() and len(header.strip()) < 10:
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (aware - (now or datetime.now(UTC))).total_seconds())
