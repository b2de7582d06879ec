"""The operations on webhooks, ours and those that the SDKs know."""

from drf_spectacular.utils import OpenApiExample

from jobs import errors
from jobs.schema.operation import Answer, Link, Operation, add, query
from jobs.webhooks import openai_api as sdk
from jobs.webhooks import serializers as shapes

ALL, ONE = "/api/v1/webhooks", "/api/v1/webhooks/{webhook_id}"
DELIVERY = f"{ONE}/deliveries/{{delivery_id}}"
SDK, SDK_ONE = "/v1/webhook_endpoints", "/v1/webhook_endpoints/{name}"
_DELETED = {
    "type": "object",
    "required": ["id", "object", "deleted"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "webhook_endpoint.deleted"},
        "deleted": {"const": True},
    },
}
_TESTED = {
    "type": "object",
    "required": ["object", "webhook_endpoint_id", "event_type", "status_code", "success"],
    "properties": {
        "object": {"const": "webhook_endpoint.test"},
        "webhook_endpoint_id": {"type": "string"},
        "event_type": {"type": "string"},
        "status_code": {"type": "integer", "description": "What your server answered."},
        "success": {"type": "boolean"},
    },
}
_TYPES = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {
        "object": {"const": "list"},
        "data": {"type": "array", "items": {"enum": shapes.KINDS}},
    },
}
_FOR_ONE = tuple(
    Link(operation=name, parameter="webhook_id")
    for name in ("getWebhook", "changeWebhook", "rotateWebhookSecret", "listDeliveries")
)
_FOR_SDK = tuple(
    Link(operation=name, parameter="name")
    for name in ("getWebhookEndpoint", "changeWebhookEndpoint", "deleteWebhookEndpoint")
)
_PAGE = (
    query(
        "limit",
        "Rows of a page.",
        {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    ),
)

add(
    {
        f"GET {ALL}": Operation(
            id="listWebhooks",
            tag="webhooks",
            summary="Your webhooks, newest first",
            answers={200: Answer(says="At most 20.", body=shapes.WebhookPage)},
        ),
        f"POST {ALL}": Operation(
            id="createWebhook",
            tag="webhooks",
            summary="Have your own server told when a job ends",
            body=shapes.WebhookRequest,
            examples=(
                OpenApiExample(
                    "both ends",
                    {"url": "https://example.com/t2v", "events": ["job.succeeded", "job.failed"]},
                    request_only=True,
                ),
            ),
            answers={201: Answer(says="With its secret, shown this once.", body=shapes.NewSecret)},
            refusals=(errors.TooManyWebhooks,),
            links=_FOR_ONE,
        ),
        f"GET {ONE}": Operation(
            id="getWebhook",
            tag="webhooks",
            summary="A webhook",
            answers={200: Answer(says="The webhook.", body=shapes.WebhookShape)},
        ),
        f"PATCH {ONE}": Operation(
            id="changeWebhook",
            tag="webhooks",
            summary="Change a webhook; what is left out stays",
            body=shapes.WebhookChange,
            answers={200: Answer(says="The webhook.", body=shapes.WebhookShape)},
        ),
        f"DELETE {ONE}": Operation(
            id="deleteWebhook",
            tag="webhooks",
            summary="Delete a webhook with its log",
            answers={204: Answer(says="Nothing is sent there any more.")},
        ),
        f"POST {ONE}/rotate-secret": Operation(
            id="rotateWebhookSecret",
            tag="webhooks",
            summary="A new secret; the old one signs as well for a day",
            body=shapes.RotateRequest,
            answers={200: Answer(says="With the new secret.", body=shapes.NewSecret)},
        ),
        f"POST {ONE}/test": Operation(
            id="testWebhook",
            tag="webhooks",
            summary="Send a made-up event, once",
            body=shapes.SampleRequest,
            answers={202: Answer(says="The delivery.", body=shapes.DeliveryShape)},
            refusals=(errors.NotPossible,),
        ),
        f"GET {ONE}/deliveries": Operation(
            id="listDeliveries",
            tag="webhooks",
            summary="What was told, or is to be, newest first",
            parameters=(*_PAGE, query("cursor", "As in `next` and `previous`.")),
            answers={200: Answer(says="A page.", body=shapes.DeliveryPage)},
        ),
        f"GET {DELIVERY}": Operation(
            id="getDelivery",
            tag="webhooks",
            summary="A delivery, with every try",
            answers={200: Answer(says="The delivery.", body=shapes.DeliveryDetailShape)},
        ),
        f"POST {DELIVERY}/send": Operation(
            id="sendDelivery",
            tag="webhooks",
            summary="Send a delivery again, under the same webhook-id",
            answers={202: Answer(says="It is sent now.", body=shapes.DeliveryShape)},
            refusals=(errors.NotPossible,),
        ),
        f"GET {SDK}": Operation(
            id="listWebhookEndpoints",
            tag="v1",
            summary="Your webhooks, as the SDKs list them",
            parameters=(*_PAGE, query("after", "The id of the last one of the page before.")),
            answers={200: Answer(says="A page.", body=sdk.EndpointPage)},
        ),
        f"POST {SDK}": Operation(
            id="createWebhookEndpoint",
            tag="v1",
            summary="A new webhook",
            body=sdk.EndpointRequest,
            answers={200: Answer(says="With its secret, shown this once.", body=sdk.NewEndpoint)},
            refusals=(errors.TooManyWebhooks,),
            links=_FOR_SDK,
        ),
        f"GET {SDK_ONE}": Operation(
            id="getWebhookEndpoint",
            tag="v1",
            summary="A webhook",
            answers={200: Answer(says="The webhook.", body=sdk.EndpointShape)},
        ),
        f"POST {SDK_ONE}": Operation(
            id="changeWebhookEndpoint",
            tag="v1",
            summary="Change a webhook; what is left out stays",
            body=sdk.EndpointChange,
            answers={200: Answer(says="The webhook.", body=sdk.EndpointShape)},
        ),
        f"DELETE {SDK_ONE}": Operation(
            id="deleteWebhookEndpoint",
            tag="v1",
            summary="Delete a webhook",
            answers={200: Answer(says="It is gone.", body=_DELETED)},
        ),
        f"POST {SDK_ONE}/rotate_secret": Operation(
            id="rotateWebhookEndpointSecret",
            tag="v1",
            summary="A new secret",
            body=sdk.EndpointRotation,
            answers={200: Answer(says="With the new secret.", body=sdk.NewEndpoint)},
        ),
        f"POST {SDK_ONE}/test": Operation(
            id="testWebhookEndpoint",
            tag="v1",
            summary="Send a made-up event, and wait for what your server answers",
            body=sdk.TestRequest,
            answers={200: Answer(says="Its answer.", body=_TESTED)},
            refusals=(errors.NotPossible,),
        ),
        "GET /v1/webhook_event_types": Operation(
            id="listWebhookEventTypes",
            tag="v1",
            summary="What a webhook may be told of",
            answers={200: Answer(says="All of it.", body=_TYPES)},
        ),
    }
)
