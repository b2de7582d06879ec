"""manage.py sweep: the one timer. Any number of copies may run; a missed round costs seconds."""

import logging
import signal
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from redis.exceptions import RedisError

from accounts import actions as accounts
from accounts import idempotency
from jobs import actions, dispatch, load, places, purge, queue, stream
from jobs.artifacts import StorageUnavailable
from jobs.metrics import instruments, server, tallies
from jobs.models import LEASE
from jobs.signs import Sign
from jobs.webhooks import deliveries

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
REST_SECONDS = 60.0  # of a chore that failed: a storage may be away, or Postgres
PURGE_JOIN_SECONDS = 5.0

# Each bounded. Those that wait for a storage, which may hang, come last.
CHORES: Mapping[str, Callable[[], int]] = {
    "places to run in given out": places.settle_all,
    "deliveries forgotten": deliveries.purge,
    "tickets expired": accounts.forget_expired_tickets,
    "tokens expired": accounts.forget_expired_tokens,
    "invitations expired": accounts.forget_expired_invitations,
    "answers forgotten": idempotency.forget_old_answers,
    "previews kept": purge.keep_previews,
    "attempts cleared away": purge.purge,
    "deleted jobs taken away": purge.purge_deleted,
}


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
            self.stdout.write(f"{purge.purge_deleted()} deleted jobs taken away")
            dispatch.wait_empty(5.0)
            return
        server.start()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        # Of its own: a storage that hangs must not hold up the jobs.
        purging = threading.Thread(target=_keep_purging, args=(stop,), name="purge", daemon=True)
        purging.start()
        sign, wait = Sign(settings.T2V_VAR, "sweep"), EVERY_SECONDS
        sign.show()
        while not stop.wait(wait):
            try:
                logger.debug(sweep())
                sign.show()
                wait = EVERY_SECONDS
            except DatabaseError as error:
                # Leases could not be renewed either: give their holders time to do so first.
                logger.warning("Postgres did not answer (%s); waiting", type(error).__name__)
                sign.show("Postgres does not answer.")
                connection.close()
                wait = LEASE.total_seconds()
        sign.take_away()
        purging.join(PURGE_JOIN_SECONDS)


def _keep_purging(stop: threading.Event) -> None:
    rests: dict[str, float] = {}
    while not stop.wait(EVERY_SECONDS):
        tidy(rests)


def tidy(rests: dict[str, float]) -> None:
    """One round of chores: none that fails holds up another.

    rests: until when each that failed is left alone, on the monotonic clock.
    """
    for done, chore in CHORES.items():
        if time.monotonic() < rests.get(done, 0.0):
            continue
        try:
            logger.debug("%d %s", chore(), done)
        except (DatabaseError, StorageUnavailable) as error:
            kind = type(error).__name__
            logger.warning("no %s (%s); again in %.0f s", done, kind, REST_SECONDS)
            rests[done] = time.monotonic() + REST_SECONDS
        except Exception:  # whatever it was, the next time may go better
            logger.exception("no %s", done)
            rests[done] = time.monotonic() + REST_SECONDS
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
    for part in (load.refresh, _knock_for_deliveries, tallies.count):
        try:
            part()
        except (OperationalError, InterfaceError):
            raise  # Postgres is away
        except Exception:  # a bug there must not keep lost jobs from being taken back
            logger.exception("%s broke", part.__name__)
    return f"{reaped} taken back, {expired} expired, knocked for {', '.join(waiting) or 'nobody'}"


def _knock_for_deliveries() -> None:
    if deliveries.any_due() and _no_delivery_on_its_way():
        dispatch.knock_sender()


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
        instruments.redis_failed("sweep")
        return False


def _no_delivery_on_its_way() -> bool:
    try:
        return stream.deliveries_waiting() == 0
    except RedisError:
        instruments.redis_failed("sweep")
        return False
