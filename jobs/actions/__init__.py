"""The only writer of jobs: one verb, one short transaction, one compare-and-swap.

Every verb of a worker carries its attempt number. When another attempt has begun, or the job has
ended, no row matches and LostClaim is raised: the worker stops and discards what it made.
What a verb changed is announced, and knocked for, after the commit and outside the request.
"""

from jobs.actions.batches import MOST as MOST_AT_ONCE
from jobs.actions.batches import Wanted, submit_many
from jobs.actions.claims import Claim, Orders, Saved
from jobs.actions.deletion import delete, kept_for, restore
from jobs.actions.people import RETRIED_FROM, cancel, retry, submit
from jobs.actions.shelf import (
    MOST_MARKED,
    MOST_TAGS,
    Outcome,
    delete_several,
    favourite,
    restore_several,
    set_tags,
    tag,
    unfavourite,
    untag,
)
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
    "MOST_AT_ONCE",
    "MOST_MARKED",
    "MOST_TAGS",
    "RETRIED_FROM",
    "Claim",
    "Orders",
    "Outcome",
    "Saved",
    "Wanted",
    "cancel",
    "claim",
    "delete",
    "delete_several",
    "expire",
    "fail",
    "favourite",
    "kept_for",
    "note_fingerprint",
    "obey_cancel",
    "orders",
    "reap",
    "reap_predecessors",
    "release",
    "renew",
    "restore",
    "restore_several",
    "resumed",
    "retry",
    "save_checkpoint",
    "set_tags",
    "submit",
    "submit_many",
    "succeed",
    "tag",
    "unfavourite",
    "untag",
]
