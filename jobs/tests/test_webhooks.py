"""What is written for whom when a job ends, and what becomes of it."""

import json
import re
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from openai import OpenAI
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from accounts.models import User
from conftest import video_of
from jobs import actions, stream
from jobs.actions import Claim
from jobs.errors import BadFields, NotFound, NotPossible, TooManyWebhooks
from jobs.lifecycle import FINAL, State
from jobs.models import Job
from jobs.tests.receiver import Receiver
from jobs.webhooks import deliveries, endpoints, outbox, secrets, sender, sending
from jobs.webhooks.models import Delivery, DeliveryState, DeliveryTry, WebhookEndpoint
from jobs.webhooks.outbox import DELAYS
from jobs.webhooks.sender import Sender
from jobs.webhooks.shapes import Kind

pytestmark = pytest.mark.django_db(transaction=True)
EVERY = [kind.value for kind in Kind]
Made = tuple[WebhookEndpoint, str]


@pytest.fixture
def endpoint(alice: User, receiver: Receiver) -> WebhookEndpoint:
    """alice's, which takes everything and answers 200."""
    return endpoints.create(alice, url=receiver.url("200"), events=EVERY)[0]


@pytest.fixture
def one(alice: User, receiver: Receiver) -> Callable[..., WebhookEndpoint]:
    """Another of alice's, that wants only job.succeeded unless told otherwise."""

    def _one(path: str = "200", owner: User = alice, **wanted: Any) -> WebhookEndpoint:
        chosen = {"events": ["job.succeeded"], **wanted}
        return endpoints.create(owner, url=receiver.url(path), **chosen)[0]

    return _one


def delivery(endpoint: WebhookEndpoint, **columns: Any) -> Delivery:
    """One that waits to be sent."""
    made = outbox.send_sample(endpoint.pk, Kind.JOB_SUCCEEDED)
    Delivery.objects.filter(pk=made.pk).update(
        **{"test": False, "most_tries": len(DELAYS), **columns}
    )
    return Delivery.objects.get(pk=made.pk)


def send_all() -> int:
    lanes = Sender()
    return sum(1 for _ in iter(lanes.send_one, False))


def come_due() -> None:
    """As if the time until the next try had passed."""
    Delivery.objects.filter(state=DeliveryState.PENDING).update(next_at=Now())


def end(state: State, job: Job, claim: Callable[..., Claim]) -> None:
    if state is State.CANCELLED:
        actions.cancel(job.pk)
    elif state is State.EXPIRED:
        Job.objects.filter(pk=job.pk).update(deadline="2020-01-01T00:00Z")
        assert actions.expire() == 1
    elif state is State.SUCCEEDED:
        held = claim()
        actions.succeed(held, [video_of(held)])
    else:
        Job.objects.filter(pk=job.pk).update(max_attempts=1)
        permanent = state is State.FAILED
        actions.fail(claim(), code="broke", message="It broke.", permanent=permanent)


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        (State.SUCCEEDED, {"job.succeeded", "video.completed"}),
        (State.FAILED, {"job.failed", "video.failed"}),
        (State.EXPIRED, {"job.failed", "video.failed"}),
        (State.CANCELLED, {"job.cancelled", "video.failed"}),
        (State.PARKED, {"job.parked", "video.failed"}),
    ],
)
def test_each_end_of_a_job_is_told_once_in_each_shape_that_is_wanted(
    state: State,
    kinds: set[str],
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    endpoint: WebhookEndpoint,
) -> None:
    job = submit()
    end(state, job, claim)
    rows = {row.kind: row for row in Delivery.objects.all()}
    assert (set(rows), len(rows)) == (kinds, Delivery.objects.count())
    job.refresh_from_db()
    assert job.finished_at is not None
    for kind, row in rows.items():
        told = json.loads(row.body)
        assert (row.state, row.job_id, told["type"]) == ("pending", job.pk, kind)
        if kind.startswith("job."):
            code = {"failed": "broke", "parked": "broke", "expired": "expired"}.get(state, "")
            finished = job.finished_at.isoformat()
            urls = told["data"].pop("urls")
            assert told == {
                "type": kind,
                "timestamp": finished,
                "data": {
                    "id": str(job.pk),
                    "state": state.value,
                    "finished_at": finished,
                    "error_code": code,
                },
            }
            assert urls["job"].endswith(f"/api/v1/jobs/{job.pk}")
            assert set(urls) == {"job", "artifacts", "page"}
        else:
            assert told == {
                "id": f"evt_{row.pk.hex}",
                "object": "event",
                "created_at": int(job.finished_at.timestamp()),
                "type": kind,
                "data": {"id": f"video_{job.pk.hex}"},
            }
    assert {state} <= FINAL


