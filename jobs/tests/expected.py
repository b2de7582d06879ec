"""What a job must be after each verb, in words of its own: the oracle of jobs/tests/machine.py."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from jobs.actions import Claim, Orders
from jobs.errors import LostClaim
from jobs.lifecycle import FINAL, State
from jobs.tests.verbs import checkpoint_of

MAX_ATTEMPTS, MAX_RELEASES = 2, 1  # small, so that both ends are reached often


@dataclass(kw_only=True)
class Expected:
    """One job as it must be. Lease and back-off end by rules of the machine, not by time."""

    state: State = State.QUEUED
    attempt: int = 0
    releases: int = 0
    cancel: bool = False
    delayed: bool = False
    overdue: bool = False
    lease_ended: bool = False
    worker: str = ""
    key: str | None = None  # the idempotency key that made it
    saved: str | None = None  # the key of its checkpoint
    retried_as: UUID | None = None
    deleted: bool = False
    doomed: bool = False  # its time to be brought back is over
    row: dict[str, Any] | None = field(default=None, repr=False)  # since it is final

    @property
    def waits(self) -> bool:
        """Whether a worker may claim it now."""
        return self.state is State.QUEUED and not self.delayed and not self.too_late

    @property
    def too_late(self) -> bool:
        """The deadline is for the first attempt."""
        return self.overdue and self.attempt == 0

    def held_by(self, held: Claim) -> bool:
        return self.state is State.RUNNING and self.attempt == held.attempt

    def claimed_by(self, worker: str) -> None:
        self.state, self.attempt, self.worker = State.RUNNING, self.attempt + 1, worker

    def cancelled(self) -> None:
        """As far as that goes in its state."""
        if self.state is State.QUEUED:
            self.state, self.saved = State.CANCELLED, None
        self.cancel = self.cancel or self.state in (State.RUNNING, State.CANCELLED)

    def expired(self) -> None:
        if self.too_late and self.state is State.QUEUED:
            self.state, self.saved = State.EXPIRED, None

    def after(self, verb: str, held: Claim, *, step: int, drains: bool) -> object:
        """What a worker's verb must give, or raise; the job is expected to be so from now on."""
        if not self.held_by(held):
            its_own = (self.state, self.attempt) == (State.SUCCEEDED, held.attempt)
            return State.SUCCEEDED if verb == "succeed" and its_own else LostClaim
        if verb in ("renew", "orders"):
            self.lease_ended = self.lease_ended and verb != "renew"
            return Orders(cancel=self.cancel, drain=drains)
        if verb == "save checkpoint":
            before, self.saved = self.saved, checkpoint_of(held, step).key
            its_own = before is not None and str(held.job) in before and before != self.saved
            return before if its_own else None
        if verb == "resumed":
            return None
        state = self.attempt_ended(verb)
        return None if verb == "obey cancel" else state

    def attempt_ended(self, how: str) -> State:
        """how: succeed, fail for good, fail in passing, release, obey cancel, lost."""
        if self.cancel:
            self.state = State.CANCELLED
        elif how == "succeed":
            self.state = State.SUCCEEDED
        elif how == "fail for good":
            self.state = State.FAILED
        elif how == "release" and self.releases < MAX_RELEASES:
            self.state, self.releases = State.QUEUED, self.releases + 1
        elif self.attempt - self.releases == MAX_ATTEMPTS:
            self.state = State.PARKED
        else:
            self.state, self.delayed = State.QUEUED, True
        self.worker, self.lease_ended = "", False
        if self.state in FINAL - {State.PARKED}:
            self.saved = None
        return self.state
