"""What becomes of deliveries: claimed, recorded, sent again, forgotten. outbox.py writes them.

A try is fenced by the number of those before it: who comes back late, after somebody else sent the
row again, records nothing. A sender that is killed leaves a lease that ends, and the row is sent
again under the same webhook-id: at least once, never not at all.
"""

import logging
import random
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from jobs.access import owner_sees
from jobs.webhooks import secrets
from jobs.webhooks.models import Delivery, DeliveryState, DeliveryTry, WebhookEndpoint
from jobs.webhooks.outbox import DELAYS
from jobs.webhooks.secrets import Unreadable
from jobs.webhooks.shapes import TOTAL_SECONDS, Answer

logger = logging.getLogger(__name__)

JITTER = 0.2  # of a delay, either way: what failed together must not come back together
LEASE = timedelta(seconds=TOTAL_SECONDS + 25)  # and a machine that is short of time
SLOW_SECONDS = 5.0  # an endpoint that takes so long shares its lanes with the failing ones
FAILING_DAYS = 5  # of nothing but failures, and an endpoint is disabled
KEPT_DAYS = 30
DROPPED_AT_ONCE = 20  # endpoints of one look that had nothing left for their owners

GONE = "It answered 410 Gone: it wants nothing more."
FAILING = f"Every delivery failed for {FAILING_DAYS} days."
NOT_YOURS = "You may not see this job any more."
UNREADABLE = "Its secret was kept under another T2V_SECRET_KEY: make a new one."


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """One delivery to be sent now, by whoever holds its endpoint's lease."""

    delivery: UUID
    tries: int  # before this one
    body: str
    endpoint: UUID
    owner: int
    url: str
    slow: bool
    keys: tuple[str, ...]  # secrets to sign with; empty when they cannot be read


def any_due() -> bool:
    """Whether something could be sent now."""
    return _ready().exists()


def _ready() -> QuerySet[WebhookEndpoint]:
    due = Delivery.objects.filter(
        endpoint=OuterRef("pk"), state=DeliveryState.PENDING, next_at__lte=Now()
    )
    return WebhookEndpoint.objects.filter(
        Exists(due),
        Q(busy_until__isnull=True) | Q(busy_until__lt=Now()),
        disabled_at__isnull=True,
        owner__is_active=True,
    )


@transaction.atomic
def claim(*, but_not_of: Collection[int] = (), slow_too: bool = True) -> Claimed | None:
    """The next delivery, of the endpoint that was served longest ago; None when none is due.

    but_not_of: owners who have their share of the lanes.
    """
    ready = _ready().exclude(owner__in=but_not_of)
    if not slow_too:
        ready = ready.filter(slow=False)
    turn = ready.order_by(F("sent_at").asc(nulls_first=True), "created_at")
    # Not "for update": that would wait for, and hold up, whoever writes a delivery for it.
    turn = turn.select_for_update(skip_locked=True, no_key=True, of=("self",))
    for _ in range(DROPPED_AT_ONCE):
        endpoint = turn.first()
        if endpoint is None:
            return None
        dropped = _drop_what_is_not_theirs(endpoint)
        due = endpoint.deliveries.filter(state=DeliveryState.PENDING, next_at__lte=Now())
        delivery = due.order_by("next_at").select_for_update(skip_locked=True).first()
        if delivery is not None:
            return _claimed(endpoint, delivery)
        if not dropped:
            return None
    return None  # the next look goes on


def _claimed(endpoint: WebhookEndpoint, delivery: Delivery) -> Claimed:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(busy_until=Now() + LEASE, sent_at=Now())
    return Claimed(
        delivery=delivery.pk,
        tries=delivery.tries,
        body=delivery.body,
        endpoint=endpoint.pk,
        owner=endpoint.owner_id,
        url=endpoint.url,
        slow=endpoint.slow,
        keys=_keys(endpoint),
    )


def _drop_what_is_not_theirs(endpoint: WebhookEndpoint) -> int:
    """What waited while its owner left the job's workspace is sent no more. How many there were."""
    waiting = endpoint.deliveries.filter(
        state=DeliveryState.PENDING, next_at__lte=Now(), job__isnull=False
    )
    return waiting.exclude(owner_sees("endpoint__owner", "job__workspace")).update(
        state=DeliveryState.EXHAUSTED, next_at=None, last_error=NOT_YOURS
    )


