"""What a worker tells of a job, by name; for jobs/tests/machine.py."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from conftest import video_of
from jobs import actions, artifacts
from jobs.actions import Claim, Saved
from jobs.artifacts import Stored
from jobs.errors import KeyReused, LostClaim, NotFound, NotPossible

WORK = ("renew", "orders", "save checkpoint", "resumed")
ENDS = ("succeed", "fail in passing", "fail for good", "release", "obey cancel")

SAVED = Saved(attempt=1, step=1, key="k", size=1, sha256="")


def checkpoint_of(held: Claim, step: int) -> Stored:
    name = f"checkpoint-{step}.safetensors"
    key = artifacts.key_for(held.job, held.attempt, name)
    return Stored(name=name, key=key, content_type="x", size=1, sha256=64 * "0")


def tell(verb: str, held: Claim, step: int) -> object:
    """One of WORK or ENDS. step: of a renewal or a checkpoint."""
    fail = partial(actions.fail, held, code="broke", message="It broke.")
    verbs: dict[str, Callable[[], object]] = {
        "renew": lambda: actions.renew(held, step=step),
        "orders": lambda: actions.orders(held),
        "save checkpoint": lambda: actions.save_checkpoint(
            held, stored=checkpoint_of(held, step), step=step
        ),
        "resumed": lambda: actions.resumed(replace(held, saved=held.saved or SAVED), step=step),
        "succeed": lambda: actions.succeed(held, [video_of(held)]),
        "fail in passing": lambda: fail(permanent=False),
        "fail for good": lambda: fail(permanent=True),
        "release": lambda: actions.release(held),
        "obey cancel": lambda: actions.obey_cancel(held),
    }
    return verbs[verb]()


def outcome(verb: Callable[[], object]) -> object:
    """What a verb gave, or the class of the refusal that it raised."""
    try:
        return verb()
    except (LostClaim, NotFound, NotPossible, KeyReused) as refusal:
        return type(refusal)
