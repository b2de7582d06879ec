"""One class for each refusal, with a stable code. Pure: no I/O, no framework."""

import errno
import math
from datetime import datetime

from accounts.errors import BadFields, KeyReused, NoWorkspace, OutOfScope, Refusal
from jobs.durations import MINUTE, about

__all__ = ["BadFields", "KeyReused", "NoWorkspace", "OutOfScope", "Refusal"]

DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})


class BadSpec(BadFields):
    """One or more fields of a render request are out of the model's limits."""

    code = "bad_spec"


class ModelOff(BadSpec):
    """Operators have switched the model off for now; what was accepted before goes on."""

    code = "model_off"

    def __init__(self, name: str, *, note: str, others: str) -> None:
        why = f" ({note.rstrip('.')})" if note else ""
        super().__init__({"model": f"{name} is switched off for now{why}; choose {others}."})


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


class Forbidden(Refusal):
    """The caller may see it, but their role in the workspace does not let them do this to it."""

    code = "forbidden"
    status = 403


class OperatorsOnly(Refusal):
    """The caller is no operator."""

    code = "operators_only"
    status = 403

    def __init__(self) -> None:
        super().__init__("Only an operator may see and do this.")


class LostClaim(Refusal):
    """This attempt no longer holds the job: stop, and discard what it made."""

    code = "lost_claim"
    status = 409


class TooManyJobs(Refusal):
    """A workspace, or a person in it, has as many unfinished jobs as it may have."""

    code = "too_many_jobs"
    status = 429
    retryable = True

    def __init__(
        self, most: int, *, unfinished: int, count: int = 1, holder: str = "person"
    ) -> None:
        advice = "wait for one to end, or cancel one."
        who, may = _HOLDERS[holder]
        fit = max(0, most - unfinished)
        if count == 1:
            words = f"{who} {most} unfinished jobs, the most that {may} may have; {advice}"
        else:
            words = (
                f"With these {count} jobs {who[0].lower()}{who[1:]} {unfinished + count} "
                f"unfinished ones; {may} may have {most}. Send {fit} at the most, or {advice}"
            )
        super().__init__(words)


_HOLDERS = {  # jobs.quotas.Holder
    "person": ("You have", "one person"),
    "workspace": ("Your workspace has", "it"),
}
_WHOSE = {"person": "You may", "workspace": "Your workspace may"}


class GpuSecondsUsedUp(Refusal):
    """What is left of a month's GPU seconds does not suffice. All in seconds, but the times."""

    code = "gpu_seconds_used_up"
    status = 429
    retryable = True

    def __init__(
        self,
        *,
        holder: str,
        most: int,
        spent: float,
        reserved: float,
        needed: float,
        now: datetime,
        renews_at: datetime,
    ) -> None:
        left = max(0.0, most - spent - reserved)
        words = (
            f"{_WHOSE[holder]} use {most:,} GPU seconds a month: {spent:,.0f} are used and "
            f"{reserved:,.0f} reserved for unfinished jobs, so {left:,.0f} are left, and this "
            f"takes about {needed:,.0f}. "
        )
        if needed > most:
            words += "That is more than a whole month's: ask for less, or for a larger quota."
        else:
            words += f"They renew on {renews_at:%-d %B %Y, %H:%M} UTC."
        super().__init__(words)
        self.retry_after = math.ceil((renews_at - now).total_seconds())


class StorageFull(Refusal):
    """A workspace's videos, or a person's in it, take as much room as they may. In bytes."""

    code = "storage_full"
    status = 409

    def __init__(self, *, holder: str, most: int, stored: int, deleted_hours: int) -> None:
        super().__init__(
            f"{_WHOSE[holder]} store {most / 1e9:,.6g} GB, and {stored / 1e9:,.6g} GB are stored; "
            f"delete some videos. A deleted one makes room after {deleted_hours} h, for until then "
            "it can be brought back."
        )


class RateLimited(Refusal):
    """The caller asks more often than it may. headers tell of each window how full it is."""

    code = "rate_limited"
    status = 429
    retryable = True

    def __init__(self, *, retry_after: int, headers: dict[str, str]) -> None:
        super().__init__(f"That were too many requests; go on in {retry_after} s.")
        self.retry_after = retry_after
        self.headers = headers


