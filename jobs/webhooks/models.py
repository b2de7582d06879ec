"""Endpoints, deliveries and their tries. No verbs: endpoints.py and deliveries.py write."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from jobs.webhooks.shapes import Kind


class DeliveryState(models.TextChoices):
    PENDING = "pending", "Waiting"  # to be sent at next_at, for the first time or again
    DELIVERED = "delivered", "Delivered"
    EXHAUSTED = "exhausted", "Given up"  # all tries are used up


class WebhookEndpoint(models.Model):
    """A person's own server, and what it wants to be told of."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="webhook_endpoints"
    )
    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    events = ArrayField(models.CharField(max_length=30), default=list)  # of shapes.Kind
    secret = models.TextField()  # encrypted: jobs.webhooks.secrets
    secret_hint = models.CharField(max_length=20)
    old_secret = models.TextField(blank=True)  # signs as well, until:
    old_secret_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())  # its settings or its secret
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_reason = models.CharField(max_length=200, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)  # hidden; the sweep takes it away
    failing_since = models.DateTimeField(null=True, blank=True)  # every try since then failed
    slow = models.BooleanField(default=False)  # the last try failed, or took its time
    busy_until = models.DateTimeField(null=True, blank=True)  # the lease of whoever sends to it
    sent_at = models.DateTimeField(null=True, blank=True)  # the last claim: whose turn is next

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["owner", "-created_at", "-id"], name="jobs_webhooks_of_owner"),
            models.Index(
                fields=["old_secret_until"],
                name="jobs_webhooks_old_secrets",
                condition=Q(old_secret_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"webhook {self.id}"


class Delivery(models.Model):
    """One thing to tell one endpoint; the id is its webhook-id, the same at every try."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="deliveries")
    job = models.ForeignKey(
        "jobs.Job", models.SET_NULL, null=True, blank=True, related_name="webhook_deliveries"
    )
    kind = models.CharField(max_length=30, choices=[(kind.value, kind.value) for kind in Kind])
    body = models.TextField()  # byte for byte as it is sent
    test = models.BooleanField(default=False)
    state = models.CharField(
        max_length=10, choices=DeliveryState.choices, default=DeliveryState.PENDING
    )
    tries = models.PositiveSmallIntegerField(default=0)  # the fence: + 1 with every one recorded
    most_tries = models.PositiveSmallIntegerField()
    next_at = models.DateTimeField(db_default=Now(), null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True, blank=True)
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)
    last_error = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="jobs_pending_delivery_is_due",
                condition=Q(state=DeliveryState.PENDING, next_at__isnull=False)
                | ~Q(state=DeliveryState.PENDING) & Q(next_at__isnull=True),
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["endpoint", "next_at"],
                name="jobs_deliveries_due",
                condition=Q(state=DeliveryState.PENDING),
            ),
            models.Index(
                fields=["endpoint", "-created_at", "-id"], name="jobs_deliveries_of_endpoint"
            ),
            models.Index(fields=["created_at"], name="jobs_deliveries_age"),
        ]

    def __str__(self) -> str:
        return f"delivery {self.id} ({self.state})"


class DeliveryTry(models.Model):
    """What was sent at one try, and what came back."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="log")
    number = models.PositiveSmallIntegerField()
    at = models.DateTimeField(db_default=Now())
    url = models.CharField(max_length=2000)
    request_headers = models.JSONField(default=dict)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    excerpt = models.TextField(blank=True)  # of the answer: 4 KB at the most
    error = models.CharField(max_length=200, blank=True)
    seconds = models.FloatField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["delivery", "number"], name="jobs_delivery_try"),
        ]

    def __str__(self) -> str:
        return f"try {self.number} of {self.delivery_id}"
