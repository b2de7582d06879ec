"""The only writer of workers: who serves which pool, and since when."""

from uuid import UUID

from django.db.models.functions import Now

from jobs import actions
from jobs.models import Worker


def register(*, name: str, incarnation: UUID, pool: str, device: str) -> str:
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


def seen(*, name: str, incarnation: UUID, trouble: str = "") -> None:
    """A sign of life. trouble: why it takes no job now, for operators; empty when it does."""
    Worker.objects.filter(name=name, incarnation=incarnation).update(
        seen_at=Now(), trouble=trouble[:200]
    )


def drain(name: str) -> None:
    """Asks a worker to hand back what it renders and to take nothing more, until resume."""
    Worker.objects.filter(name=name, drain_requested_at__isnull=True).update(
        drain_requested_at=Now()
    )


def resume(name: str) -> None:
    Worker.objects.filter(name=name).update(drain_requested_at=None)
