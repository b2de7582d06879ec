"""manage.py sweep: the one timer. Any number of copies may run; a missed round costs seconds."""

import logging
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection
from redis.exceptions import RedisError

from jobs import actions, dispatch, queue, stream
from jobs.models import LEASE

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0


class Command(BaseCommand):
    help = "Takes back lost jobs, ends overdue ones, knocks again for what waits; every 5 s."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round, now, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            self.stdout.write(sweep())
            dispatch.wait_empty(5.0)
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        wait = EVERY_SECONDS
        while not stop.wait(wait):
            try:
                logger.debug(sweep())
                wait = EVERY_SECONDS
            except DatabaseError as error:
                # Leases could not be renewed either: give their holders time to do so first.
                logger.warning("Postgres did not answer (%s); waiting", type(error).__name__)
                connection.close()
                wait = LEASE.total_seconds()


def sweep() -> str:
    """One round. Raises DatabaseError."""
    reaped, expired = actions.reap(), actions.expire()
    waiting = queue.pools_waiting()
    for pool in waiting:
        if _nothing_on_its_way(pool):
            dispatch.knock(pool)
    return f"{reaped} taken back, {expired} expired, knocked for {', '.join(waiting) or 'nobody'}"


def _nothing_on_its_way(pool: str) -> bool:
    """Knocks must not pile up while a worker is busy. A Redis that is away takes none anyway."""
    try:
        return stream.knocks_waiting(pool) == 0
    except RedisError:
        return False
