"""What is to be told, written down: with the event itself, to try an endpoint, to tell it again."""

import uuid
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from jobs import dispatch
from jobs.access import owner_sees
from jobs.errors import NotFound, NotPossible
from jobs.lifecycle import State
from jobs.models import Job
from jobs.webhooks import shapes
from jobs.webhooks.models import Delivery, DeliveryState, WebhookEndpoint
from jobs.webhooks.shapes import End, Kind

# Seconds before each try, the first one included: the Standard Webhooks schedule, 3 days in all.
DELAYS = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
MOST_TRIES = 100  # of one delivery, with all that people send again
NO_DELIVERY = "There is no such delivery."
DISABLED = "The webhook is disabled; enable it first."


def tell(job: Job) -> None:
    """Writes what the owner's endpoints want to know of this end, in its own transaction.

    Nothing for an owner who is not in its workspace any more.

    One query where nobody wants to know anything.
    """
    kinds = shapes.kinds_of(State(job.state))
    wanted = WebhookEndpoint.objects.filter(
        owner_sees("owner", job.workspace_id),
        owner_id=job.owner_id,
        disabled_at__isnull=True,
        events__overlap=[*kinds],
    )
    assert job.finished_at is not None
    end = End(
        job=job.pk,
        state=State(job.state),
        finished_at=job.finished_at,
        error_code=job.error_code,
    )
    rows = [
        _row(endpoint, Kind(kind), end, job_id=job.pk)
        for endpoint, events in wanted.values_list("pk", "events")
        for kind in events
        if kind in kinds
    ]
    if rows:
        Delivery.objects.bulk_create(rows)
        transaction.on_commit(dispatch.knock_sender)


def _row(
    endpoint: UUID, kind: Kind, end: End, *, job_id: UUID | None, test: bool = False
) -> Delivery:
    made = uuid.uuid4()
    body = shapes.body(kind, end, delivery=made, site=settings.BASE_URL.rstrip("/"), test=test)
    return Delivery(
        id=made,
        endpoint_id=endpoint,
        job_id=job_id,
        kind=kind.value,
        body=body,
        test=test,
        most_tries=1 if test else len(DELAYS),
    )


@transaction.atomic
def send_sample(endpoint_id: UUID, kind: Kind) -> Delivery:
    """A made-up event to try an endpoint with, sent once. Raises NotPossible."""
    endpoint = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint_id)
    if endpoint.disabled_at is not None:
        raise NotPossible(DISABLED)
    waiting = Delivery.objects.filter(endpoint=endpoint, test=True, state=DeliveryState.PENDING)
    if waiting.exists():
        raise NotPossible("A test is on its way; wait for what comes of it.")
    row = _row(endpoint_id, kind, shapes.sample(kind, at=timezone.now()), job_id=None, test=True)
    row.save(force_insert=True)
    transaction.on_commit(dispatch.knock_sender)
    return Delivery.objects.get(pk=row.pk)


@transaction.atomic
def send_again(endpoint_id: UUID, delivery_id: UUID) -> Delivery:
    """Sends it now: one that waits earlier than planned, one that is over once more.

    Raises NotFound, and NotPossible.
    """
    rows = Delivery.objects.select_for_update(of=("self",)).select_related("endpoint")
    row = rows.filter(pk=delivery_id, endpoint=endpoint_id).first()
    if row is None:
        raise NotFound(NO_DELIVERY)
    if row.endpoint.disabled_at is not None:
        raise NotPossible(DISABLED)
    if row.tries >= MOST_TRIES:
        raise NotPossible(f"It was sent {MOST_TRIES} times.")
    again = {} if row.state == DeliveryState.PENDING else {"most_tries": F("tries") + 1}
    Delivery.objects.filter(pk=row.pk).update(state=DeliveryState.PENDING, next_at=Now(), **again)
    transaction.on_commit(dispatch.knock_sender)
    return Delivery.objects.get(pk=row.pk)
