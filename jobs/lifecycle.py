"""The life of a job as data: states, moves, which move leads where. Pure: no I/O, no framework.

`jobs/actions` turns each move into one compare-and-swap; nothing else moves a job.
"""

from enum import StrEnum


class State(StrEnum):
    QUEUED = "queued"  # waiting for a worker; a delay is QUEUED with run_at in the future
    RUNNING = "running"  # one attempt holds the lease
    SUCCEEDED = "succeeded"  # final: the video of the attempt that succeeded exists
    FAILED = "failed"  # final: will never work (bad input, refused by the model)
    PARKED = "parked"  # final: attempts used up; an operator looks at it
    CANCELLED = "cancelled"  # final: someone with the right asked for it
    EXPIRED = "expired"  # final: its deadline passed while it waited


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.PARKED, State.CANCELLED, State.EXPIRED})


class Move(StrEnum):
    CLAIM = "claim"  # a worker takes it: attempt + 1
    SUCCEED = "succeed"
    FAIL = "fail"  # permanent error
    REQUEUE = "requeue"  # an attempt was lost or failed in passing, and tries are left
    RELEASE = "release"  # handed back without spending an attempt (drain, preemption)
    PARK = "park"  # as REQUEUE, but no tries are left
    CANCEL = "cancel"
    EXPIRE = "expire"


TABLE: dict[tuple[State, Move], State] = {
    (State.QUEUED, Move.CLAIM): State.RUNNING,
    (State.QUEUED, Move.CANCEL): State.CANCELLED,
    (State.QUEUED, Move.EXPIRE): State.EXPIRED,
    (State.RUNNING, Move.SUCCEED): State.SUCCEEDED,
    (State.RUNNING, Move.FAIL): State.FAILED,
    (State.RUNNING, Move.REQUEUE): State.QUEUED,
    (State.RUNNING, Move.RELEASE): State.QUEUED,
    (State.RUNNING, Move.PARK): State.PARKED,
    (State.RUNNING, Move.CANCEL): State.CANCELLED,
}


MAX_RELEASES = 20  # times a job is handed back unspent; from then on it counts as a failure


class Outcome(StrEnum):
    """How one attempt ended. RUNNING until then; never rewritten after."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # it reported an error itself
    LOST = "lost"  # its lease ran out, or its worker came back as another process
    RELEASED = "released"
    CANCELLED = "cancelled"


def sources(move: Move) -> frozenset[State]:
    """The states from which a move is allowed."""
    return frozenset(state for state, known in TABLE if known is move)


def target(move: Move) -> State:
    """The one state a move leads to, from wherever it is allowed."""
    (state,) = {to for (_, known), to in TABLE.items() if known is move}
    return state


def move_after_failure(
    *, permanent: bool, cancel_requested: bool, spent: int, max_attempts: int
) -> Move:
    """What becomes of a running job whose attempt ended without a video.

    spent counts the attempts used up, this one included; released ones do not count.
    """
    if cancel_requested:
        return Move.CANCEL
    if permanent:
        return Move.FAIL
    if spent >= max_attempts:
        return Move.PARK
    return Move.REQUEUE


def move_after_release(
    *, cancel_requested: bool, releases: int, spent: int, max_attempts: int
) -> Move:
    """What becomes of a running job that its worker hands back.

    releases counts those before this one. A job that nobody can keep must not go round for ever:
    after MAX_RELEASES it is a failure in passing.
    """
    if not cancel_requested and releases < MAX_RELEASES:
        return Move.RELEASE
    return move_after_failure(
        permanent=False,
        cancel_requested=cancel_requested,
        spent=spent,
        max_attempts=max_attempts,
    )
