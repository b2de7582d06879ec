"""The only writer of jobs: one verb, one short transaction, one compare-and-swap.

Every verb of a worker carries its attempt number. When another attempt has begun, or the job has
ended, no row matches and LostClaim is raised: the worker stops and discards what it made.
What a verb changed is announced, and knocked for, after the commit and outside the request.
"""

from jobs.actions.claims import Claim, Orders, Saved
from jobs.actions.people import RETRIED_FROM, cancel, retry, submit
from jobs.actions.time import expire, reap, reap_predecessors
from jobs.actions.workers import (
    claim,
    fail,
    note_fingerprint,
    obey_cancel,
    orders,
    release,
    renew,
    resumed,
    save_checkpoint,
    succeed,
)

__all__ = [
    "RETRIED_FROM",
    "Claim",
    "Orders",
    "Saved",
    "cancel",
    "claim",
    "expire",
    "fail",
    "note_fingerprint",
    "obey_cancel",
    "orders",
    "reap",
    "reap_predecessors",
    "release",
    "renew",
    "resumed",
    "retry",
    "save_checkpoint",
    "submit",
    "succeed",
]
