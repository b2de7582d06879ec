"""Webhooks by REST and by the SDK: everybody's own, secrets once, every list bounded."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest
from django.test import Client
from openai import OpenAI
from standardwebhooks import Webhook

from accounts import actions as accounts
from accounts.models import User
from accounts.roles import Scope
from jobs.tests.receiver import Receiver
from jobs.tests.test_webhooks import send_all
from jobs.webhooks import endpoints, outbox
from jobs.webhooks.models import Delivery, WebhookEndpoint
from jobs.webhooks.sender import Sender
from jobs.webhooks.shapes import Kind

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/api/v1/webhooks"


@pytest.fixture
def hers(alice: User, receiver: Receiver) -> WebhookEndpoint:
    return endpoints.create(alice, url=receiver.url("200"), events=["job.succeeded"])[0]


def bearer(user: User, *scopes: Scope) -> dict[str, str]:
    _, token = accounts.issue_token(user, name="test", scopes=list(scopes or [Scope.JOBS_WRITE]))
    return {"Authorization": f"Bearer {token}"}


class Program:
    """Speaks JSON with a token."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = json.dumps(body) if body is not None else ""
        return Client().generic(
            method, path, sent, content_type="application/json", headers=self._headers | headers
        )


@pytest.fixture
def program(alice: User) -> Program:
    return Program(bearer(alice))


def test_an_endpoint_is_made_listed_changed_and_deleted(
    program: Program, receiver: Receiver
) -> None:
    body = {"url": receiver.url("200"), "events": ["video.failed", "job.succeeded"]}
    answer = program.ask("POST", LIST, body)
    made = answer.json()
    assert answer.status_code == 201
    secret = made.pop("secret")
    assert made["events"] == ["job.succeeded", "video.failed"]
    assert (made["description"], made["disabled_at"]) == ("", None)
    path = f"{LIST}/{made['id']}"
    assert program.ask("GET", path).json() == made
    assert program.ask("GET", LIST).json() == {"results": [made]}
    changed = program.ask("PATCH", path, {"description": "the shop", "events": ["job.parked"]})
    assert changed.json() == made | {
        "description": "the shop",
        "events": ["job.parked"],
        "updated_at": changed.json()["updated_at"],
    }
    assert program.ask("PATCH", path, {"enabled": False}).json()["disabled_reason"]
    assert program.ask("POST", f"{path}/test", {}).json()["code"] == "not_possible"
    assert program.ask("PATCH", path, {"enabled": True}).json()["disabled_at"] is None
    assert program.ask("DELETE", path).status_code == 204
    assert program.ask("GET", path).status_code == 404
    assert program.ask("GET", LIST).json() == {"results": []}
    assert secret.startswith("whsec_")


def test_a_secret_is_in_the_answer_to_its_making_and_nowhere_else(
    program: Program, receiver: Receiver
) -> None:
    body = {"url": receiver.url("200"), "events": ["job.succeeded"]}
    key = {"Idempotency-Key": "one"}
    first = program.ask("POST", LIST, body, **key).json()
    again = program.ask("POST", LIST, body, **key)
    assert again.json() == first | {"secret": None}
    assert again.headers["Idempotency-Replayed"] == "true"
    assert WebhookEndpoint.objects.count() == 1
    path = f"{LIST}/{first['id']}"
    rotated = program.ask("POST", f"{path}/rotate-secret", {}).json()
    assert rotated["secret"] != first["secret"]
    assert rotated["old_secret_until"] is not None
    at_once = program.ask("POST", f"{path}/rotate-secret", {"keep_old_hours": 0}).json()
    assert at_once["old_secret_until"] is None
    said = program.ask("GET", path).content + program.ask("GET", LIST).content
    for secret in (first["secret"], rotated["secret"], at_once["secret"]):
        assert secret.removeprefix("whsec_").encode() not in said


def test_a_test_is_a_delivery_that_can_be_looked_into_and_sent_again(
    program: Program, hers: WebhookEndpoint, receiver: Receiver
) -> None:
    path = f"{LIST}/{hers.pk}"
    answer = program.ask("POST", f"{path}/test", {"event": "job.parked"})
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    assert send_all() == 1
    (listed,) = program.ask("GET", f"{path}/deliveries").json()["results"]
    assert listed == answer.json() | {
        "state": "delivered",
        "tries": 1,
        "next_at": None,
        "last_status": 200,
        "delivered_at": listed["delivered_at"],
    }
    one = f"{path}/deliveries/{listed['id']}"
    looked = program.ask("GET", one).json()
    (sent,) = receiver.received
    assert looked["body"] == sent.body
    (try_,) = looked["log"]
    assert try_["status"] == 200
    assert try_["request_headers"]["webhook-id"] == listed["id"]
    assert program.ask("POST", f"{one}/send").status_code == 202
    assert send_all() == 1
    assert program.ask("GET", one).json()["tries"] == 2