def _keys(endpoint: WebhookEndpoint) -> tuple[str, ...]:
    old = endpoint.old_secret_until
    keys: tuple[str, ...] = ()
    with suppress(Unreadable):
        keys = (secrets.unseal(endpoint.secret),)
        if endpoint.old_secret and old is not None and old > timezone.now():
            keys += (secrets.unseal(endpoint.old_secret),)
    return keys


@transaction.atomic
def record(claimed: Claimed, answer: Answer, *, headers: Mapping[str, str]) -> bool:
    """Writes what came of a try; False when it came too late and somebody else has sent it."""
    row = (
        Delivery.objects.select_for_update()
        .filter(pk=claimed.delivery, state=DeliveryState.PENDING, tries=claimed.tries)
        .first()
    )
    if row is None:
        return False
    DeliveryTry.objects.create(
        delivery=row,
        number=row.tries + 1,
        url=claimed.url,
        request_headers=dict(headers),
        status=answer.status,
        excerpt=answer.excerpt,
        error=answer.error[:200],
        seconds=answer.seconds,
    )
    Delivery.objects.filter(pk=row.pk).update(
        tries=F("tries") + 1,
        last_status=answer.status,
        last_error=answer.error[:200],
        **_what_next(row, accepted=answer.accepted),
    )
    _note(claimed, answer)
    return True


def _what_next(row: Delivery, *, accepted: bool) -> dict[str, object]:
    if accepted:
        delivered = {"delivered_at": Coalesce("delivered_at", Now())}
        return {"state": DeliveryState.DELIVERED, "next_at": None, **delivered}
    done = row.tries + 1
    if done >= row.most_tries:  # one that was delivered before stays it
        over = DeliveryState.EXHAUSTED if row.delivered_at is None else DeliveryState.DELIVERED
        return {"state": over, "next_at": None}
    wait = DELAYS[done] * random.uniform(1 - JITTER, 1 + JITTER)
    return {"next_at": Now() + timedelta(seconds=wait)}


def _note(claimed: Claimed, answer: Answer) -> None:
    """What the try says of the endpoint; and its lease is over."""
    rows = WebhookEndpoint.objects.filter(pk=claimed.endpoint)
    slow = not answer.accepted or answer.seconds > SLOW_SECONDS
    since = None if answer.accepted else Coalesce("failing_since", Now())
    rows.update(busy_until=None, slow=slow, failing_since=since)
    if answer.accepted:
        return
    reason, still = "", rows.filter(disabled_at__isnull=True)
    if answer.status == 410:
        reason = GONE
    elif not claimed.keys:
        reason = UNREADABLE
    else:
        reason = FAILING
        still = still.filter(failing_since__lt=Now() - timedelta(days=FAILING_DAYS))
    if still.update(disabled_at=Now(), disabled_reason=reason):
        logger.info("webhook %s is disabled: %s", claimed.endpoint, reason)


def purge(*, at_most: int = 500) -> int:
    """Forgets deliveries after 30 days and those of deleted endpoints, waiting ones too; how many.

    Also secrets that were replaced, once they have ended.
    """
    ended = WebhookEndpoint.objects.filter(old_secret_until__lt=Now())
    ended.update(old_secret="", old_secret_until=None)
    old = Delivery.objects.filter(created_at__lt=Now() - timedelta(days=KEPT_DAYS))
    orphaned = Delivery.objects.filter(endpoint__deleted_at__isnull=False)
    forgotten = _forget(old.order_by("created_at"), at_most) + _forget(orphaned, at_most)
    # An end that is being told of it has not been committed yet: an hour is enough for that.
    deleted = WebhookEndpoint.objects.filter(deleted_at__lt=Now() - timedelta(hours=1))
    deleted.filter(deliveries__isnull=True).delete()
    return forgotten


def _forget(rows: QuerySet[Delivery], at_most: int) -> int:
    ids = list(rows.values_list("pk", flat=True)[:at_most])
    if not ids:
        return 0
    return Delivery.objects.filter(pk__in=ids).delete()[1]["jobs.Delivery"]