def test_a_move_that_is_no_end_tells_nothing(
    submit: Callable[..., Job], claim: Callable[..., Claim], endpoint: WebhookEndpoint
) -> None:
    submit()
    actions.fail(claim(), code="broke", message="It broke.", permanent=False)
    assert Job.objects.get().state == State.QUEUED
    assert not Delivery.objects.exists()


def test_only_the_owners_endpoints_that_want_it_and_are_enabled_are_told(
    one: Callable[..., WebhookEndpoint],
    bob: User,
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
) -> None:
    wanted = one()
    one(events=["job.failed"])
    one(owner=bob)
    endpoints.disable(one().pk)
    endpoints.delete(one().pk)
    end(State.SUCCEEDED, submit(), claim)
    assert [row.endpoint_id for row in Delivery.objects.all()] == [wanted.pk]


def test_an_end_that_is_rolled_back_is_told_to_nobody(
    submit: Callable[..., Job], endpoint: WebhookEndpoint
) -> None:
    job = submit()
    with transaction.atomic():
        actions.cancel(job.pk)
        assert Delivery.objects.count() == 2
        transaction.set_rollback(True)
    assert not Delivery.objects.exists()


def test_an_end_costs_one_query_more_where_nobody_listens_and_two_where_somebody_does(
    submit: Callable[..., Job],
    one: Callable[..., WebhookEndpoint],
    django_assert_num_queries: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job, other, last = submit(), submit(), submit()
    with monkeypatch.context() as without:
        without.setattr("jobs.moves.outbox.tell", lambda _: None)
        with django_assert_num_queries(100, exact=False) as before:
            actions.cancel(last.pk)
    with django_assert_num_queries(len(before) + 1):
        actions.cancel(job.pk)
    for _ in range(3):
        one(events=EVERY)
    with django_assert_num_queries(len(before) + 2):
        actions.cancel(other.pk)
    assert Delivery.objects.count() == 6


def test_a_delivery_is_knocked_for_after_its_commit(
    submit: Callable[..., Job], endpoint: WebhookEndpoint, empty_redis: Any
) -> None:
    job = submit()
    with transaction.atomic():
        actions.cancel(job.pk)
        assert stream.deliveries_waiting() == 0
    from_now = time.monotonic() + 60  # seconds, for a thread of this process and for Redis
    while stream.deliveries_waiting() == 0:
        assert time.monotonic() < from_now


def test_a_delivery_is_signed_so_that_the_standard_library_and_the_sdk_verify_it(
    alice: User, receiver: Receiver, submit: Callable[..., Job]
) -> None:
    _, secret = endpoints.create(
        alice, url=receiver.url("200"), events=["job.cancelled", "video.failed"]
    )
    job = submit()
    actions.cancel(job.pk)
    assert send_all() == 2
    by_kind = {json.loads(got.body)["type"]: got for got in receiver.wait_for(2)}
    got = by_kind["job.cancelled"]
    assert Webhook(secret).verify(got.body, got.headers)["data"]["id"] == str(job.pk)
    got = by_kind["video.failed"]
    client = OpenAI(api_key="none", webhook_secret=secret)
    event = client.webhooks.unwrap(got.body, got.headers)
    assert (event.type, event.data.id) == ("video.failed", f"video_{job.pk.hex}")  # type: ignore[union-attr]
    ids = set(Delivery.objects.values_list("pk", flat=True))
    assert {got.headers["webhook-id"] for got in by_kind.values()} == {str(each) for each in ids}
    with pytest.raises(Exception, match="signature"):
        client.webhooks.unwrap(got.body + " ", got.headers)


def test_after_a_rotation_both_secrets_sign_for_a_day_and_then_the_new_one_alone(
    alice: User, receiver: Receiver
) -> None:
    endpoint, first = endpoints.create(alice, url=receiver.url("200"), events=EVERY)
    _, second = endpoints.rotate_secret(endpoint.pk)
    delivery(endpoint)
    assert send_all() == 1
    (got,) = receiver.wait_for(1)
    assert len(got.headers["webhook-signature"].split()) == 2
    Webhook(first).verify(got.body, got.headers)
    Webhook(second).verify(got.body, got.headers)
    WebhookEndpoint.objects.update(old_secret_until=Now())
    delivery(endpoint)
    assert send_all() == 1
    got = receiver.wait_for(2)[1]
    Webhook(second).verify(got.body, got.headers)
    assert len(got.headers["webhook-signature"].split()) == 1
    deliveries.purge()
    assert WebhookEndpoint.objects.get().old_secret == ""
    _, third = endpoints.rotate_secret(endpoint.pk, keep_old_hours=0)
    assert WebhookEndpoint.objects.get().old_secret == ""
    assert len({first, second, third}) == 3


def test_the_database_alone_tells_nobody_a_secret(
    alice: User, receiver: Receiver, settings: Any
) -> None:
    endpoint, secret = endpoints.create(alice, url=receiver.url("200"), events=EVERY)
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(e)::text FROM jobs_webhookendpoint AS e")
        assert secret.removeprefix("whsec_") not in cursor.fetchone()[0]
    assert secrets.unseal(endpoint.secret) == secret
    assert endpoint.secret_hint == f"whsec_…{secret.rstrip('=')[-4:]}"
    # Another key cannot read it: the endpoint says so instead of sending what nobody can check.
    settings.SECRET_KEY = "another key of at least fifty characters, for the tests"
    delivery(endpoint)
    assert send_all() == 1
    assert receiver.received == []
    endpoint.refresh_from_db()
    assert endpoint.disabled_reason == deliveries.UNREADABLE
    endpoints.rotate_secret(endpoint.pk)
    endpoints.enable(endpoint.pk)
    come_due()
    assert send_all() == 1
    assert len(receiver.received) == 1


def test_a_receiver_that_fails_is_tried_again_on_the_standard_schedule_under_the_same_id(
    one: Callable[..., WebhookEndpoint], receiver: Receiver
) -> None:
    row = delivery(one("500"))
    waits = []
    for number in range(1, len(DELAYS) + 1):
        assert send_all() == 1
        row.refresh_from_db()
        assert (row.tries, row.last_status, row.last_error) == (number, 500, "answered 500")
        if row.next_at is not None:
            waits.append((row.next_at - row.log.get(number=number).at).total_seconds())
            Delivery.objects.update(next_at=F("next_at") + timedelta(minutes=1))  # surely not yet
            assert send_all() == 0
        come_due()
    assert row.state == DeliveryState.EXHAUSTED
    assert send_all() == 0
    for wait, delay in zip(waits, DELAYS[1:], strict=True):
        assert 0.8 * delay <= wait <= 1.2 * delay + 20  # written a moment after its try
    assert {got.headers["webhook-id"] for got in receiver.received} == {str(row.pk)}
    assert {got.body for got in receiver.received} == {row.body}
    log = list(row.log.order_by("number"))
    assert [each.number for each in log] == list(range(1, len(DELAYS) + 1))
    assert (log[0].excerpt, log[0].status) == ("this is 500\ufffd", 500)
    assert log[0].request_headers["webhook-id"] == str(row.pk)


def test_a_receiver_that_comes_back_gets_what_it_missed(
    one: Callable[..., WebhookEndpoint], receiver: Receiver
) -> None:
    endpoint = one("shop")
    receiver.answers["shop"] = 503
    row = delivery(endpoint)
    send_all()
    endpoint.refresh_from_db()
    assert (endpoint.slow, endpoint.failing_since is not None) == (True, True)
    receiver.answers["shop"] = 204
    come_due()
    assert send_all() == 1
    row.refresh_from_db()
    endpoint.refresh_from_db()
    assert (row.state, row.tries, row.next_at) == ("delivered", 2, None)
    assert row.delivered_at is not None
    assert (endpoint.slow, endpoint.failing_since) == (False, None)


def test_a_receiver_that_is_gone_is_disabled_and_says_why(
    one: Callable[..., WebhookEndpoint], receiver: Receiver, submit: Callable[..., Job]
) -> None:
    endpoint = one("410", events=["job.cancelled"])
    delivery(endpoint)
    send_all()
    endpoint.refresh_from_db()
    assert endpoint.disabled_at is not None
    assert endpoint.disabled_reason == deliveries.GONE
    come_due()
    assert send_all() == 0
    actions.cancel(submit().pk)
    assert Delivery.objects.count() == 1


def test_an_endpoint_that_failed_for_five_days_is_disabled_and_not_a_moment_before(
    one: Callable[..., WebhookEndpoint], receiver: Receiver
) -> None:
    endpoint = one("500")
    delivery(endpoint)
    send_all()
    for age, disabled in ((timedelta(days=4, hours=23), False), (timedelta(days=5), True)):
        WebhookEndpoint.objects.update(failing_since=Now() - age)
        come_due()
        send_all()
        endpoint.refresh_from_db()
        assert (endpoint.disabled_at is not None) is disabled
    assert endpoint.disabled_reason == deliveries.FAILING
    # Enabled again, it begins anew, and what waited goes out.
    receiver.answers["500"] = 200
    endpoints.enable(endpoint.pk)
    come_due()
    assert send_all() == 1


def test_what_is_refused_is_written_into_the_log_and_nothing_is_sent(
    one: Callable[..., WebhookEndpoint], receiver: Receiver, settings: Any
) -> None:
    """Allowed when it was saved, and not any more."""
    row = delivery(one())
    settings.T2V_WEBHOOK_PRIVATE_HOSTS = frozenset()
    send_all()
    row.refresh_from_db()
    assert (row.last_status, row.last_error) == (None, "not allowed: Only https.")
    assert receiver.received == []


def test_a_lost_lease_is_sent_again_under_the_same_id_and_the_late_one_counts_for_nothing(
    one: Callable[..., WebhookEndpoint], receiver: Receiver
) -> None:
    row = delivery(one())
    late = deliveries.claim()
    assert late is not None
    assert deliveries.claim() is None  # its lease
    WebhookEndpoint.objects.update(busy_until=Now() - timedelta(seconds=1))
    assert send_all() == 1
    sender.send(late)
    assert {got.headers["webhook-id"] for got in receiver.wait_for(2)} == {str(row.pk)}
    row.refresh_from_db()
    assert (row.tries, row.state) == (1, "delivered")
    assert DeliveryTry.objects.count() == 1


def test_many_claims_at_once_take_each_delivery_once(
    one: Callable[..., WebhookEndpoint],
) -> None:
    for _ in range(12):
        delivery(one())
    start = Barrier(6)

    def take(_: int) -> list[Any]:
        start.wait(60)
        try:
            return [claimed.delivery for claimed in iter(deliveries.claim, None)]
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        taken = [each for part in threads.map(take, range(6)) for each in part]
    # Skipped rows are found by the next look.
    taken += [claimed.delivery for claimed in iter(deliveries.claim, None)]
    assert sorted(taken) == sorted(Delivery.objects.values_list("pk", flat=True))


def test_endpoints_take_turns_however_long_the_backlog_of_one_is(
    one: Callable[..., WebhookEndpoint], submit: Callable[..., Job], receiver: Receiver
) -> None:
    busy = one("busy")
    for _ in range(20):
        delivery(busy)
    quiet = delivery(one("quiet"))
    lanes = Sender()
    for _ in range(2):
        assert lanes.send_one()
    assert [got.path for got in receiver.received] == ["/busy", "/quiet"]
    quiet.refresh_from_db()
    assert quiet.state == DeliveryState.DELIVERED


def test_receivers_that_hang_hold_up_nobody_else(
    one: Callable[..., WebhookEndpoint], bob: User, charlie: User, receiver: Receiver
) -> None:
    """alice has six that hang; of four lanes they get two, and bob's are answered meanwhile."""
    for _ in range(6):
        delivery(one("hang"))
    for _ in range(5):
        delivery(one("fine", owner=bob))
    lanes = Sender()
    lanes.start()
    try:
        receiver.wait_for(5, path="fine")
        assert len(receiver.wait_for(2, path="hang")) == 2
    finally:
        lanes.stop()
        receiver.release.set()
        lanes.join(10)


def test_what_failed_last_time_shares_half_of_the_lanes(
    one: Callable[..., WebhookEndpoint], bob: User, charlie: User, receiver: Receiver
) -> None:
    for owner in (bob, charlie):
        for _ in range(2):
            delivery(one("hang", owner=owner))
    WebhookEndpoint.objects.update(slow=True)
    fine = [delivery(one("fine")) for _ in range(3)]
    lanes = Sender()
    lanes.start()
    try:
        receiver.wait_for(len(fine), path="fine")
        assert len(receiver.wait_for(2, path="hang")) == 2
    finally:
        lanes.stop()
        receiver.release.set()
        lanes.join(10)


def test_a_test_is_sent_once_and_only_one_at_a_time(
    one: Callable[..., WebhookEndpoint], receiver: Receiver
) -> None:
    endpoint = one("500")
    row = outbox.send_sample(endpoint.pk, Kind.JOB_PARKED)
    with pytest.raises(NotPossible):
        outbox.send_sample(endpoint.pk, Kind.JOB_PARKED)
    assert send_all() == 1
    row.refresh_from_db()
    assert (row.state, row.tries) == ("exhausted", 1)
    told = json.loads(receiver.received[0].body)
    assert (told["type"], told["test"], told["data"]["state"]) == ("job.parked", True, "parked")
    outbox.send_sample(endpoint.pk, Kind.VIDEO_COMPLETED)


def test_what_is_sent_again_goes_out_at_once_and_once(
    one: Callable[..., WebhookEndpoint], receiver: Receiver
) -> None:
    endpoint = one("shop")
    row = delivery(endpoint)
    send_all()
    for status in (200, 500):
        receiver.answers["shop"] = status
        outbox.send_again(endpoint.pk, row.pk)
        assert send_all() == 1
        row.refresh_from_db()
        assert (row.state, row.next_at, row.last_status) == ("delivered", None, status)
    assert (row.tries, row.log.count()) == (3, 3)
    assert {got.headers["webhook-id"] for got in receiver.received} == {str(row.pk)}
    # One that waits is only brought forward: its schedule stays.
    waiting = delivery(endpoint)
    send_all()
    assert outbox.send_again(endpoint.pk, waiting.pk).most_tries == len(DELAYS)
    with pytest.raises(NotFound):
        outbox.send_again(one().pk, row.pk)
    Delivery.objects.filter(pk=row.pk).update(tries=outbox.MOST_TRIES)
    with pytest.raises(NotPossible):
        outbox.send_again(endpoint.pk, row.pk)


def test_nothing_is_sent_for_somebody_whose_account_was_closed(
    one: Callable[..., WebhookEndpoint], alice: User
) -> None:
    delivery(one())
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert not deliveries.any_due()
    assert send_all() == 0


def test_what_is_older_than_thirty_days_or_of_a_deleted_endpoint_is_forgotten_in_batches(
    one: Callable[..., WebhookEndpoint],
) -> None:
    endpoint, deleted = one(), one()
    kept = delivery(endpoint)
    for age in (31, 32, 33):
        delivery(endpoint, created_at=Now() - timedelta(days=age))
    send_all()
    delivery(deleted)
    endpoints.delete(deleted.pk)
    assert send_all() == 0
    assert deliveries.purge(at_most=2) == 3
    assert deliveries.purge(at_most=2) == 1
    assert deliveries.purge(at_most=2) == 0
    assert list(Delivery.objects.all()) == [kept]
    assert DeliveryTry.objects.count() == 1
    assert WebhookEndpoint.objects.count() == 2
    WebhookEndpoint.objects.filter(pk=deleted.pk).update(deleted_at=Now() - timedelta(hours=2))
    deliveries.purge()
    assert list(WebhookEndpoint.objects.all()) == [endpoint]


def test_a_person_has_at_most_twenty_also_when_they_are_made_at_once(
    alice: User, bob: User, receiver: Receiver
) -> None:
    start = Barrier(8)

    def make(_: int) -> int:
        start.wait(60)
        made = 0
        try:
            while True:
                endpoints.create(alice, url=receiver.url("200"), events=EVERY)
                made += 1
        except TooManyWebhooks:
            return made
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(make, range(8))) == endpoints.MOST
    endpoints.create(bob, url=receiver.url("200"), events=EVERY)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": ""}, "url"),
        ({"events": []}, "events"),
        ({"events": ["job.succeeded", "job.lost"]}, "events"),
        ({"description": "x" * 201}, "description"),
    ],
)
def test_a_bad_value_names_its_field_when_an_endpoint_is_made_and_when_it_is_changed(
    change: dict[str, Any], field: str, alice: User, endpoint: WebhookEndpoint
) -> None:
    with pytest.raises(BadFields) as refused:
        endpoints.create(alice, **{"url": endpoint.url, "events": EVERY, **change})
    assert list(refused.value.fields) == [field]
    with pytest.raises(BadFields) as refused:
        endpoints.change(endpoint.pk, **change)
    assert list(refused.value.fields) == [field]
    assert WebhookEndpoint.objects.get() == endpoint


