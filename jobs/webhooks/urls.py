"""Where webhooks are managed: the REST API, the SDK's own addresses, pages."""

from django.urls import path

from jobs.webhooks import api, openai_api, pages

_REST, _PAGES = "api/v1/webhooks", "settings/webhooks"
_ONE, _PAGE = f"{_REST}/<uuid:webhook_id>", f"{_PAGES}/<uuid:webhook_id>"
_SDK = "v1/webhook_endpoints"

urlpatterns = [
    path(_REST, api.WebhookList.as_view(), name="api_webhooks"),
    path(_ONE, api.WebhookDetail.as_view(), name="api_webhook"),
    path(f"{_ONE}/rotate-secret", api.WebhookRotate.as_view(), name="api_webhook_rotate"),
    path(f"{_ONE}/test", api.WebhookTest.as_view(), name="api_webhook_test"),
    path(f"{_ONE}/deliveries", api.DeliveryList.as_view(), name="api_deliveries"),
    path(
        f"{_ONE}/deliveries/<uuid:delivery_id>", api.DeliveryDetail.as_view(), name="api_delivery"
    ),
    path(
        f"{_ONE}/deliveries/<uuid:delivery_id>/send",
        api.DeliverySend.as_view(),
        name="api_delivery_send",
    ),
    path(_SDK, openai_api.EndpointList.as_view(), name="v1_webhooks"),
    path(f"{_SDK}/<str:name>", openai_api.EndpointDetail.as_view(), name="v1_webhook"),
    path(f"{_SDK}/<str:name>/rotate_secret", openai_api.Rotate.as_view(), name="v1_webhook_rotate"),
    path(f"{_SDK}/<str:name>/test", openai_api.Test.as_view(), name="v1_webhook_test"),
    path("v1/webhook_event_types", openai_api.EventTypes.as_view(), name="v1_webhook_events"),
    path(_PAGES, pages.webhooks, name="webhooks"),
    path(_PAGE, pages.webhook, name="webhook"),
    path(f"{_PAGE}/rotate", pages.rotate, name="webhook_rotate"),
    path(f"{_PAGE}/test", pages.test, name="webhook_test"),
    path(f"{_PAGE}/switch", pages.switch, name="webhook_switch"),
    path(f"{_PAGE}/delete", pages.delete, name="webhook_delete"),
    path(f"{_PAGE}/deliveries/<uuid:delivery_id>/send", pages.send, name="webhook_send"),
]