class QueueFull(Refusal):
    """A new job would wait longer than this site accepts. wait and longest in seconds."""

    code = "queue_full"
    status = 503
    retryable = True

    def __init__(self, *, wait: float, longest: float, retry_after: int) -> None:
        super().__init__(
            f"The queue is full: a new job would wait {about(wait)}, and this site accepts none "
            f"that would wait longer than {longest:.0f} s. Try again in {_no_sooner(retry_after)}."
        )
        self.retry_after = retry_after


def _no_sooner(seconds: int) -> str:
    """In words that nobody who follows them comes too early by."""
    return f"{seconds} s" if seconds < 2 * MINUTE else f"{math.ceil(seconds / MINUTE)} min"


OVER_LIMITS = (TooManyJobs, GpuSecondsUsedUp, StorageFull, QueueFull)  # of a submit


class TooManyConnections(Refusal):
    """The caller has as many live connections to one web process as one person may have."""

    code = "too_many_connections"
    status = 429
    retryable = True

    def __init__(self, most: int) -> None:
        super().__init__(f"You have {most} live connections open; close one.")


class TooManyWebhooks(Refusal):
    """The caller has as many webhooks as one person may have."""

    code = "too_many_webhooks"
    status = 409

    def __init__(self, most: int) -> None:
        super().__init__(f"You have {most} webhooks, the most that one person may have.")


class LiveUnavailable(Refusal):
    """Redis, which carries the live view, does not answer; jobs go on."""

    code = "live_unavailable"
    status = 503
    retryable = True

    def __init__(self) -> None:
        super().__init__("The live view is away for the moment; the jobs go on without it.")


class DatabaseUnavailable(Refusal):
    """Postgres did not answer, or gave up what it was at; nothing was changed."""

    code = "database_unavailable"
    status = 503
    retryable = True
    retry_after = 5

    def __init__(self) -> None:
        super().__init__("The database does not answer for the moment; send it again.")


class BadImage(BadFields):
    """What was sent as a picture is none, or more than one picture, or too much of one."""

    code = "bad_image"

    def __init__(self, why: str, field: str = "image") -> None:
        super().__init__({field: why})


class UnsupportedByModel(BadFields):
    """The model has no such input, or cannot do this at all; another one may."""

    code = "unsupported_by_model"

    def __init__(self, why: str, field: str) -> None:
        super().__init__({field: why})


class BadTag(BadFields):
    """A name that no tag can have."""

    code = "bad_tag"

    def __init__(self, why: str, field: str = "tag") -> None:
        super().__init__({field: why})


class TooManyTags(Refusal):
    """A video has as many tags as one may have."""

    code = "too_many_tags"
    status = 409

    def __init__(self, most: int) -> None:
        super().__init__(f"A video has at most {most} tags; take one away first.")


class TooManyTagNames(Refusal):
    """A workspace has as many different tags as one may have."""

    code = "too_many_tag_names"
    status = 409

    def __init__(self, most: int) -> None:
        super().__init__(
            f"The workspace has {most} different tags, the most that one may have; use one of them."
        )


class ZipTooLarge(Refusal):
    """The clips are more than one archive may hold. most in GB, size in bytes."""

    code = "zip_too_large"
    status = 413

    def __init__(self, most: int, *, size: int) -> None:
        super().__init__(
            f"These clips are {size / 1e9:.3g} GB, and one download has at most {most} GB; "
            "choose fewer."
        )


class NotReady(Refusal):
    """The video is not made yet."""

    code = "not_ready"
    status = 404

    def __init__(self) -> None:
        super().__init__("The video is not made yet; ask for its status until it is completed.")


class TooLarge(Refusal):
    """The body, or the files in it, are larger than any request needs."""

    code = "too_large"
    status = 413

    def __init__(self, most: int) -> None:
        super().__init__(f"The request is too large: at most {most / 2**20:.3g} MB.")


class BadRange(Refusal):
    """The Range that was asked for lies outside the file."""

    code = "bad_range"
    status = 416

    def __init__(self) -> None:
        super().__init__("The range lies outside the file.")


class ImagesBusy(Refusal):
    """As many pictures are being checked as this process checks at once."""

    code = "images_busy"
    status = 503
    retryable = True

    def __init__(self) -> None:
        super().__init__("Other pictures are being checked; send it again in a moment.")
