"""Shapes of webhooks and deliveries, in and out of the REST API."""

from typing import Any

from rest_framework import serializers

from jobs.webhooks.addresses import LONGEST_URL
from jobs.webhooks.endpoints import OLD_SECRET_HOURS
from jobs.webhooks.models import DeliveryState
from jobs.webhooks.shapes import Kind

KINDS = [kind.value for kind in Kind]


class WebhookShape(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    url = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    events = serializers.ListField(child=serializers.ChoiceField(KINDS))
    secret_hint = serializers.CharField(help_text="Its last characters, to tell it from others.")
    old_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="Until then deliveries are signed with the old one, too."
    )
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    disabled_at = serializers.DateTimeField(allow_null=True)
    disabled_reason = serializers.CharField(allow_blank=True)
    failing_since = serializers.DateTimeField(allow_null=True)


class NewSecret(WebhookShape):
    secret = serializers.CharField(
        allow_null=True, help_text="Shown this once; null where the answer is a repeated one."
    )


class WebhookPage(serializers.Serializer[Any]):
    results = WebhookShape(many=True)


class WebhookRequest(serializers.Serializer[Any]):
    url = serializers.CharField(max_length=LONGEST_URL)
    events = serializers.ListField(
        child=serializers.ChoiceField(KINDS), min_length=1, max_length=len(KINDS)
    )
    description = serializers.CharField(max_length=200, allow_blank=True, required=False)


class WebhookChange(serializers.Serializer[Any]):
    url = serializers.CharField(max_length=LONGEST_URL, required=False)
    events = serializers.ListField(
        child=serializers.ChoiceField(KINDS), min_length=1, max_length=len(KINDS), required=False
    )
    description = serializers.CharField(max_length=200, allow_blank=True, required=False)
    enabled = serializers.BooleanField(required=False)


class RotateRequest(serializers.Serializer[Any]):
    keep_old_hours = serializers.IntegerField(
        required=False, default=OLD_SECRET_HOURS, min_value=0, max_value=OLD_SECRET_HOURS
    )


class SampleRequest(serializers.Serializer[Any]):
    event = serializers.ChoiceField(
        KINDS, required=False, help_text="Left out: the first one that the webhook wants."
    )


class DeliveryShape(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="The webhook-id, the same at every try.")
    event = serializers.ChoiceField(KINDS, source="kind")
    job = serializers.UUIDField(source="job_id", allow_null=True)
    test = serializers.BooleanField()
    state = serializers.ChoiceField(DeliveryState.choices)
    tries = serializers.IntegerField()
    next_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    delivered_at = serializers.DateTimeField(allow_null=True)
    last_status = serializers.IntegerField(allow_null=True)
    last_error = serializers.CharField(allow_blank=True)


class DeliveryPage(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = DeliveryShape(many=True)


class TryShape(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    at = serializers.DateTimeField()
    url = serializers.CharField()
    request_headers = serializers.DictField(child=serializers.CharField())
    status = serializers.IntegerField(allow_null=True)
    excerpt = serializers.CharField(allow_blank=True, help_text="Of the answer: 4 KB at the most.")
    error = serializers.CharField(allow_blank=True)
    seconds = serializers.FloatField()


class DeliveryDetailShape(DeliveryShape):
    body = serializers.CharField(help_text="Byte for byte as it is sent.")
    log = serializers.SerializerMethodField()

    def get_log(self, row: Any) -> list[dict[str, Any]]:
        return [dict(TryShape(each).data) for each in row.log.order_by("-number")]
