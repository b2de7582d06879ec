"""Prefer: wait=N (RFC 7240): an answer that waits for the job's end, for so long at most.

A waiting request holds a thread, and no connection to Postgres: it looks now and then.
"""

import re
import threading
import time
from uuid import UUID

from django.db import close_old_connections

from jobs.lifecycle import FINAL
from jobs.models import Job

LONGEST_SECONDS = 60
MOST_WAITERS = 32  # of a process; whoever comes then is answered at once
FIRST_LOOK_SECONDS = 0.25
SLOWEST_LOOK_SECONDS = 2.0

_seats = threading.BoundedSemaphore(MOST_WAITERS)
_WAIT = re.compile(r'\s*wait\s*=\s*"?([0-9]{1,6})"?\s*(;.*)?', re.ASCII | re.IGNORECASE)


def seconds_to_wait(header: str | None) -> int | None:
    """1 to LONGEST_SECONDS; None where nobody asks to wait. What it does not know it ignores."""
    for part in (header or "").split(","):
        found = _WAIT.fullmatch(part)
        if found is not None and int(found[1]) > 0:
            return min(int(found[1]), LONGEST_SECONDS)
    return None


def wait_for_end(job_id: UUID, *, seconds: float) -> bool:
    """Whether it waited: until the job was final or gone, or the time was over.

    False at once where too many wait already. Outside any transaction.
    """
    if not _seats.acquire(blocking=False):
        return False
    try:
        deadline, look = time.monotonic() + seconds, FIRST_LOOK_SECONDS
        while not _ended(job_id):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(look, left))
            look = min(look * 1.5, SLOWEST_LOOK_SECONDS)
    finally:
        _seats.release()
    return True


def _ended(job_id: UUID) -> bool:
    state = Job.objects.filter(pk=job_id, deleted_at=None).values_list("state", flat=True).first()
    close_old_connections()  # a pool, or Postgres, has it back while this one waits
    return state is None or state in FINAL