ROUTES = [
    ("GET", ""),
    ("PATCH", ""),
    ("POST", "/rotate-secret"),
    ("POST", "/test"),
    ("GET", "/deliveries"),
    ("GET", "/deliveries/{delivery}"),
    ("POST", "/deliveries/{delivery}/send"),
    ("DELETE", ""),
]


@pytest.mark.parametrize(("method", "rest"), ROUTES)
@pytest.mark.parametrize("who", ["bob", "olga", "charlie"])
def test_nobody_else_comes_near_an_endpoint_whatever_their_role(
    method: str, rest: str, who: str, hers: WebhookEndpoint, request: pytest.FixtureRequest
) -> None:
    made = outbox.send_sample(hers.pk, Kind.JOB_SUCCEEDED)
    stranger = Program(bearer(request.getfixturevalue(who)))
    foreign = stranger.ask(method, f"{LIST}/{hers.pk}{rest.format(delivery=made.pk)}", {})
    missing = stranger.ask(method, f"{LIST}/{made.pk}{rest.format(delivery=hers.pk)}", {})
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    assert foreign.json() == missing.json()
    assert stranger.ask("GET", LIST).json() == {"results": []}
    assert Delivery.objects.count() == 1
    hers.refresh_from_db()
    assert hers.deleted_at is None


def test_a_delivery_is_found_under_its_own_endpoint_alone(
    program: Program, hers: WebhookEndpoint, alice: User, receiver: Receiver
) -> None:
    other, _ = endpoints.create(alice, url=receiver.url("200"), events=["job.parked"])
    made = outbox.send_sample(hers.pk, Kind.JOB_SUCCEEDED)
    for verb, rest in (("GET", ""), ("POST", "/send")):
        path = f"{LIST}/{other.pk}/deliveries/{made.pk}{rest}"
        assert program.ask(verb, path).status_code == 404


def test_a_token_needs_the_scope(alice: User, hers: WebhookEndpoint) -> None:
    reader = Program(bearer(alice, Scope.JOBS_READ))
    assert reader.ask("GET", f"{LIST}/{hers.pk}").status_code == 200
    for verb, path in (("POST", LIST), ("DELETE", f"{LIST}/{hers.pk}")):
        answer = reader.ask(verb, path, {})
        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    nobody = Client().get(LIST)
    assert (nobody.status_code, nobody.headers["WWW-Authenticate"][:6]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": 5}, "url"),
        ({"url": "https://example.com/\0"}, "url"),
        ({"url": "https://ex\ud800mple.com/"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["job.lost"]}, "events"),
        ({"events": "job.succeeded"}, "events"),
        ({"description": "x" * 201}, "description"),
        ({"description": "\ud800"}, "description"),
    ],
)
def test_a_bad_value_is_a_problem_that_names_its_field(
    change: dict[str, Any], field: str, program: Program, hers: WebhookEndpoint
) -> None:
    good = {"url": hers.url, "events": ["job.succeeded"]}
    for answer in (
        program.ask("POST", LIST, good | change),
        program.ask("PATCH", f"{LIST}/{hers.pk}", change),
    ):
        assert answer.status_code == 400, answer.content
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert list(answer.json()["fields"]) == [field]
    assert WebhookEndpoint.objects.count() == 1


def test_the_twenty_first_is_refused_by_its_code(
    program: Program, alice: User, receiver: Receiver
) -> None:
    body = {"url": receiver.url("200"), "events": ["job.succeeded"]}
    for _ in range(endpoints.MOST):
        endpoints.create(alice, **body)  # type: ignore[arg-type]
    answer = program.ask("POST", LIST, body)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")
    assert len(program.ask("GET", LIST).json()["results"]) == endpoints.MOST


