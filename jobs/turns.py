"""Of jobs in their line: when each begins, by those on the page that come before it.

A place is estimated by the mean of all that wait, as the sweep saw them some seconds ago. Of those
that are shown more is known: none begins before one that comes first, nor where there is one worker
before that one is done. So a studio and the queue name the same times, from the first second.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from uuid import UUID

from jobs.estimates import Estimate, Look
from jobs.lifecycle import State
from jobs.models import Job


def in_turn(
    jobs: Iterable[Job], known: Mapping[UUID, Estimate], looks: Mapping[str, Look]
) -> dict[UUID, Estimate]:
    """jobs: those that run, then those that wait in the order of the queue. looks: by pool."""
    earliest: dict[str, float] = {}  # seconds until a job that comes now may begin, by pool
    turns: dict[UUID, Estimate] = {}
    for job in jobs:
        each, look = known[job.pk], looks.get(job.pool)
        if job.state == State.QUEUED and each.wait_seconds is not None:
            begins = max(each.wait_seconds, earliest.get(job.pool, 0.0))
            earliest[job.pool] = begins
            each = replace(each, wait_seconds=begins)
        ends = each.eta_seconds
        if look is not None and look.workers == 1 and ends is not None:
            earliest[job.pool] = max(ends, earliest.get(job.pool, 0.0))
        turns[job.pk] = each
    return turns
