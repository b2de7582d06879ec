"""The only writer of workers: who serves which pool, and since when."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.models import User
from jobs import actions
from jobs.models import Worker

LEFT = "left"  # in Worker.facts, of one that ended in order
SPOT = "spot"  # of one whose machine may be taken away at any time: silent, it is not missed


def register(
    *, name: str, incarnation: UUID, pool: str, device: str, facts: Mapping[str, Any] | None = None
) -> str:
    """The holder's name for claims. What an earlier process of this name held is taken back."""
    Worker.objects.update_or_create(
        name=name,
        defaults={
            "incarnation": incarnation,
            "pool": pool,
            "device": device,
            "started_at": Now(),
            "ready_at": None,
            "seen_at": Now(),
            "trouble": "",
            "facts": dict(facts or {}),
        },
    )
    holder = f"{name}/{incarnation}"
    while actions.reap_predecessors(worker=holder):
        pass  # in batches, until none is left
    return holder


def ready(*, name: str, incarnation: UUID, device: str) -> None:
    """Its first model is loaded: it can render from now on."""
    Worker.objects.filter(name=name, incarnation=incarnation).update(
        ready_at=Now(), seen_at=Now(), device=device
    )


def seen(
    *, name: str, incarnation: UUID, trouble: str = "", facts: Mapping[str, Any] | None = None
) -> None:
    """A sign of life. trouble: why it takes no job now, for operators; empty when it does.

    facts: what else it knows of itself (Worker.facts); None leaves them as they are.
    """
    told = {} if facts is None else {"facts": dict(facts)}
    Worker.objects.filter(name=name, incarnation=incarnation).update(
        seen_at=Now(), trouble=trouble[:200], **told
    )


def left(*, name: str, incarnation: UUID) -> None:
    """It ends in order: what it was told of is over, and it is not missed."""
    Worker.objects.filter(name=name, incarnation=incarnation).update(facts={LEFT: True})


@transaction.atomic
def drain(name: str, *, by: User | None = None, reason: str = "") -> None:
    """Asks a worker to hand back what it renders and to take nothing more, until resume."""
    idle = Worker.objects.filter(name=name, drain_requested_at__isnull=True)
    if idle.update(drain_requested_at=Now()):
        audit.record("worker.drained", actor=by, subject=name, reason=reason)


@transaction.atomic
def resume(name: str, *, by: User | None = None) -> None:
    draining = Worker.objects.filter(name=name, drain_requested_at__isnull=False)
    if draining.update(drain_requested_at=None):
        audit.record("worker.resumed", actor=by, subject=name)