def test_lists_cost_the_same_queries_however_long_and_are_paged_without_gaps(
    program: Program,
    hers: WebhookEndpoint,
    alice: User,
    receiver: Receiver,
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    for _ in range(7):
        outbox.send_sample(hers.pk, Kind.JOB_SUCCEEDED)
        send_all()
        endpoints.create(alice, url=receiver.url("200"), events=["job.parked"])
    with django_assert_max_num_queries(4):
        assert len(program.ask("GET", LIST).json()["results"]) == 8
    with django_assert_max_num_queries(4):
        path = f"{LIST}/{hers.pk}/deliveries"
        assert len(program.ask("GET", path).json()["results"]) == 7
    seen: list[str] = []
    url: str | None = f"{path}?limit=3"
    while url:
        page = program.ask("GET", url).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
    wanted = Delivery.objects.order_by("-created_at", "-id").values_list("pk", flat=True)
    assert seen == [str(each) for each in wanted]


# --- /v1 ---


class _Site(httpx2.BaseTransport):
    """The SDK's requests, answered by the site in this process."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        target = request.url.raw_path.decode()
        answer = Client().generic(
            request.method,
            target,
            request.read(),
            content_type=request.headers.get("content-type", "application/json"),
            headers={
                name: value for name, value in request.headers.items() if name != "content-type"
            },
        )
        return httpx2.Response(
            answer.status_code, headers=dict(answer.headers), content=answer.content
        )


@pytest.fixture
def sdk(alice: User) -> Iterator[OpenAI]:
    token = bearer(alice)["Authorization"].removeprefix("Bearer ")
    http = httpx2.Client(transport=_Site())
    with OpenAI(
        api_key=token, base_url="http://testserver/v1", http_client=http, max_retries=0
    ) as client:
        yield client


def test_the_sdk_manages_endpoints(sdk: OpenAI, receiver: Receiver) -> None:
    url = receiver.url("200")
    made = sdk.webhooks.create(name="shop", url=url, event_types=["video.completed"])
    assert (made.object, made.name, made.url) == ("webhook_endpoint", "shop", url)
    assert made.signing_secret.startswith("whsec_")
    others = [
        sdk.webhooks.create(name=str(number), url=url, event_types=["video.failed"]).id
        for number in range(4)
    ]
    ids = [each.id for each in sdk.webhooks.list(limit=2)]
    assert ids == [*others[::-1], made.id]
    got = sdk.webhooks.retrieve(made.id)
    assert got.signing_secret_hint == f"whsec_…{made.signing_secret.rstrip('=')[-4:]}"
    assert "signing_secret" not in (got.model_extra or {})
    changed = sdk.webhooks.update(made.id, name="the shop", event_types=["video.failed"])
    assert (changed.name, changed.event_types, changed.url) == ("the shop", ["video.failed"], url)
    rotated = sdk.webhooks.rotate_secret(made.id)
    assert rotated.signing_secret != made.signing_secret
    assert WebhookEndpoint.objects.get(description="the shop").old_secret == ""
    sdk.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    assert WebhookEndpoint.objects.get(description="the shop").old_secret != ""
    gone = sdk.webhooks.delete(made.id)
    assert (gone.deleted, gone.object) == (True, "webhook_endpoint.deleted")
    assert "video.completed" in sdk.webhooks.event_types.list().data
    with pytest.raises(openai.NotFoundError):
        sdk.webhooks.retrieve(made.id)


def test_the_sdks_test_waits_for_the_answer_and_unwraps_what_was_sent(
    sdk: OpenAI, receiver: Receiver
) -> None:
    receiver.answers["shop"] = 202
    made = sdk.webhooks.create(
        name="shop", url=receiver.url("shop"), event_types=["video.completed"]
    )
    lanes = Sender()
    lanes.start()
    waker = threading.Timer(0.5, lanes.wake)
    waker.start()
    try:
        result = sdk.webhooks.test(made.id, event_type="video.completed")
        assert (result.status_code, result.success) == (202, True)
        (got,) = receiver.received
        event = sdk.webhooks.unwrap(got.body, got.headers, secret=made.signing_secret)
        assert (event.type, event.object) == ("video.completed", "event")
        Webhook(made.signing_secret).verify(got.body, got.headers)
        sdk.webhooks.update(made.id, url=receiver.url("hang"))
        receiver.release.set()  # it hangs up at once
        threading.Timer(0.5, lanes.wake).start()
        with pytest.raises(openai.BadRequestError, match="not delivered"):
            sdk.webhooks.test(made.id, event_type="video.completed")
    finally:
        lanes.stop()
        lanes.join(10)


def test_what_the_sdk_asks_for_wrongly_names_the_field_in_its_own_words(
    sdk: OpenAI, receiver: Receiver, hers: WebhookEndpoint, bob: User
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.webhooks.create(name="x", url="https://10.0.0.1/", event_types=["video.failed"])
    assert (refused.value.param, refused.value.code) == ("url", "bad_request")
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.webhooks.create(name="x", url=receiver.url("200"), event_types=["batch.failed"])
    assert refused.value.param == "event_types"
    assert "video.completed" in str(refused.value)
    for name in ("wh_", "wh_nothing", f"wh_{bob.pk:032x}", str(hers.pk), "x" * 300):
        with pytest.raises(openai.NotFoundError):
            sdk.webhooks.retrieve(name)
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.webhooks.create(
            name="x",
            url=receiver.url("200"),
            event_types=["video.failed"],
            extra_headers={"Idempotency-Key": "x" * 256},
        )
    assert refused.value.param == "Idempotency-Key"
    with pytest.raises(openai.BadRequestError):
        list(sdk.webhooks.list(after="wh_nothing"))
    with pytest.raises(openai.BadRequestError):
        sdk.webhooks.list(limit=101)


def test_a_cookie_opens_nothing_under_v1(alice: User, client: Client) -> None:
    client.force_login(alice)
    answer = client.get("/v1/webhook_endpoints")
    assert answer.status_code == 401
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
