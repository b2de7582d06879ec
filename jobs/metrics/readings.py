"""What Postgres says now, in one statement: one snapshot, whoever asks. Shared by all who ask.

A scrape must come back whatever Postgres does, so it is read in a thread of its own, of which there
is never more than one, and waited for no longer than PATIENCE_SECONDS.
"""

# ruff: noqa: S608 - written from our own words

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connection, transaction

from jobs import queue
from jobs.metrics.tallies import EVENTS

logger = logging.getLogger(__name__)

FRESH_SECONDS = 1.0  # ten scrapers cost one reading
PATIENCE_SECONDS = 3.0
TIMEOUT_MS = 2_000  # of the statement
COUNTED = 10_000  # jobs over quota, and deliveries; more are told as so many
SEATS = 1_000  # workers
SERIES = 50_000  # tallies
LOOKED_SECONDS = 60  # a look of the sweep that is older tells nothing of now
GONE_HOURS = 24  # a worker that gave no sign for so long is no worker any more

_PARTS = {
    "loads": f"""
SELECT pool, queued, queued_seconds, running_seconds,
    refreshed_at > statement_timestamp() - interval '{LOOKED_SECONDS} s' AS fresh
FROM jobs_poolload ORDER BY refreshed_at DESC LIMIT {SEATS}""",
    "held": f"""
SELECT pool, count(*) AS jobs FROM (
    SELECT pool FROM jobs_job WHERE state = 'queued' AND over_quota LIMIT {COUNTED}) AS held
GROUP BY pool""",
    "oldest": queue.OLDEST_DUE,
    "running": """
SELECT pool, count(*) AS jobs,
    count(*) FILTER (WHERE lease_until < statement_timestamp()) AS overdue
FROM jobs_job WHERE state = 'running' GROUP BY pool""",
    # As jobs/waiting.py says who lives. One that may be taken away (spot) and is silent was taken.
    "workers": f"""
SELECT worker.name, worker.pool, worker.facts, CASE
    WHEN NOT (held OR loads OR seen) THEN 'silent'
    WHEN drain_requested_at IS NOT NULL THEN 'draining'
    WHEN trouble <> '' THEN 'trouble'
    WHEN ready_at IS NULL THEN 'starting'
    ELSE 'ready' END AS state
FROM (SELECT * FROM jobs_worker
      WHERE seen_at > statement_timestamp() - interval '{GONE_HOURS} h' AND NOT facts ? 'left'
      ORDER BY seen_at DESC LIMIT {SEATS}) AS worker,
LATERAL (SELECT
    EXISTS (SELECT FROM jobs_job AS job WHERE job.state = 'running'
        AND job.worker = worker.name || '/' || worker.incarnation::text
        AND job.lease_until > statement_timestamp()) AS held,
    ready_at IS NULL AND started_at > statement_timestamp() - interval '15 minutes' AS loads,
    seen_at > statement_timestamp() - interval '60 s' AS seen) AS signs
WHERE held OR loads OR seen OR NOT facts ? 'spot'
ORDER BY worker.name""",
    "sweep": f"""
SELECT extract(epoch FROM statement_timestamp() - looked_at)::float8 AS age,
    (SELECT extract(epoch FROM statement_timestamp() - event.at)::float8 FROM jobs_jobevent AS event
     WHERE event.id > mark.counted_to ORDER BY event.id LIMIT 1) AS lag
FROM jobs_tallymark AS mark WHERE "table" = '{EVENTS}'""",
    "webhooks": f"""
SELECT count(*) AS due, extract(epoch FROM statement_timestamp() - min(next_at))::float8 AS oldest
FROM (SELECT next_at FROM jobs_delivery AS delivery
      JOIN jobs_webhookendpoint AS endpoint ON endpoint.id = delivery.endpoint_id
          AND endpoint.disabled_at IS NULL
      WHERE delivery.state = 'pending' AND next_at <= statement_timestamp()
      LIMIT {COUNTED}) AS due""",
    "tallies": f"""
SELECT name, labels, value FROM jobs_tally ORDER BY id LIMIT {SERIES}""",
}
_ALL = "SELECT " + ", ".join(
    f"(SELECT coalesce(json_agg(part), '[]')::text FROM ({statement}) AS part)"
    for statement in _PARTS.values()
)

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    rows: Mapping[str, Rows]  # by the name of a part
    seconds: float  # that it took


def read() -> Reading:
    """Raises DatabaseError."""
    began = time.monotonic()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
        cursor.execute(_ALL)
        found = cursor.fetchone()
    rows = {name: json.loads(text) for name, text in zip(_PARTS, found, strict=True)}
    return Reading(rows=rows, seconds=time.monotonic() - began)


class Reader:
    """Any number of threads may ask."""

    def __init__(
        self,
        look: Callable[[], Reading] = read,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look, self._clock = look, clock
        self._lock = threading.Lock()
        self._reading: Future[Reading] | None = None
        self._began = 0.0  # when it was begun

    def newest(self, patience: float = PATIENCE_SECONDS) -> Reading | None:
        """None when Postgres does not answer."""
        reading = self._under_way()
        try:
            return reading.result(patience)
        except NotYet:
            return None  # it goes on, and the next one waits for it
        except DatabaseError as error:
            logger.warning("no metrics from Postgres (%s)", type(error).__name__)
            return None

    def _under_way(self) -> "Future[Reading]":
        with self._lock:
            now = self._clock()
            if self._reading is None or (
                self._reading.done() and now - self._began >= FRESH_SECONDS
            ):
                self._reading, self._began = Future(), now
                threading.Thread(
                    target=self._run, args=(self._reading,), name="metrics", daemon=True
                ).start()
            return self._reading

    def _run(self, reading: "Future[Reading]") -> None:
        try:
            found = self._look()
        except Exception as error:  # whoever waits raises it
            reading.set_exception(error)
        else:
            reading.set_result(found)
        finally:
            connection.close()


reader = Reader()
