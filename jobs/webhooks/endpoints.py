"""The only writer of endpoints, and the only door to them: everybody has their own alone."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.models import User
from jobs.errors import BadFields, Forbidden, NotFound, TooManyWebhooks
from jobs.webhooks import addresses, secrets, shapes
from jobs.webhooks.addresses import Refused
from jobs.webhooks.models import Delivery, WebhookEndpoint
from jobs.webhooks.outbox import NO_DELIVERY

MOST = 20  # of one person
OLD_SECRET_HOURS = 24
BY_OWNER = "You disabled it."


def visible_endpoints(user: User | AnonymousUser) -> QuerySet[WebhookEndpoint]:
    """One's own; an operator has no business with where others are told what.

    None by a token of one workspace alone: they hear of the jobs of all.
    """
    if isinstance(user, AnonymousUser) or not user.is_active or user.only_in is not None:
        return WebhookEndpoint.objects.none()
    mine = WebhookEndpoint.objects.filter(owner=user, deleted_at__isnull=True)
    return mine.order_by("-created_at", "-id")


def access_endpoint(user: User | AnonymousUser, endpoint_id: UUID) -> WebhookEndpoint:
    """Raises NotFound, the same for absent and foreign ones."""
    found = visible_endpoints(user).filter(pk=endpoint_id).first()
    if found is None:
        raise NotFound("There is no such webhook, or it is not yours.")
    return found


def access_delivery(user: User | AnonymousUser, endpoint_id: UUID, delivery_id: UUID) -> Delivery:
    """Raises NotFound, the same for absent and foreign ones."""
    endpoint = access_endpoint(user, endpoint_id)
    row = Delivery.objects.filter(pk=delivery_id, endpoint=endpoint).first()
    if row is None:
        raise NotFound(NO_DELIVERY)
    return row


@transaction.atomic
def create(
    owner: User,
    *,
    url: str,
    events: Sequence[str],
    description: str = "",
    endpoint_id: UUID | None = None,
) -> tuple[WebhookEndpoint, str]:
    """The new one and its secret, which nobody is ever shown again.

    Raises BadFields, TooManyWebhooks when the owner has as many as one person may have, and
    Forbidden by a token of one workspace alone.
    """
    if owner.only_in is not None:
        raise Forbidden("Webhooks hear of all your workspaces; this token is good in one of them.")
    columns = _checked(url=url, events=events, description=description)
    # The lock lets one of a person in at a time, so that the bound holds exactly.
    User.objects.select_for_update(no_key=True).only("pk").get(pk=owner.pk)
    if WebhookEndpoint.objects.filter(owner=owner, deleted_at__isnull=True).count() >= MOST:
        raise TooManyWebhooks(MOST)
    secret = secrets.new()
    named = {} if endpoint_id is None else {"id": endpoint_id}
    made = WebhookEndpoint.objects.create(
        owner=owner,
        secret=secrets.seal(secret),
        secret_hint=secrets.hint(secret),
        **columns,
        **named,
    )
    return WebhookEndpoint.objects.get(pk=made.pk), secret


def change(
    endpoint_id: UUID,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    description: str | None = None,
) -> WebhookEndpoint:
    """Raises BadFields."""
    columns = _checked(url=url, events=events, description=description)
    if columns:
        WebhookEndpoint.objects.filter(pk=endpoint_id).update(**columns, updated_at=Now())
    return WebhookEndpoint.objects.get(pk=endpoint_id)


def _checked(
    *, url: str | None, events: Sequence[str] | None, description: str | None
) -> dict[str, Any]:
    """Those that are given. Raises BadFields with a sentence for each that is wrong."""
    wrong: dict[str, str] = {}
    columns: dict[str, Any] = {}
    if url is not None:
        columns["url"] = url
        try:
            addresses.check(url)
        except Refused as refusal:
            wrong["url"] = str(refusal)
    if events is not None:
        columns["events"], strange = shapes.known(events)
        if strange or not columns["events"]:
            wrong["events"] = _one_of(strange)
    if description is not None:
        columns["description"] = description
        if len(description) > 200 or "\0" in description:
            wrong["description"] = "At most 200 characters."
    if wrong:
        raise BadFields(wrong)
    return columns


def _one_of(strange: Iterable[str]) -> str:
    first = next((f"There is no event {word[:50]!r}. " for word in strange), "")
    return f"{first}Choose at least one of {', '.join(kind.value for kind in shapes.Kind)}."


def enable(endpoint_id: UUID) -> WebhookEndpoint:
    """What waited goes out now."""
    WebhookEndpoint.objects.filter(pk=endpoint_id, disabled_at__isnull=False).update(
        disabled_at=None, disabled_reason="", failing_since=None, updated_at=Now()
    )
    return WebhookEndpoint.objects.get(pk=endpoint_id)


def disable(endpoint_id: UUID) -> WebhookEndpoint:
    """Nothing is sent, and nothing new written, until it is enabled."""
    WebhookEndpoint.objects.filter(pk=endpoint_id, disabled_at__isnull=True).update(
        disabled_at=Now(), disabled_reason=BY_OWNER, updated_at=Now()
    )
    return WebhookEndpoint.objects.get(pk=endpoint_id)


@transaction.atomic
def rotate_secret(
    endpoint_id: UUID, *, keep_old_hours: int = OLD_SECRET_HOURS
) -> tuple[WebhookEndpoint, str]:
    """A new secret, shown once; for so many hours deliveries are signed with the old one too."""
    row = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint_id)
    secret, keep = secrets.new(), keep_old_hours > 0
    WebhookEndpoint.objects.filter(pk=endpoint_id).update(
        secret=secrets.seal(secret),
        secret_hint=secrets.hint(secret),
        old_secret=row.secret if keep else "",
        old_secret_until=Now() + timedelta(hours=keep_old_hours) if keep else None,
        updated_at=Now(),
    )
    return WebhookEndpoint.objects.get(pk=endpoint_id), secret


def delete(endpoint_id: UUID) -> None:
    """Nothing is sent to it any more; the sweep takes it away with all its deliveries."""
    WebhookEndpoint.objects.filter(pk=endpoint_id, deleted_at__isnull=True).update(
        deleted_at=Now(), disabled_at=Now(), secret="", old_secret="", old_secret_until=None
    )
