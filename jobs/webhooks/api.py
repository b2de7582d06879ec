"""REST of webhooks: everybody's own alone, whatever their role."""

from uuid import UUID

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import once
from jobs.api import caller
from jobs.cursors import Wanted, address, turn_to
from jobs.webhooks import endpoints, outbox
from jobs.webhooks import serializers as shapes
from jobs.webhooks.endpoints import access_delivery, access_endpoint, visible_endpoints
from jobs.webhooks.shapes import Kind


class WebhookList(APIView):
    def get(self, request: Request) -> Response:
        """The caller's webhooks, newest first; at most 20."""
        mine = visible_endpoints(request.user)
        return Response({"results": shapes.WebhookShape(mine, many=True).data})

    def post(self, request: Request) -> Response:
        """201 and the webhook with its secret, which is shown this once."""
        asked = shapes.WebhookRequest(data=request.data)
        asked.is_valid(raise_exception=True)

        def create() -> Response:
            row, secret = endpoints.create(caller(request), **asked.validated_data)
            shape = {**shapes.WebhookShape(row).data, "secret": secret}
            return Response(shape, status=status.HTTP_201_CREATED)

        return once(request, create, secret=("secret",))


class WebhookDetail(APIView):
    def get(self, request: Request, webhook_id: UUID) -> Response:
        return Response(shapes.WebhookShape(access_endpoint(request.user, webhook_id)).data)

    def patch(self, request: Request, webhook_id: UUID) -> Response:
        """What is left out stays. enabled: false holds everything back, true sends what waited."""
        row = access_endpoint(request.user, webhook_id)
        asked = shapes.WebhookChange(data=request.data)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        enabled = given.pop("enabled", None)
        row = endpoints.change(row.pk, **given)
        if enabled is not None:
            row = (endpoints.enable if enabled else endpoints.disable)(row.pk)
        return Response(shapes.WebhookShape(row).data)

    def delete(self, request: Request, webhook_id: UUID) -> Response:
        """204: nothing is sent there any more, and its log goes too."""
        endpoints.delete(access_endpoint(request.user, webhook_id).pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class WebhookRotate(APIView):
    def post(self, request: Request, webhook_id: UUID) -> Response:
        """A new secret, shown this once; the old one signs as well for a day, or as asked."""
        row = access_endpoint(request.user, webhook_id)
        asked = shapes.RotateRequest(data=request.data)
        asked.is_valid(raise_exception=True)

        def rotate() -> Response:
            changed, secret = endpoints.rotate_secret(row.pk, **asked.validated_data)
            return Response({**shapes.WebhookShape(changed).data, "secret": secret})

        return once(request, rotate, secret=("secret",))


class WebhookTest(APIView):
    def post(self, request: Request, webhook_id: UUID) -> Response:
        """202 and a made-up delivery that is sent once; look into it for what came of it."""
        row = access_endpoint(request.user, webhook_id)
        asked = shapes.SampleRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        kind = Kind(asked.validated_data.get("event", row.events[0]))

        def send() -> Response:
            sent = shapes.DeliveryShape(outbox.send_sample(row.pk, kind)).data
            return Response(sent, status=status.HTTP_202_ACCEPTED)

        return once(request, send)


class DeliveryList(APIView):
    def get(self, request: Request, webhook_id: UUID) -> Response:
        """What was told, or is to be, newest first, by cursor; kept for 30 days."""
        told = access_endpoint(request.user, webhook_id).deliveries.defer("body")
        page = turn_to(told, Wanted.read(request.query_params, orderings=("-created_at",)))
        return Response(
            {
                "next": address(request, page.next),
                "previous": address(request, page.previous),
                "results": shapes.DeliveryShape(page.rows, many=True).data,
            }
        )


class DeliveryDetail(APIView):
    def get(self, request: Request, webhook_id: UUID, delivery_id: UUID) -> Response:
        """With its body, and every try: what was sent, and what came back."""
        row = access_delivery(request.user, webhook_id, delivery_id)
        return Response(shapes.DeliveryDetailShape(row).data)


class DeliverySend(APIView):
    def post(self, request: Request, webhook_id: UUID, delivery_id: UUID) -> Response:
        """202: it is sent now, under the same webhook-id."""
        row = access_delivery(request.user, webhook_id, delivery_id)

        def send() -> Response:
            sent = shapes.DeliveryShape(outbox.send_again(webhook_id, row.pk)).data
            return Response(sent, status=status.HTTP_202_ACCEPTED)

        return once(request, send)
