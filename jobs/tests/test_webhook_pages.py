"""The pages of webhooks: what they show, what they do, and to whom."""

import html
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from jobs import actions
from jobs.models import Job
from jobs.tests.receiver import Receiver
from jobs.tests.test_webhooks import come_due, send_all
from jobs.webhooks import endpoints, outbox
from jobs.webhooks.models import Delivery, WebhookEndpoint
from jobs.webhooks.shapes import Kind

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/settings/webhooks"


@pytest.fixture
def hers(alice: User, receiver: Receiver) -> WebhookEndpoint:
    return endpoints.create(alice, url=receiver.url("500"), events=["job.succeeded"])[0]


@pytest.fixture
def browser(alice: User, client: Client) -> Client:
    client.force_login(alice)
    return client


def form(url: str, **changed: Any) -> dict[str, Any]:
    made = {"made": str(uuid.uuid4()), "url": url, "description": "the shop"}
    return made | {"events": ["job.succeeded", "video.failed"]} | changed


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def secrets_in(answer: Any) -> list[str]:
    return re.findall(r"whsec_[A-Za-z0-9+/=]{20,}", answer.content.decode())


def test_a_webhook_is_made_and_its_secret_is_shown_once(
    browser: Client, receiver: Receiver
) -> None:
    wanted = form(receiver.url("200"))
    answer = browser.post(LIST, wanted)
    assert answer.status_code == 201
    assert len(secrets_in(answer)) == 1
    assert "no-store" in answer.headers["Cache-Control"]
    row = WebhookEndpoint.objects.get()
    assert (row.description, row.events) == ("the shop", ["job.succeeded", "video.failed"])
    for path in (LIST, f"{LIST}/{row.pk}"):
        shown = browser.get(path)
        assert receiver.url("200") in text(shown)
        assert secrets_in(shown) == []
    # The button pressed twice, or the page sent again: no second one, and no secret.
    again = browser.post(LIST, wanted, follow=True)
    assert "It is made already" in text(again)
    assert secrets_in(again) == []
    assert WebhookEndpoint.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"url": "https://127.0.0.1/"}, "url", "no public address"),
        ({"url": "http://example.com/"}, "url", "Only https."),
        ({"url": ""}, "url", "required"),
        ({"events": []}, "events", "Choose at least one."),
        ({"events": ["job.lost"]}, "events", "not one of the available choices"),
        ({"description": "x" * 201}, "description", "at most 200"),
    ],
)
def test_a_bad_value_gets_its_own_message_and_changes_nothing(
    change: dict[str, Any],
    field: str,
    words: str,
    browser: Client,
    hers: WebhookEndpoint,
) -> None:
    for path in (LIST, f"{LIST}/{hers.pk}"):
        answer = browser.post(path, form(hers.url) | change)
        assert answer.status_code == 400
        assert list(answer.context["form"].errors) == [field]
        assert words in text(answer)
        assert f'id="{field}-error"' in answer.content.decode()
    assert WebhookEndpoint.objects.get().url == hers.url


def test_settings_are_changed_and_the_secret_replaced_once_for_two_presses(
    browser: Client, hers: WebhookEndpoint, receiver: Receiver
) -> None:
    path = f"{LIST}/{hers.pk}"
    answer = browser.post(path, form(receiver.url("202"), events=["job.parked"]), follow=True)
    assert "Saved." in text(answer)
    hers.refresh_from_db()
    assert (hers.url, hers.events) == (receiver.url("202"), ["job.parked"])
    press = {"instead_of": hers.secret_hint}
    fresh = browser.post(f"{path}/rotate", press)
    assert len(secrets_in(fresh)) == 1
    assert "no-store" in fresh.headers["Cache-Control"]
    again = browser.post(f"{path}/rotate", press, follow=True)
    assert "replaced already" in text(again)
    assert secrets_in(again) == []
    assert "with the one before as well" in text(again)


def test_a_test_is_sent_and_its_answer_shown_and_sent_again(
    browser: Client, hers: WebhookEndpoint, receiver: Receiver
) -> None:
    path = f"{LIST}/{hers.pk}"
    assert "Nothing was sent yet" in text(browser.get(path))
    answer = browser.post(f"{path}/test", {"event": "job.parked"}, follow=True)
    assert "on its way" in text(answer)
    assert "A test is on its way; wait" in text(browser.post(f"{path}/test", follow=True))
    send_all()
    row = Delivery.objects.get()
    shown = browser.get(path, {"delivery": str(row.pk)})
    page = text(shown)
    for words in (
        "Given up",
        "Answered 500.",
        "Try 1: 500",
        f"webhook-id: {row.pk}",
        "this is 500",
    ):
        assert words in page, words
    assert row.body in shown.content.decode().replace("&quot;", '"')
    assert "webhook-signature: v1," in page
    receiver.answers["500"] = 200
    answer = browser.post(f"{path}/deliveries/{row.pk}/send")
    assert answer["Location"] == f"{path}?delivery={row.pk}#delivery"
    send_all()
    assert "Delivered" in text(browser.get(path, {"delivery": str(row.pk)}))


