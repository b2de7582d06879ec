"""The page's socket: who may open it, what it sends, and that nothing is missed or goes back."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import redis
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client

from accounts.models import User
from conftest import video_of
from jobs import actions, consumers, dispatch, stream
from jobs.actions import Claim
from jobs.consumers import BAD_MESSAGE, SIGNED_OUT
from jobs.events import PreviewHeader, Progressed
from jobs.hub import hub
from jobs.models import Job
from t2v_site.asgi import application

ORIGIN = "http://127.0.0.1:8000"


def _headers(user: User | None, origin: str | None = ORIGIN) -> list[tuple[bytes, bytes]]:
    headers = [(b"host", b"127.0.0.1:8000")]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    if user is not None:
        client = Client()
        client.force_login(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode()))
    return headers


async def _open(user: User | None, origin: str | None = ORIGIN) -> Any:
    headers = await sync_to_async(_headers)(user, origin)
    return WebsocketCommunicator(application, "/ws/", headers=headers)


async def _until(page: Any, kind: str) -> dict[str, Any]:
    """The next message of that type; 20 others at most may come before it."""
    for _ in range(20):
        answer = await page.receive_output(timeout=5)
        if "text" in answer:
            message: dict[str, Any] = json.loads(answer["text"])
            if message["type"] == kind:
                return message
    raise AssertionError(f"no {kind} among 20 messages")


async def _preview(page: Any) -> PreviewHeader:
    for _ in range(20):
        answer = await page.receive_output(timeout=5)
        if answer.get("bytes"):
            return PreviewHeader.unpack(answer["bytes"])
    raise AssertionError("no preview among 20 messages")


def _put_preview(job: Job, *, attempt: int, step: int) -> None:
    header = PreviewHeader(
        job=job.pk,
        attempt=attempt,
        step=step,
        steps=9,
        frames=8,
        tile_width=64,
        tile_height=64,
        server_us=0,
        codec="jpeg",
        size=3,
    )
    stream.put_preview(job.owner_id, header, b"jpg")


@pytest.mark.parametrize(
    ("origin", "opens"),
    [
        (ORIGIN, True),
        ("http://127.0.0.1:8001", False),
        ("http://evil.example", False),
        ("http://sub.127.0.0.1:8000", False),
        ("null", False),
        (None, False),
    ],
)
async def test_only_a_page_of_this_very_host_and_port_opens_a_socket(
    async_db: None, alice: User, origin: str | None, opens: bool
) -> None:
    page = await _open(alice, origin)
    connected, _ = await page.connect()
    assert connected is opens
    await page.disconnect()


async def test_a_stranger_is_told_to_sign_in(async_db: None) -> None:
    page = await _open(None)
    await page.connect()
    assert (await page.receive_output())["code"] == SIGNED_OUT
    await page.disconnect()


async def test_a_foreign_job_and_no_job_are_refused_alike(
    async_db: None, submit: Callable[..., Job], bob: User, charlie: User
) -> None:
    job = await sync_to_async(submit)()
    for user in (bob, charlie):
        page = await _open(user)
        await page.connect()
        answers = []
        for wanted in (job.pk, UUID(int=1)):
            await page.send_json_to({"type": "subscribe", "job": str(wanted)})
            answer = await _until(page, "refused")
            answers.append((answer["code"], answer["status"], answer["message"]))
        assert answers[0] == answers[1] == ("not_found", 404, answers[0][2])
        await page.disconnect()


async def test_an_operator_watches_any_job(
    async_db: None, submit: Callable[..., Job], olga: User
) -> None:
    job = await sync_to_async(submit)()
    page = await _open(olga)
    await page.connect()
    await page.send_json_to({"type": "subscribe", "job": str(job.pk)})
    assert (await _until(page, "snapshot"))["job"]["id"] == str(job.pk)
    await page.disconnect()


async def test_facts_come_complete_and_in_order_and_resume_after_the_last_one(
    async_db: None,
    empty_redis: redis.Redis,
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    alice: User,
) -> None:
    job = await sync_to_async(submit)()
    page = await _open(alice)
    await page.connect()
    await page.send_json_to({"type": "subscribe", "job": str(job.pk), "after": 0})
    assert (await _until(page, "fact"))["kind"] == "submitted"
    snapshot = await _until(page, "snapshot")
    assert (snapshot["job"]["state"], snapshot["job"]["place"]) == ("queued", 0)

    mine = await sync_to_async(claim)()
    assert (await _until(page, "fact"))["kind"] == "claimed"
    await page.disconnect()

    await sync_to_async(actions.succeed)(mine, [video_of(mine)])
    page = await _open(alice)
    await page.connect()
    await page.send_json_to({"type": "subscribe", "job": str(job.pk), "after": 2})
    fact = await _until(page, "fact")
    assert (fact["seq"], fact["kind"]) == (3, "succeeded")
    assert (await _until(page, "snapshot"))["job"]["state"] == "succeeded"
    await page.disconnect()


async def test_a_fact_arrives_without_redis(
    async_db: None,
    empty_redis: redis.Redis,
    submit: Callable[..., Job],
    alice: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = await sync_to_async(submit)()
    page = await _open(alice)
    await page.connect()
    await page.send_json_to({"type": "subscribe", "job": str(job.pk)})
    await _until(page, "snapshot")
    # What a dead Redis does to an announcement: it goes nowhere.
    monkeypatch.setattr(dispatch, "announce", lambda owner, fact: None)
    await sync_to_async(actions.cancel)(job.pk)
    for _ in range(4):  # the poll is due every 5 s
        answer = await page.receive_output(timeout=12)
        if json.loads(answer["text"])["type"] == "fact":
            break
    assert json.loads(answer["text"])["kind"] == "cancelled"
    await page.disconnect()


async def test_an_idle_socket_outlives_the_redis_clients_own_time_out(
    async_db: None, empty_redis: redis.Redis, alice: User
) -> None:
    """redis-py 8 ends a read after 5 s, and with it every consumer that waits, if it may."""
    page = await _open(alice)
    await page.connect()
    assert await page.receive_nothing(timeout=6.5)
    await page.send_json_to({"type": "ping"})
    await _until(page, "pong")
    await page.disconnect()


async def test_a_viewer_gets_the_next_preview_after_its_ack_and_then_the_latest(
    async_db: None,
    empty_redis: redis.Redis,
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    alice: User,
) -> None:
    job = await sync_to_async(submit)()
    await sync_to_async(claim)()
    page = await _open(alice)
    await page.connect()
    await page.send_json_to({"type": "subscribe", "job": str(job.pk)})
    await _until(page, "snapshot")
    for step in (1, 2):
        await sync_to_async(_put_preview)(job, attempt=1, step=step)
    shown = await _preview(page)
    for step in (3, 4, 5):
        await sync_to_async(_put_preview)(job, attempt=1, step=step)
    await _until_quiet(page)
    await page.send_json_to({"type": "ack", "job": str(job.pk), "attempt": 1, "step": shown.step})
    assert (await _preview(page)).step == 5

    await sync_to_async(_put_preview)(job, attempt=1, step=4)
    await page.send_json_to({"type": "ack", "job": str(job.pk), "attempt": 1, "step": 5})
    await _until_quiet(page)
    await page.disconnect()


async def _until_quiet(page: Any) -> None:
    """No preview comes although newer ones lie there: the credit is used up."""
    while not await page.receive_nothing(timeout=1.0):
        assert not (await page.receive_output()).get("bytes")


async def test_the_list_hears_of_ones_own_jobs_only(
    async_db: None,
    empty_redis: redis.Redis,
    submit: Callable[..., Job],
    alice: User,
    charlie: User,
) -> None:
    owner, stranger = await _open(alice), await _open(charlie)
    for page in (owner, stranger):
        await page.connect()
        await page.send_json_to({"type": "subscribe", "mine": True})
        await page.send_json_to({"type": "ping"})
        await _until(page, "pong")
    job = await sync_to_async(submit)()
    assert (await _until(owner, "snapshot"))["job"]["id"] == str(job.pk)
    tick = Progressed(job=job.pk, attempt=1, phase="denoising", step=3, steps=9, seconds_left=1.5)
    await sync_to_async(stream.announce)(alice.pk, tick)
    assert (await _until(owner, "tick"))["step"] == 3
    assert await stranger.receive_nothing(timeout=0.5)
    for page in (owner, stranger):
        await page.disconnect()


@pytest.mark.parametrize(
    "message",
    [
        "no json",
        "[]",
        '"x"',
        "{}",
        '{"type": "dance"}',
        '{"type": "subscribe"}',
        '{"type": "subscribe", "job": "x"}',
        '{"type": "subscribe", "job": 7}',
        '{"type": "subscribe", "job": "00000000-0000-0000-0000-000000000001", "after": 1e400}',
        "[" * 3000,
        json.dumps({"type": "ping", "pad": "x" * 5000}),
    ],
)
async def test_a_message_that_is_none_closes_the_socket_with_its_code(
    async_db: None, alice: User, message: str
) -> None:
    page = await _open(alice)
    await page.connect()
    await page.send_to(text_data=message)
    assert (await page.receive_output())["code"] == BAD_MESSAGE
    await page.disconnect()
    assert not hub()._viewers, "the hub lets go of it"


async def test_an_entry_of_another_version_is_passed_over(
    async_db: None, empty_redis: redis.Redis, submit: Callable[..., Job], alice: User
) -> None:
    job = await sync_to_async(submit)()
    page = await _open(alice)
    await page.connect()
    await page.send_json_to({"type": "subscribe", "job": str(job.pk)})
    await _until(page, "snapshot")
    for nonsense in (b"{", b'{"type": "dance"}', b'{"type": "tick", "job": 7}'):
        empty_redis.xadd(stream.RING, {b"owner": b"1", b"event": nonsense})
    tick = Progressed(job=job.pk, attempt=1, phase="denoising", step=3, steps=9, seconds_left=None)
    await sync_to_async(stream.announce)(alice.pk, tick)
    assert (await _until(page, "tick"))["step"] == 3
    await page.disconnect()


async def test_a_new_password_ends_the_sockets_of_old_sessions(
    async_db: None, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.1)
    page = await _open(alice)
    await page.connect()
    await page.send_json_to({"type": "ping"})
    await _until(page, "pong")
    alice.set_password("a new and better password")
    await alice.asave()
    await page.send_json_to({"type": "subscribe", "mine": True})
    assert (await page.receive_output(timeout=10))["code"] == SIGNED_OUT
    await page.disconnect()


async def test_an_unknown_socket_address_is_refused(async_db: None, alice: User) -> None:
    headers = await sync_to_async(_headers)(alice)
    page = WebsocketCommunicator(application, "/ws/elsewhere", headers=headers)
    connected, _ = await page.connect()
    assert not connected
    await page.disconnect()
