"""Why a command did not do what it was asked, and the exit code that says so to a script."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Code(IntEnum):
    OK = 0
    JOB = 1  # the job failed, was cancelled, parked or expired
    USAGE = 2  # the command, a value in it or a file on this machine
    FORBIDDEN = 3  # not signed in, or not allowed
    NOT_FOUND = 4
    UNREACHABLE = 5  # no answer, or an error of the site's own
    LIMITED = 6  # refused by a limit
    INTERRUPTED = 130


class Failure(Exception):
    """What the person reads: what happened, which fields are at fault, and what to do about it."""

    def __init__(
        self,
        message: str,
        code: Code,
        *,
        advice: str = "",
        fields: Mapping[str, str] | None = None,
        problem: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.advice = advice
        self.fields = dict(fields or {})
        self.problem = problem  # the API's own code (docs/reference/errors.md), where it gave one
        self.repeated = False  # whether it was not the first try that was answered so


# By the API's code; what is not here says it all in its detail.
_ADVICE = {
    "bad_spec": "t2v models says what each model accepts.",
    "not_found": "t2v list shows your jobs, t2v whoami who you are.",
    "not_authenticated": "Sign in with a valid token: t2v login --site {site}",
    "authentication_failed": "Sign in with a valid token: t2v login --site {site}",
    "insufficient_scope": "Make a token that has the scope, and t2v login with it.",
    "too_many_jobs": "Wait for a job to end (t2v list --state queued), or cancel one.",
    "gpu_seconds_used_up": "t2v usage says what is left, and when it renews.",
    "storage_full": "Delete videos that nobody needs: t2v delete ID.",
    "idempotency_key_reused": "Use another --idempotency-key, or none.",
    "not_possible": "t2v get ID says what has become of the job.",
}
_BY_STATUS = {
    401: Code.FORBIDDEN,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    429: Code.LIMITED,
}


def from_answer(status: int, body: Any, *, site: str) -> Failure:
    """Of an answer that is no success; body is its JSON, or None where it had none."""
    told = body if isinstance(body, dict) else {}
    problem = str(told.get("code") or "")
    given = told.get("fields")
    fields = {str(k): str(v) for k, v in given.items()} if isinstance(given, dict) else {}
    detail = str(told.get("detail") or told.get("title") or "")
    if 300 <= status < 400:
        message = f"{site} sends its callers elsewhere (HTTP {status}); nothing was sent there."
        return Failure(message, Code.USAGE, advice="Give the address it moved to with --site.")
    if not problem:
        detail = detail or f"HTTP {status} without a word that this program knows."
        if status == 404:
            detail = f"{site} has no such address: is it a Text-to-Video Orchestrator of this age?"
    code = _BY_STATUS.get(status, Code.UNREACHABLE if status >= 500 else Code.USAGE)
    advice = _ADVICE.get(problem, "").replace("{site}", site)
    message = "Some values are not accepted." if fields else detail
    return Failure(message, code, advice=advice, fields=fields, problem=problem)