def test_what_a_receiver_answers_is_shown_and_not_believed(
    browser: Client, hers: WebhookEndpoint
) -> None:
    row = outbox.send_sample(hers.pk, Kind.JOB_SUCCEEDED)
    send_all()
    row.log.update(excerpt="<script>alert(1)</script>", error="<b>broken</b>")
    Delivery.objects.update(last_error="<b>broken</b>")
    page = browser.get(f"{LIST}/{hers.pk}", {"delivery": str(row.pk)}).content.decode()
    assert "<script>alert(1)" not in page
    assert "<b>broken" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_failing_and_a_disabled_one_say_so_and_can_be_enabled(
    browser: Client, hers: WebhookEndpoint, receiver: Receiver
) -> None:
    path = f"{LIST}/{hers.pk}"
    outbox.send_sample(hers.pk, Kind.JOB_SUCCEEDED)
    send_all()
    assert "Every try has failed since" in text(browser.get(path))
    assert "Failing" in text(browser.get(LIST))
    receiver.answers["500"] = 410
    outbox.send_sample(hers.pk, Kind.JOB_SUCCEEDED)
    send_all()
    assert "410 Gone" in text(browser.get(path))
    assert "Disabled" in text(browser.get(LIST))
    browser.post(f"{path}/switch", {"enable": ""})
    hers.refresh_from_db()
    assert hers.disabled_at is None
    said = browser.post(f"{path}/switch", {"disable": ""}, follow=True).content.decode()
    undo = re.search(r'action="([^"]+/switch\?[^"]+)"', said)  # in its toast
    assert undo is not None
    browser.post(undo[1])
    hers.refresh_from_db()
    assert hers.disabled_at is None
    browser.post(f"{path}/switch", {"disable": ""})
    assert endpoints.BY_OWNER in text(browser.get(path))
    assert "Enable it first" in text(browser.post(f"{path}/test", follow=True)).replace(
        "enable it", "Enable it"
    )


def test_one_is_deleted_after_a_question_and_is_gone(
    browser: Client, hers: WebhookEndpoint
) -> None:
    path = f"{LIST}/{hers.pk}"
    asks = r'<details class="confirm"[^>]*><summary class="button">Delete'
    assert re.search(asks, browser.get(path).content.decode())
    answer = browser.post(f"{path}/delete", follow=True)
    assert "is deleted" in text(answer)
    assert browser.get(path).status_code == 404
    assert "None yet" in text(browser.get(LIST))


ROUTES = {
    "": ("GET", 200, 404),
    "/rotate": ("POST", 302, 404),
    "/test": ("POST", 302, 404),
    "/switch": ("POST", 302, 404),
    "/delete": ("POST", 302, 404),
    "/deliveries/{delivery}/send": ("POST", 302, 404),
}


@pytest.mark.parametrize("who", ["alice", "bob", "olga", "charlie", "nobody"])
@pytest.mark.parametrize("rest", ROUTES)
def test_pages_are_their_owners_alone(
    rest: str, who: str, hers: WebhookEndpoint, client: Client, request: pytest.FixtureRequest
) -> None:
    made = outbox.send_sample(hers.pk, Kind.JOB_SUCCEEDED)
    if who != "nobody":
        client.force_login(request.getfixturevalue(who))
    method, owner, other = ROUTES[rest]
    path = f"{LIST}/{hers.pk}{rest.format(delivery=made.pk)}"
    answer = client.generic(method, path)
    if who == "nobody":
        assert (answer.status_code, answer["Location"].partition("?")[0]) == (
            302,
            "/accounts/login/",
        )
    else:
        assert answer.status_code == (owner if who == "alice" else other)
    if method == "POST" and who != "nobody":
        assert client.get(path).status_code == 405


def test_the_log_costs_the_same_queries_however_long_and_is_paged(
    browser: Client,
    alice: User,
    submit: Callable[..., Job],
    receiver: Receiver,
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    endpoint, _ = endpoints.create(alice, url=receiver.url("200"), events=["job.cancelled"])
    for _ in range(25):
        actions.cancel(submit().pk)
    path = f"{LIST}/{endpoint.pk}"
    with django_assert_max_num_queries(7):
        first = browser.get(path).content.decode()
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    Delivery.objects.filter(pk=shown_in(first)[0]).delete()  # what goes moves nobody's place
    second = browser.get(path + html.unescape(older[1])).content.decode()
    assert (len(shown_in(first)), len(shown_in(second))) == (20, 5)
    assert not set(shown_in(first)) & set(shown_in(second))
    newer = re.search(r'rel="prev" href="([^"]+)"', second)
    assert newer is not None
    assert (
        shown_in(browser.get(path + html.unescape(newer[1])).content.decode())
        == shown_in(first)[1:]
    )
    assert len(shown_in(browser.get(path, {"cursor": "nonsense"}).content.decode())) == 20
    come_due()
    assert send_all() == 24


def shown_in(page: str) -> list[str]:
    """Ids of the deliveries, as they come."""
    return re.findall(r'class="button" href="\?delivery=([\w-]+)', page)


def test_the_log_is_narrowed_to_what_came_of_it(
    browser: Client, hers: WebhookEndpoint, receiver: Receiver
) -> None:
    path = f"{LIST}/{hers.pk}"
    failed = outbox.send_sample(hers.pk, Kind.JOB_SUCCEEDED)
    send_all()
    receiver.answers["500"] = 200
    good = outbox.send_sample(hers.pk, Kind.JOB_PARKED)
    send_all()
    waits = outbox.send_sample(hers.pk, Kind.JOB_FAILED)
    for result, found in (
        ("failed", failed),
        ("delivered", good),
        ("waiting", waits),
    ):
        page = browser.get(path, {"result": result}).content.decode()
        assert shown_in(page) == [str(found.pk)], result
        assert f"&amp;result={result}#delivery" in page  # a look keeps the filter
    assert len(shown_in(browser.get(path, {"result": "odd"}).content.decode())) == 3
    Delivery.objects.all().delete()
    assert "None of these" in text(browser.get(path, {"result": "failed"}))
