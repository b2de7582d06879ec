"""manage.py sweep: the one timer. Any number of copies may run; a missed round costs seconds."""

import logging
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection
from redis.exceptions import RedisError

from jobs import actions, dispatch, purge, queue, stream
from jobs.artifacts import StorageUnavailable
from jobs.models import LEASE

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
STORAGE_SECONDS = 60.0  # until a storage that did not answer is asked again
PURGE_JOIN_SECONDS = 5.0


class Command(BaseCommand):
    help = (
        "Takes back lost jobs, ends overdue ones, knocks again for what waits, clears away what "
        "nobody refers to; every 5 s."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round, now, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            self.stdout.write(f"{sweep()}; {purge.purge()} attempts cleared away")
            dispatch.wait_empty(5.0)
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        # Of its own: a storage that hangs must not hold up the jobs.
        purging = threading.Thread(target=_keep_purging, args=(stop,), name="purge", daemon=True)
        purging.start()
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
        purging.join(PURGE_JOIN_SECONDS)


def _keep_purging(stop: threading.Event) -> None:
    wait = EVERY_SECONDS
    while not stop.wait(wait):
        wait = EVERY_SECONDS
        try:
            logger.debug("%d previews kept", purge.keep_previews())
            logger.debug("%d attempts cleared away", purge.purge())
        except DatabaseError as error:
            logger.warning("nothing cleared away (%s)", type(error).__name__)
        except StorageUnavailable as error:
            logger.warning("the storage is not to be cleared now (%s)", error)
            wait = STORAGE_SECONDS
        except Exception:  # whatever it was, the next round may go better
            logger.exception("nothing cleared away")
            wait = STORAGE_SECONDS
        finally:
            connection.close()


def sweep() -> str:
    """One round. Raises DatabaseError."""
    # Nobody could renew while Postgres was away: whoever still renders does so first.
    reaped = 0 if postgres_seconds() < LEASE.total_seconds() else actions.reap()
    expired = actions.expire()
    waiting = queue.pools_waiting()
    for pool in waiting:
        if _nothing_on_its_way(pool):
            dispatch.knock(pool)
    return f"{reaped} taken back, {expired} expired, knocked for {', '.join(waiting) or 'nobody'}"


def postgres_seconds() -> float:
    """Since when Postgres has been there. Raises DatabaseError."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM now() - pg_postmaster_start_time())")
        return float(cursor.fetchone()[0])


def _nothing_on_its_way(pool: str) -> bool:
    """Knocks must not pile up while a worker is busy. A Redis that is away takes none anyway."""
    try:
        return stream.knocks_waiting(pool) == 0
    except RedisError:
        return False
