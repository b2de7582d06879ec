"""What became of it all: run inside `manage.py shell`, told by stdin what people were told.

Every check gives the lines of what is wrong; none means that it holds.
"""

import hashlib
import io
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import av
import numpy as np
from django.core.files.storage import default_storage
from django.db import connection

from gpu_worker import sleeper
from jobs.conformance import check_trace
from jobs.lifecycle import FINAL, Outcome, State
from jobs.models import Artifact, Attempt, Checkpoint, Job, JobEvent
from jobs.spec import RenderSpec
from jobs.tests.invariants import violations
from tests.chaos.verdict import Verdict

# What may become of a job, besides CANCELLED and EXPIRED, which were asked for.
ENDS = {
    "": {State.SUCCEEDED, State.PARKED},  # parked: only when every attempt was lost
    "error": {State.FAILED},
    "passing": {State.SUCCEEDED, State.PARKED},
    "kill": {State.PARKED},
    "hang": {State.PARKED},
    "cuda": {State.PARKED},
}
FAILED_ERRORS = {"error": "poisoned"}
# A poison that passes may use an attempt up, too, and so may a fault.
UNDESERVED = {Outcome.LOST, Outcome.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One accepted job, as the person knows it."""

    job: UUID
    poison: str
    cancel: str  # "", "asked", "accepted", "refused"
    overdue: bool  # it had a time within which to start
    # Its attempt when its worker's child was killed, and the step of the checkpoint that it had.
    killed_at: tuple[int, int] | None


def main() -> None:
    told = [Told(**{**row, "job": UUID(row["job"])}) for row in json.load(sys.stdin)]
    verdict = judge(told)
    sys.stdout.write(json.dumps(verdict.as_dict()))


def judge(told: list[Told]) -> Verdict:
    jobs = {job.pk: job for job in Job.objects.select_related("request")}
    attempts: dict[UUID, list[Attempt]] = defaultdict(list)
    for attempt in Attempt.objects.order_by("job_id", "number"):
        attempts[attempt.job_id].append(attempt)
    events: dict[UUID, list[JobEvent]] = defaultdict(list)
    for event in JobEvent.objects.order_by("job_id", "seq"):
        events[event.job_id].append(event)
    stored = _Storage()
    checks = {
        "every accepted job is there, and nothing else is": list(_accepted(told, jobs)),
        "every job is final, and was made so once": list(_final(jobs, events)),
        "what cannot be in the rows is not there": _violations(),
        "every history is a walk through the table": list(_traces(events)),
        "every job ended as it may": list(_ends(told, jobs, attempts)),
        "only what was asked for was cancelled, and all that was": list(_cancels(told, jobs)),
        "after poison the same worker succeeded with others": list(_after_poison(told, attempts)),
        "who was killed at a checkpoint went on from there": list(_resumes(told, attempts, events)),
        "every video shows the state of an undisturbed render": list(_videos(jobs, stored)),
        "storage holds what the rows say, byte for byte": list(_missing(stored)),
        "storage holds nothing else": list(_orphans(stored)),
    }
    return Verdict(checks=checks, counts=_counts(jobs, attempts, events, stored))


def _accepted(told: list[Told], jobs: dict[UUID, Job]) -> Iterator[str]:
    known = Counter(one.job for one in told)
    yield from (f"{job} was accepted and is lost" for job in known if job not in jobs)
    yield from (f"{job} is there and nobody was told" for job in jobs if job not in known)
    yield from (f"{job} was given out for {n} requests" for job, n in known.items() if n > 1)


def _final(jobs: dict[UUID, Job], events: dict[UUID, list[JobEvent]]) -> Iterator[str]:
    for job in jobs.values():
        if job.state not in FINAL:
            yield f"{job} is not over"
        ends = sum(event.state in FINAL for event in events[job.pk])
        if ends != (job.state in FINAL):
            yield f"{job} ended {ends} times"


def _violations() -> list[str]:
    with connection.cursor() as cursor:
        return violations(cursor)


def _traces(events: dict[UUID, list[JobEvent]]) -> Iterator[str]:
    for job, history in events.items():
        yield from (f"{job}: {wrong}" for wrong in check_trace(history))


def _ends(
    told: list[Told], jobs: dict[UUID, Job], attempts: dict[UUID, list[Attempt]]
) -> Iterator[str]:
    for one in told:
        job = jobs.get(one.job)
        if job is None or (job.state == State.CANCELLED and one.cancel):
            continue
        if job.state == State.EXPIRED and one.overdue:
            continue
        outcomes = [attempt.outcome for attempt in attempts[job.pk]]
        words = f"{job}, poison {one.poison!r}, {job.error_code}, {outcomes}"
        if State(job.state) not in ENDS[one.poison]:
            yield words
        elif job.state == State.PARKED:
            spent = [outcome for outcome in outcomes if outcome != Outcome.RELEASED]
            if len(spent) != job.max_attempts or not set(spent) <= UNDESERVED:
                yield f"parked too early or too late: {words}"
        elif job.state == State.FAILED and job.error_code != FAILED_ERRORS[one.poison]:
            yield f"for another reason: {words}"


def _cancels(told: list[Told], jobs: dict[UUID, Job]) -> Iterator[str]:
    for one in told:
        job = jobs.get(one.job)
        if job is None:
            continue
        if job.state == State.CANCELLED and not one.cancel:
            yield f"{job}, and nobody asked for it"
        if job.state != State.CANCELLED and one.cancel == "accepted":
            yield f"{job}, although its cancel was accepted"


def _after_poison(told: list[Told], attempts: dict[UUID, list[Attempt]]) -> Iterator[str]:
    won = [a for rows in attempts.values() for a in rows if a.outcome == Outcome.SUCCEEDED]
    for one in told:
        if one.poison not in {"kill", "hang", "cuda"}:
            continue
        for attempt in attempts[one.job]:
            # The child is another one then; the worker of that name is the same.
            name, ended = attempt.worker.partition("/")[0], attempt.ended_at
            later = [a for a in won if a.worker.partition("/")[0] == name]
            if ended is None or not any(a.ended_at and a.ended_at > ended for a in later):
                yield f"{name} succeeded with nothing after attempt {attempt.number} of {one.job}"


def _resumes(
    told: list[Told], attempts: dict[UUID, list[Attempt]], events: dict[UUID, list[JobEvent]]
) -> Iterator[str]:
    """Storage or a disk may have been away for one of them; for all of them they were not."""
    killed = {one.job: one.killed_at for one in told if one.killed_at is not None}
    resumed = {
        job: [int(event.data["step"]) for event in events[job] if event.kind == "resumed"]
        for job in killed
    }
    won = []
    for job, (attempt, step) in killed.items():
        if resumed[job] and max(resumed[job]) < step:
            yield f"{job} was at step {step} and went on from {resumed[job]}"
        last = attempts[job][-1]
        if last.number > attempt and last.outcome == Outcome.SUCCEEDED:
            won.append(job)
    if won and not any(resumed[job] for job in won):
        yield f"none of {len(won)} went on from a checkpoint: {won[0]}"


def _videos(jobs: dict[UUID, Job], stored: "_Storage") -> Iterator[str]:
    for job in jobs.values():
        if job.state != State.SUCCEEDED:
            continue
        video = next(
            (row for row in stored.rows if (row.job, row.name) == (job.pk, "video.mp4")), None
        )
        content = None if video is None else stored.read(video.key)
        if content is None:
            yield f"{job} has no video"
        elif not _shows(content, job.request.render_spec()):
            yield f"{job}: its video is not that of an undisturbed render"


def _shows(content: bytes, spec: RenderSpec) -> bool:
    state = sleeper.first(spec)
    while state.step < state.steps:
        state = sleeper.advance(state)
    with av.open(io.BytesIO(content), mode="r") as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    return len(frames) == spec.frames and all(
        np.array_equal(sleeper.read_tiles(frame), sleeper.tiles(state, number))
        for number, frame in enumerate(frames)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    job: UUID
    name: str
    key: str
    size: int
    sha256: str


class _Storage:
    """The bucket as it is, and the rows that refer to it."""

    def __init__(self) -> None:
        bucket: Any = default_storage.bucket  # type: ignore[attr-defined]  # of the S3 storage
        self.keys = {summary.key: summary.size for summary in bucket.objects.all()}
        self.rows = [
            _Row(job=row.job_id, name=row.name, key=row.key, size=row.size, sha256=row.sha256)
            for row in Artifact.objects.all()
        ]
        self.rows += [
            _Row(job=row.source_id, name="", key=row.key, size=row.size, sha256=row.sha256)
            for row in Checkpoint.objects.all()
        ]
        self._read: dict[str, bytes] = {}

    def read(self, key: str) -> bytes | None:
        if key not in self.keys:
            return None
        if key not in self._read:
            with default_storage.open(key, "rb") as file:
                self._read[key] = file.read()
        return self._read[key]


def _missing(stored: _Storage) -> Iterator[str]:
    for row in stored.rows:
        content = stored.read(row.key)
        if content is None:
            yield f"{row.key} is missing"
        elif (len(content), hashlib.sha256(content).hexdigest()) != (row.size, row.sha256):
            yield f"{row.key} is another file than its row says"


def _orphans(stored: _Storage) -> Iterator[str]:
    referred = {row.key for row in stored.rows}
    yield from (f"nobody refers to {key}" for key in sorted(stored.keys.keys() - referred))


def _counts(
    jobs: dict[UUID, Job],
    attempts: dict[UUID, list[Attempt]],
    events: dict[UUID, list[JobEvent]],
    stored: _Storage,
) -> dict[str, dict[str, int]]:
    every = [attempt for rows in attempts.values() for attempt in rows]
    resumed = [e for rows in events.values() for e in rows if e.kind == "resumed"]
    won = {a.job_id for a in every if a.outcome == Outcome.SUCCEEDED}
    return {
        "jobs": dict(Counter(job.state for job in jobs.values())),
        "attempts": dict(Counter(attempt.outcome for attempt in every)),
        "other": {
            "events": sum(map(len, events.values())),
            "resumes from a checkpoint": len(resumed),
            "resumed jobs that succeeded": len({e.job_id for e in resumed} & won),
            "jobs of several attempts that succeeded": sum(len(attempts[job]) > 1 for job in won),
            "objects in storage": len(stored.keys),
        },
    }
