"""Windows of requests in Redis: how many there were, how many there may still be.

The one Redis call inside a web request, so it is bounded: a Redis that does not answer within 50 ms
is left alone for ten seconds, and nothing is counted meanwhile.
"""

import logging
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from limits import RateLimitItem
from limits.storage import RedisStorage
from redis import BlockingConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from jobs.metrics import instruments

logger = logging.getLogger(__name__)

TIMEOUT = 0.05  # seconds, to connect and for each answer; usual is 0.2 ms
REST_SECONDS = 10.0  # that a Redis which failed is left alone
WARN_SECONDS = 30.0  # between two warnings
CONNECTIONS = 32  # of one web process; who comes when all are in use waits up to TIMEOUT
PREFIX = "t2v:rate"

# limits' own script counts one window, and a refused request too: a program that goes on posting
# would keep its owner's other programs out. This one takes from all windows or from none, and
# tells how long they last: one trip for what would be four.
_TAKE = b"""
local full, counts, answer = 0, {}, {}
for i, key in ipairs(KEYS) do
    counts[i] = tonumber(redis.call('get', key) or 0)
    if counts[i] >= tonumber(ARGV[2 * i - 1]) then full = 1 end
end
answer[1] = full
for i, key in ipairs(KEYS) do
    if full == 0 then
        counts[i] = redis.call('incr', key)
        if redis.call('pttl', key) < 0 then redis.call('pexpire', key, ARGV[2 * i] * 1000) end
    end
    answer[2 * i] = counts[i]
    answer[2 * i + 1] = math.max(redis.call('pttl', key), 0)
end
return answer
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A fixed window of one caller, which begins with its first request."""

    name: str  # of the policy, as clients see it
    caller: str
    rate: RateLimitItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Of one window, after a request was counted or refused."""

    name: str
    quota: int
    window_seconds: int
    left: int
    reset_seconds: int  # until the window is over, rounded up


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    granted: bool
    standings: list[Standing]

    @property
    def retry_after(self) -> int:
        """Whole seconds until no window is full."""
        return max((each.reset_seconds for each in self.standings if each.left <= 0), default=1)


class Breaker:
    """Whether to try at all: after a failure not for a while, and then one caller first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed_until = -math.inf  # monotonic clock
        self._warned_at = -math.inf

    def lets_try(self) -> bool:
        now = time.monotonic()
        if self._closed_until == -math.inf:
            return True
        with self._lock:
            if now < self._closed_until:
                return False
            self._closed_until = now + REST_SECONDS  # the others wait for what this one finds
            return True

    def went_well(self) -> None:
        self._closed_until = -math.inf

    def failed(self, error: Exception) -> None:
        with self._lock:
            now = time.monotonic()
            self._closed_until = now + REST_SECONDS
            warn = now - self._warned_at >= WARN_SECONDS
            if warn:
                self._warned_at = now
        if warn:
            kind = type(error).__name__
            logger.warning("Redis did not count requests (%s); no rate is limited for now", kind)


breaker = Breaker()


@lru_cache(maxsize=4)
def _script(url: str, text: bytes) -> Any:
    pool: Any = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=TIMEOUT,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )
    return RedisStorage(url, connection_pool=pool).get_connection().register_script(text)


def ask(script: bytes, *, keys: Sequence[str], values: Sequence[Any], part: str) -> Any:
    """What the script answers; None: Redis is away. part: of the site, for the count of errors."""
    if not breaker.lets_try():
        return None
    try:
        told = _script(settings.REDIS_URL, script)(keys=keys, args=values)
    except (RedisError, OSError) as error:
        instruments.redis_failed(part)
        breaker.failed(error)
        return None
    breaker.went_well()
    return told


def take(windows: Sequence[Window]) -> Answer | None:
    """One request of each of these windows, or of none if one is full; None: Redis is away."""
    keys = [f"{PREFIX}:{window.rate.key_for(window.name, window.caller)}" for window in windows]
    bounds = [value for w in windows for value in (w.rate.amount, w.rate.get_expiry())]
    told = ask(_TAKE, keys=keys, values=bounds, part="rates")
    if told is None:
        return None
    full, *found = told
    standings = [
        Standing(
            name=window.name,
            quota=window.rate.amount,
            window_seconds=window.rate.get_expiry(),
            left=max(0, window.rate.amount - count),
            reset_seconds=math.ceil(milliseconds / 1000),
        )
        for window, count, milliseconds in zip(windows, found[::2], found[1::2], strict=True)
    ]
    return Answer(granted=not full, standings=standings)
