"""Whether this process should be sent anybody: what /healthz/ready says.

No request waits for a service that hangs. Each is asked in a thread of its own, one at a time, and
what does not answer in time is away; a frozen server holds up that thread and nobody else.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from jobs.artifacts import StorageUnavailable, answering

logger = logging.getLogger(__name__)

OK, AWAY, UNMIGRATED, UNASKED = "ok", "away", "unmigrated", "unasked"
POSTGRES_SECONDS = 2.0  # for its answer
POSTGRES_EVERY_SECONDS = 1.0  # any number of probes cost one small statement in that time
OTHERS_SECONDS = 1.0
OTHERS_EVERY_SECONDS = 10.0

# Set by SIGTERM (t2v_site/draining.py): this process ends soon.
draining = threading.Event()


class Service:
    """What one service answered last. Any thread may look."""

    def __init__(
        self,
        name: str,
        ask: Callable[[], str],
        *,
        patience_seconds: float,
        every_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """ask gives the answer; what it raises means AWAY."""
        self._name, self._ask, self._clock = name, ask, clock
        self._patience, self._every = patience_seconds, every_seconds
        self._lock = threading.Condition()
        self._answer, self._answered_at = UNASKED, -every_seconds
        self._asked_at: float | None = None  # of the question that is under way
        self._said = OK  # what the log heard last

    def last(self) -> str:
        """Asks anew if that is due, and waits for nothing: UNASKED before the first answer."""
        with self._lock:
            self._ask_if_due()
            return self._told()

    def now(self) -> str:
        """Waits for an answer that is due, for patience_seconds at the most."""
        with self._lock:
            self._ask_if_due()
            self._lock.wait_for(self._has_told, timeout=self._left())
            return self._told()

    def _ask_if_due(self) -> None:
        now = self._clock()
        if self._asked_at is None and now - self._answered_at >= self._every:
            self._asked_at = now
            threading.Thread(target=self._hear, name=f"ask {self._name}", daemon=True).start()

    def _left(self) -> float:
        if self._asked_at is None:
            return 0.0
        return max(0.0, self._asked_at + self._patience - self._clock())

    def _has_told(self) -> bool:
        return self._asked_at is None

    def _told(self) -> str:
        overdue = self._asked_at is not None and self._left() == 0.0
        return AWAY if overdue else self._answer

    def _hear(self) -> None:
        try:
            answer, why = self._ask(), ""
        except Exception as error:  # whatever it is: it is no answer
            answer, why = AWAY, type(error).__name__
        with self._lock:
            self._answer, self._answered_at, self._asked_at = answer, self._clock(), None
            news, self._said = answer != self._said, answer
            if news:  # before anybody goes on with it
                logger.warning("%s is %s%s", self._name, answer, f" ({why})" if why else "")
            self._lock.notify_all()


@cache
def _needed() -> frozenset[tuple[str, str]]:
    """The newest migrations that this code knows, as (app, name)."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


def _ask_postgres() -> str:
    """UNMIGRATED where this code is newer than the tables. Newer tables are no hindrance.

    A connection of its own, beside the pool's: one that is in full use is busy, not away.
    """
    asked: dict[str, Any] = {
        **connections["default"].get_connection_params(),
        "connect_timeout": int(POSTGRES_SECONDS),
        "options": f"-c statement_timeout={POSTGRES_SECONDS:.0f}s",
    }
    with psycopg.connect(**asked, autocommit=True) as connection:
        try:
            rows = connection.execute("SELECT app, name FROM django_migrations").fetchall()
        except psycopg.errors.UndefinedTable:
            return UNMIGRATED
    return OK if _needed() <= set(rows) else UNMIGRATED


def _ask_redis() -> str:
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=OTHERS_SECONDS,
        socket_connect_timeout=OTHERS_SECONDS,
        retry=None,
    )
    with client:
        client.ping()
    return OK


def _ask_storage() -> str:
    try:
        with answering():
            default_storage.answer(OTHERS_SECONDS)  # type: ignore[attr-defined]  # ours, both
    except StorageUnavailable:
        return AWAY
    return OK


postgres = Service(
    "Postgres",
    _ask_postgres,
    patience_seconds=POSTGRES_SECONDS,
    every_seconds=POSTGRES_EVERY_SECONDS,
)
redis_server = Service(
    "Redis",
    _ask_redis,
    patience_seconds=OTHERS_SECONDS,
    every_seconds=OTHERS_EVERY_SECONDS,
)
storage = Service(
    "the storage",
    _ask_storage,
    patience_seconds=OTHERS_SECONDS,
    every_seconds=OTHERS_EVERY_SECONDS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """status: ready, degraded (200), draining, unmigrated, away (503)."""

    status: str
    postgres: str
    redis: str
    storage: str

    @property
    def is_ready(self) -> bool:
        return self.status in {"ready", "degraded"}


def look() -> Readiness:
    """Within POSTGRES_SECONDS, whatever is frozen. A Redis or storage that is away is told of."""
    others = redis_server.last(), storage.last()
    found = postgres.now()
    if draining.is_set():
        status = "draining"
    elif found != OK:
        status = found
    else:
        status = "degraded" if AWAY in others else "ready"
    return Readiness(status=status, postgres=found, redis=others[0], storage=others[1])
