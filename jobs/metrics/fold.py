"""From what happened to jobs to numbers. Pure: no I/O.

docs/reference/metrics.md says of each number what it counts.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from jobs.lifecycle import FINAL, Outcome, State
from jobs.metrics.catalogue import METRICS

Series = tuple[str, tuple[str, ...]]  # a name as it is told, and values in the catalogue's order
Counts = Counter[Series]

# A job FAILED for one of these asked for what no worker can make; every other end without a video
# that nobody asked for is the service's. The words of each: gpu_worker/latents.py, schedule.py.
USERS_OWN = frozenset({"bad_prompt", "bad_size", "bad_guidance", "bad_seed", "bad_steps"})
LOST = "worker_lost"  # jobs/actions/time.py
ATTEMPT_ENDS = {
    "succeeded": Outcome.SUCCEEDED,
    "failed": Outcome.FAILED,
    "requeued": Outcome.FAILED,
    "parked": Outcome.FAILED,
    "released": Outcome.RELEASED,
    "cancelled": Outcome.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One row of JobEvent, with what is known of its job."""

    kind: str
    state: str  # the job's after it
    attempt: int
    at: datetime
    code: str
    was: str  # the job's state before it; empty for its first event
    before: str  # the kind of the event before it
    pool: str
    model: str
    submitted_at: datetime
    due_at: datetime  # Job.run_at, as it stands now: after this event it may be another one
    claimed_at: datetime | None  # the start of the attempt of this event


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One try to deliver a webhook."""

    accepted: bool
    last: bool  # none follows it


def fault_of(state: str, code: str) -> str:
    """Whose fault it is that a job ended so; none of a video, and of what somebody cancelled.

    A job that expired is the service's: nobody began it in the time that its owner had for it.
    """
    if state in {State.SUCCEEDED, State.CANCELLED}:
        return "none"
    return "user" if state == State.FAILED and code in USERS_OWN else "service"


def of_events(events: Iterable[Happened]) -> Counts:
    counts: Counts = Counter()
    for event in events:
        _count(counts, event)
    return counts


def of_tries(tries: Iterable[Tried]) -> Counts:
    counts: Counts = Counter()
    for one in tries:
        outcome = "delivered" if one.accepted else "exhausted" if one.last else "failed"
        counts["t2v_webhook_deliveries_total", (outcome,)] += 1
    return counts


def _count(counts: Counts, event: Happened) -> None:
    pool = event.pool
    if event.kind == "submitted":
        counts["t2v_jobs_submitted_total", (pool,)] += 1
    elif event.kind == "claimed":
        counts["t2v_attempts_started_total", (pool, _begun(event))] += 1
        if event.attempt == 1:
            _observe(counts, "t2v_queue_wait_seconds", (pool,), _waited(event))
    elif event.kind in ATTEMPT_ENDS and event.was == State.RUNNING:
        _count_attempt(counts, event)
    if event.state in FINAL:
        fault = fault_of(event.state, event.code)
        counts["t2v_jobs_ended_total", (pool, event.state, fault)] += 1
    if event.state == State.SUCCEEDED:
        seconds = (event.at - event.submitted_at).total_seconds()
        _observe(counts, "t2v_job_seconds", (pool,), seconds)


def _count_attempt(counts: Counts, event: Happened) -> None:
    pool, outcome = event.pool, ATTEMPT_ENDS[event.kind]
    if event.code == LOST:
        counts["t2v_leases_reaped_total", (pool,)] += 1
        outcome = Outcome.LOST if outcome is Outcome.FAILED else outcome
    counts["t2v_attempts_ended_total", (pool, outcome.value)] += 1
    if outcome is Outcome.SUCCEEDED and event.claimed_at is not None:
        seconds = (event.at - event.claimed_at).total_seconds()
        _observe(counts, "t2v_render_seconds", (pool, event.model), seconds)


def _begun(event: Happened) -> str:
    if event.attempt == 1:
        return "first"
    return "released" if event.before == "released" else "again"


def _waited(event: Happened) -> float:
    """Seconds. A job that was held by a quota is due when it gets its place.

    One that was lost and requeued since the claim, in the seconds before it is counted, has a new
    run_at already: then the whole time since its submit.
    """
    due = event.due_at if event.due_at <= event.at else event.submitted_at
    return (event.at - due).total_seconds()


def _observe(counts: Counts, name: str, labels: tuple[str, ...], seconds: float) -> None:
    """In one bucket alone: they are added up when they are told."""
    seconds = max(0.0, seconds)
    ends = METRICS[name].buckets
    place = bisect_left(ends, seconds)
    end = str(float(ends[place])) if place < len(ends) else "+Inf"
    counts[f"{name}_bucket", (*labels, end)] += 1
    counts[f"{name}_sum", labels] += seconds  # type: ignore[assignment]  # a Counter takes floats
