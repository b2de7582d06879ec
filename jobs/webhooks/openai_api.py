"""Webhooks under /v1/, as the SDKs manage them; the same rows as in api.py, in the SDKs' shapes."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.idempotency import once
from jobs.api import caller
from jobs.errors import BadFields, NotFound, NotPossible
from jobs.openai_answers import OpenAIView
from jobs.webhooks import endpoints, outbox
from jobs.webhooks.endpoints import access_endpoint, visible_endpoints
from jobs.webhooks.models import Delivery, DeliveryState, WebhookEndpoint
from jobs.webhooks.shapes import TOTAL_SECONDS, Kind

PREFIX = "wh_"
USUAL_PAGE, LARGEST_PAGE = 20, 100
LOOK_SECONDS = 0.25
MOST_WAITING = 8  # tests that wait for their answer, in one process
_waiting = threading.BoundedSemaphore(MOST_WAITING)


class EndpointRequest(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    url = serializers.CharField(max_length=2000)
    event_types = serializers.ListField(
        child=serializers.CharField(max_length=100), min_length=1, max_length=100
    )


class EndpointChange(EndpointRequest):
    name = serializers.CharField(max_length=200, required=False)
    url = serializers.CharField(max_length=2000, required=False)
    event_types = serializers.ListField(
        child=serializers.CharField(max_length=100), min_length=1, max_length=100, required=False
    )


class EndpointShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField()
    created_at = serializers.IntegerField()
    updated_at = serializers.IntegerField()
    name = serializers.CharField(allow_blank=True)
    url = serializers.CharField()
    event_types = serializers.ListField(child=serializers.CharField())
    signing_secret_hint = serializers.CharField()


class NewEndpoint(EndpointShape):
    signing_secret = serializers.CharField(allow_null=True)


class EndpointPage(serializers.Serializer[Any]):
    object = serializers.CharField()
    data = EndpointShape(many=True)  # type: ignore[assignment]  # the field of that name
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()


class EndpointRotation(serializers.Serializer[Any]):
    keep_old_secret_active_for_24_hours = serializers.BooleanField(default=False)


class TestRequest(serializers.Serializer[Any]):
    event_type = serializers.CharField(max_length=100)


class EndpointList(OpenAIView):
    def get(self, request: Request) -> Response:
        """The caller's, newest first, a page after the one before."""
        rows = list(visible_endpoints(request.user))  # 20 at the most
        after = request.query_params.get("after")
        if after:
            ids = [row.pk for row in rows]
            found = _id(after)
            if found not in ids:
                raise BadFields({"after": "There is no such webhook of yours."})
            rows = rows[ids.index(found) + 1 :]
        limit = _limit(request)
        return Response(_page([_shape(row) for row in rows[:limit]], more=len(rows) > limit))

    def post(self, request: Request) -> Response:
        """The webhook with its secret, which is shown this once."""
        asked = EndpointRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        columns = _columns(asked.validated_data)

        def create() -> Response:
            row, secret = endpoints.create(caller(request), **columns)
            return Response({**_shape(row), "signing_secret": secret})

        return _in_their_words(
            lambda: once(request, create, secret=("signing_secret",), keyless=True)
        )


class EndpointDetail(OpenAIView):
    def get(self, request: Request, name: str) -> Response:
        return Response(_shape(_access(request, name)))

    def post(self, request: Request, name: str) -> Response:
        """What is left out stays."""
        row = _access(request, name)
        asked = EndpointChange(data=request.data)
        asked.is_valid(raise_exception=True)
        columns = _columns(asked.validated_data)
        return _in_their_words(
            lambda: once(
                request, lambda: Response(_shape(endpoints.change(row.pk, **columns))), keyless=True
            )
        )

    def delete(self, request: Request, name: str) -> Response:
        row = _access(request, name)
        endpoints.delete(row.pk)
        shape = {"id": _name(row.pk), "object": "webhook_endpoint.deleted", "deleted": True}
        return Response(shape)


