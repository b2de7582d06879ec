"""One class for each refusal, with a stable code. Pure: no I/O, no framework."""

import errno
from typing import ClassVar

DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})


class Refusal(Exception):
    """A request that was understood and turned down; nothing was changed.

    code is stable and documented in docs/reference/errors.md; status is the HTTP status;
    retryable says whether the same request may succeed later.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    retryable: ClassVar[bool] = False


class BadSpec(Refusal):
    """One or more fields of a render request are out of the model's limits.

    fields maps each bad field to one sentence that says what would be accepted.
    """

    code = "bad_spec"
    status = 400

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in fields.items()))
        self.fields = fields


class NotFound(Refusal):
    """There is no such job, or none that this user may see: the two look the same."""

    code = "not_found"
    status = 404

    def __init__(self, message: str = "There is no such job, or you may not see it.") -> None:
        super().__init__(message)


class NotPossible(Refusal):
    """The job is not in a state that allows this."""

    code = "not_possible"
    status = 409


class KeyReused(Refusal):
    """The idempotency key was used before, for another request."""

    code = "idempotency_key_reused"
    status = 409

    def __init__(self) -> None:
        super().__init__("This idempotency key was used before with other values; use a new one.")


class LostClaim(Refusal):
    """This attempt no longer holds the job: stop, and discard what it made."""

    code = "lost_claim"
    status = 409


class TooManyJobs(Refusal):
    """The owner has as many unfinished jobs as one person may have."""

    code = "too_many_jobs"
    status = 429
    retryable = True

    def __init__(self, most: int) -> None:
        super().__init__(
            f"You have {most} unfinished jobs, the most that one person may have; "
            "wait for one to end, or cancel one."
        )