def test_a_bug_of_ours_counts_as_a_try_and_does_not_come_again_for_ever(
    one: Callable[..., WebhookEndpoint],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    row = delivery(one())

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sending, "post", broken)
    assert send_all() == 1
    row.refresh_from_db()
    assert (row.tries, row.state) == (1, "pending")
    assert row.last_error == "something broke here; the site's log has it"
    assert "ZeroDivisionError" in caplog.text


def test_an_endpoint_that_is_deleted_while_it_is_told_costs_the_job_nothing(
    one: Callable[..., WebhookEndpoint], submit: Callable[..., Job]
) -> None:
    endpoint, job = one(events=["job.cancelled"]), submit()

    def delete_and_purge() -> None:
        endpoints.delete(endpoint.pk)
        deliveries.purge()
        connection.close()

    with transaction.atomic():
        actions.cancel(job.pk)
        with ThreadPoolExecutor(1) as thread:
            thread.submit(delete_and_purge).result(20)
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    assert send_all() == 0
    assert deliveries.purge() == 1


def test_the_how_tos_snippet_verifies_a_delivery_and_refuses_a_changed_one(
    alice: User, receiver: Receiver, submit: Callable[..., Job], settings: Any
) -> None:
    page = (Path(settings.BASE_DIR) / "docs/howto/webhooks.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^   ```python\n(.*?)^   ```", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(textwrap.dedent(snippet), names)  # noqa: S102 - our own page
    _, secret = endpoints.create(alice, url=receiver.url("200"), events=["job.cancelled"])
    job = submit()
    actions.cancel(job.pk)
    send_all()
    (got,) = receiver.received
    assert names["hook"](got.body, got.headers, secret) == str(job.pk)
    with pytest.raises(WebhookVerificationError):
        names["hook"](got.body.replace("cancelled", "succeeded"), got.headers, secret)