class Rotate(OpenAIView):
    def post(self, request: Request, name: str) -> Response:
        """A new secret, shown this once."""
        row = _access(request, name)
        asked = EndpointRotation(data=request.data)
        asked.is_valid(raise_exception=True)
        keep = asked.validated_data["keep_old_secret_active_for_24_hours"]

        def rotate() -> Response:
            hours = endpoints.OLD_SECRET_HOURS if keep else 0
            changed, secret = endpoints.rotate_secret(row.pk, keep_old_hours=hours)
            return Response({**_shape(changed), "signing_secret": secret})

        return once(request, rotate, secret=("signing_secret",), keyless=True)


class Test(OpenAIView):
    def post(self, request: Request, name: str) -> Response:
        """Sends a made-up event, and waits for the status that the endpoint answers with."""
        row = _access(request, name)
        asked = TestRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        event = asked.validated_data["event_type"]
        if event not in set(Kind):
            raise BadFields({"event_type": f"Use one of {', '.join(Kind)}."})
        if not _waiting.acquire(blocking=False):
            raise NotPossible("Too many tests wait for their answer now; try again in a minute.")
        try:
            sent = once(
                request,
                lambda: Response({"id": str(outbox.send_sample(row.pk, Kind(event)).pk)}),
                keyless=True,
            )
            status = _status_of(UUID(sent.data["id"]))
        finally:
            _waiting.release()
        return Response(
            {
                "object": "webhook_endpoint.test",
                "webhook_endpoint_id": _name(row.pk),
                "event_type": event,
                "status_code": status,
                "success": True,
            }
        )


class EventTypes(OpenAIView):
    def get(self, request: Request) -> Response:
        return Response({"object": "list", "data": [kind.value for kind in Kind]})


def _status_of(delivery: UUID) -> int:
    """What the endpoint answered. Raises BadFields where it answered nothing."""
    until = time.monotonic() + TOTAL_SECONDS + 5
    while time.monotonic() < until:
        found = Delivery.objects.filter(pk=delivery).exclude(state=DeliveryState.PENDING).first()
        connection.close()  # others need it while this one waits
        if found is not None:
            if found.last_status is None:
                raise BadFields({"url": f"The test was not delivered: {found.last_error}."})
            return found.last_status
        time.sleep(LOOK_SECONDS)
    raise BadFields({"url": "The test waits to be sent; look into the webhook's log later."})


def _access(request: Request, name: str) -> WebhookEndpoint:
    found = _id(name)
    if found is None:
        raise NotFound("There is no such webhook, or it is not yours.")
    return access_endpoint(request.user, found)


def _id(name: str) -> UUID | None:
    """None for what is no id of ours."""
    digits = name.removeprefix(PREFIX)
    if not name.startswith(PREFIX) or len(digits) != 32 or set(digits) - set("0123456789abcdef"):
        return None
    return UUID(hex=digits)


def _name(endpoint: UUID) -> str:
    return f"{PREFIX}{endpoint.hex}"


def _limit(request: Request) -> int:
    given = request.query_params.get("limit") or str(USUAL_PAGE)
    if not (given.isascii() and given.isdecimal()) or not 1 <= int(given[:6]) <= LARGEST_PAGE:
        raise BadFields({"limit": f"From 1 to {LARGEST_PAGE}."})
    return int(given)


_OURS = {"name": "description", "event_types": "events", "url": "url"}


def _columns(given: dict[str, Any]) -> dict[str, Any]:
    return {_OURS[name]: value for name, value in given.items()}


def _in_their_words(act: Callable[[], Response]) -> Response:
    """A field that is refused is named as it was sent."""
    theirs = {ours: name for name, ours in _OURS.items()}
    try:
        return act()
    except BadFields as refused:
        raise BadFields(
            {theirs.get(name, name): why for name, why in refused.fields.items()}
        ) from refused


def _shape(row: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": _name(row.pk),
        "object": "webhook_endpoint",
        "created_at": int(row.created_at.timestamp()),
        "updated_at": int(row.updated_at.timestamp()),
        "name": row.description,
        "url": row.url,
        "event_types": row.events,
        "signing_secret_hint": row.secret_hint,
    }


def _page(shapes: Sequence[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    return {
        "object": "list",
        "data": list(shapes),
        "first_id": shapes[0]["id"] if shapes else None,
        "last_id": shapes[-1]["id"] if shapes else None,
        "has_more": more,
    }
