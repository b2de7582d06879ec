"""What is told of a job's end, and how it is written. Pure: no I/O, no framework.

Only what never goes stale: who wants more asks for it at the addresses in the body.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from jobs.lifecycle import State


class Kind(StrEnum):
    """What an endpoint may ask to be told of."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"  # and expired: it will not be made
    JOB_CANCELLED = "job.cancelled"
    JOB_PARKED = "job.parked"  # an operator may still try it again
    VIDEO_COMPLETED = "video.completed"  # as /v1 says it
    VIDEO_FAILED = "video.failed"  # failed, expired, cancelled or parked: /v1 knows one word


_OF_STATE: dict[State, frozenset[Kind]] = {
    State.SUCCEEDED: frozenset({Kind.JOB_SUCCEEDED, Kind.VIDEO_COMPLETED}),
    State.FAILED: frozenset({Kind.JOB_FAILED, Kind.VIDEO_FAILED}),
    State.EXPIRED: frozenset({Kind.JOB_FAILED, Kind.VIDEO_FAILED}),
    State.CANCELLED: frozenset({Kind.JOB_CANCELLED, Kind.VIDEO_FAILED}),
    State.PARKED: frozenset({Kind.JOB_PARKED, Kind.VIDEO_FAILED}),
}
_SAMPLE_STATE = {
    Kind.JOB_SUCCEEDED: State.SUCCEEDED,
    Kind.VIDEO_COMPLETED: State.SUCCEEDED,
    Kind.JOB_CANCELLED: State.CANCELLED,
    Kind.JOB_PARKED: State.PARKED,
}
TOTAL_SECONDS = 20.0  # for one try, from the lookup to the answer; Standard Webhooks: 15 to 30
VIDEO = frozenset({Kind.VIDEO_COMPLETED, Kind.VIDEO_FAILED})
NO_JOB = UUID(int=0)  # of a sample


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a job ended."""

    job: UUID
    state: State
    finished_at: datetime
    error_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one try: a status, or why there is none."""

    status: int | None
    excerpt: str  # of the body
    error: str  # empty when the other side accepted it
    seconds: float

    @property
    def accepted(self) -> bool:
        return not self.error


def kinds_of(state: State) -> frozenset[Kind]:
    """What a job's move into that state is told as; nothing when it has not ended by it."""
    return _OF_STATE.get(state, frozenset())


def sample(kind: Kind, *, at: datetime) -> End:
    """An end that never was, to try an endpoint with."""
    state = _SAMPLE_STATE.get(kind, State.FAILED)
    code = "" if state is State.SUCCEEDED else "sample"
    return End(job=NO_JOB, state=state, finished_at=at, error_code=code)


def body(kind: Kind, end: End, *, delivery: UUID, site: str, test: bool = False) -> str:
    """The JSON that is sent, byte for byte. site: our own address, without a slash at its end."""
    if kind in VIDEO:
        told: dict[str, object] = {
            "id": f"evt_{delivery.hex}",
            "object": "event",
            "created_at": int(end.finished_at.timestamp()),
            "type": kind.value,
            "data": {"id": f"video_{end.job.hex}"},
        }
    else:
        api = f"{site}/api/v1/jobs/{end.job}"
        told = {
            "type": kind.value,
            "timestamp": end.finished_at.isoformat(),
            "data": {
                "id": str(end.job),
                "state": end.state.value,
                "finished_at": end.finished_at.isoformat(),
                "error_code": end.error_code,
                "urls": {
                    "job": api,
                    "artifacts": f"{api}/artifacts",
                    "page": f"{site}/jobs/{end.job}/",
                },
            },
        }
    if test:
        told["test"] = True
    return json.dumps(told, separators=(",", ":"))


def known(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those that are kinds, in our order and once each; and the others."""
    given = list(words)
    return (
        [kind.value for kind in Kind if kind.value in given],
        sorted({word for word in given if word not in {kind.value for kind in Kind}}),
    )
