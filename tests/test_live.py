"""The page's socket: who may open it, what it sends, and that nothing is missed or goes back."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pgtrigger
import pytest
import redis
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client

from accounts.models import User
from conftest import video_of
from jobs import actions, closing, consumers, dispatch, sentry, stream
from jobs.actions import Claim
from jobs.events import PreviewHeader, Progressed
from jobs.live import hub
from jobs.models import Job
from t2v_site.asgi import application
from tests.live.stage import until_rights_are_heard

ORIGIN = "http://127.0.0.1:8000"
SECONDS = 20.0  # for an answer, on a busy machine


class Socket(WebsocketCommunicator):
    """With more patience than the one second of its own."""

    async def connect(self, timeout: float = SECONDS) -> Any:  # noqa: ASYNC109 - as it is there
        return await super().connect(timeout)

    async def receive_output(self, timeout: float = SECONDS) -> Any:  # noqa: ASYNC109
        return await super().receive_output(timeout)

    async def disconnect(self, code: int = 1000, timeout: float = SECONDS) -> None:  # noqa: ASYNC109
        await super().disconnect(code, timeout)


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
    return Socket(application, "/ws/", headers=headers)


async def _until(page: Any, kind: str) -> dict[str, Any]:
    """The next message of that type; 20 others at most may come before it."""
    for _ in range(20):
        answer = await page.receive_output()
        if "text" in answer:
            message: dict[str, Any] = json.loads(answer["text"])
            if message["type"] == kind:
                return message
    raise AssertionError(f"no {kind} among 20 messages")


async def _preview(page: Any) -> PreviewHeader:
    for _ in range(20):
        answer = await page.receive_output()
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
    assert (await page.receive_output())["code"] == closing.SIGNED_OUT
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
        answer = await page.receive_output()
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


async def test_a_viewer_has_two_previews_at_most_without_its_ack_and_then_gets_the_latest(
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
        assert shown.step == step
    for step in (3, 4, 5):
        await sync_to_async(_put_preview)(job, attempt=1, step=step)
    await _until_quiet(page)
    # It stands for all that were sent before it as well.
    await page.send_json_to({"type": "ack", "job": str(job.pk), "attempt": 1, "step": shown.step})
    assert (await _preview(page)).step == 5

    await sync_to_async(_put_preview)(job, attempt=1, step=4)
    await page.send_to(text_data=f'{{"type":"ack","job":"{job.pk}","attempt":1,"step":5}}')
    await _until_quiet(page)
    await sync_to_async(_put_preview)(job, attempt=2, step=1)
    assert (await _preview(page)).attempt == 2
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
        '{"type": "subscribe", "job": "00000000-0000-0000-0000-000000000001", "after": true}',
        '{"type": "ack", "job": "00000000-0000-0000-0000-000000000001", "attempt": 1}',
        '{"type": "ticket", "ticket": "t2vt_x"}',
    ],
)
async def test_a_message_that_is_none_closes_the_socket_with_its_code(
    async_db: None, alice: User, message: str
) -> None:
    page = await _open(alice)
    await page.connect()
    await page.send_to(text_data=message)
    assert (await page.receive_output())["code"] == closing.BAD_MESSAGE
    await page.disconnect()
    assert not hub().viewers, "the hub lets go of it"


async def test_a_message_of_more_than_4_kilobytes_closes_the_socket_with_its_own_code(
    async_db: None, alice: User
) -> None:
    for size, code in ((4096, None), (4097, closing.TOO_LARGE)):
        page = await _open(alice)
        await page.connect()
        await page.send_to(text_data=json.dumps({"type": "ping", "pad": "x" * 4063}).ljust(size))
        answer = await page.receive_output()
        assert answer.get("code") == code
        await page.disconnect()


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


async def _until_closed(page: Any) -> int:
    """The code; 20 messages at most may come before it."""
    for _ in range(20):
        answer = await page.receive_output()
        if answer["type"] == "websocket.close":
            return int(answer["code"])
    raise AssertionError("20 messages and no end")


def _change_password(user: User) -> None:
    user.set_password("a new and better password")
    user.save()


@pytest.mark.parametrize("told", [True, False])
async def test_a_new_password_ends_the_sockets_of_old_sessions(
    async_db: None,
    empty_redis: redis.Redis,
    alice: User,
    monkeypatch: pytest.MonkeyPatch,
    told: bool,
) -> None:
    """At once; and by a look now and then where the word of it was lost."""
    if not told:
        monkeypatch.setattr(dispatch, "rights_changed", lambda user: None)
        monkeypatch.setattr(sentry, "RECHECK_SECONDS", 0.1)
        monkeypatch.setattr(sentry, "CLOCK_SECONDS", 0.1)
    page = await _open(alice)
    await page.connect()
    await page.send_json_to({"type": "ping"})
    await _until(page, "pong")
    await until_rights_are_heard()
    await sync_to_async(_change_password)(alice)
    assert await _until_closed(page) == closing.SIGNED_OUT
    await page.disconnect()


async def test_a_pruned_history_goes_on_from_its_oldest_fact(
    async_db: None,
    empty_redis: redis.Redis,
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    alice: User,
) -> None:
    job = await sync_to_async(submit)()
    await sync_to_async(claim)()
    await sync_to_async(actions.cancel)(job.pk)
    await sync_to_async(_prune)(job, before=3)
    for after, first in ((0, 3), (1, 3), (9, 3)):  # 9: seen before the database was restored
        page = await _open(alice)
        await page.connect()
        await page.send_json_to({"type": "subscribe", "job": str(job.pk), "after": after})
        assert (await _until(page, "history"))["first"] == first
        assert (await _until(page, "fact"))["seq"] == 3
        assert (await _until(page, "snapshot"))["job"]["version"] == 3
        await page.disconnect()
    page = await _open(alice)
    await page.connect()
    await page.send_json_to({"type": "subscribe", "job": str(job.pk), "after": 2})
    answer = json.loads((await page.receive_output())["text"])
    assert (answer["type"], answer["seq"]) == ("fact", 3)
    await page.disconnect()


def _prune(job: Job, *, before: int) -> None:
    with pgtrigger.ignore():  # the guards let nobody do it yet
        job.events.filter(seq__lt=before).delete()


async def test_text_waits_for_the_answer_to_a_ping_and_nothing_is_lost(
    async_db: None, empty_redis: redis.Redis, submit: Callable[..., Job], alice: User
) -> None:
    jobs = [await sync_to_async(submit)("a red circle " * 20) for _ in range(90)]
    page = await _open(alice)
    await page.connect()
    await page.send_json_to({"type": "subscribe", "mine": True})
    heard, pings, size = set[str](), list[int](), 0
    while not pings or not await page.receive_nothing(timeout=1.0):
        message = await page.receive_output()
        size += len(message["text"])
        said = json.loads(message["text"])
        if said["type"] == "snapshot":
            heard.add(said["job"]["id"])
        elif said["type"] == "ping":
            pings.append(said["n"])
    (number,) = pings
    assert 64 * 1024 <= size < 72 * 1024
    assert len(heard) < len(jobs)
    await page.send_json_to({"type": "pong", "n": number ^ 1})
    assert await page.receive_nothing(timeout=0.5), "a guess opens nothing"
    while len(heard) < len(jobs):
        await page.send_json_to({"type": "pong", "n": number})
        while len(heard) < len(jobs):
            said = json.loads((await page.receive_output())["text"])
            if said["type"] == "ping":
                number = said["n"]
                break
            if said["type"] == "snapshot":
                heard.add(said["job"]["id"])
    assert heard == {str(job.pk) for job in jobs}
    await page.disconnect()


async def test_a_program_gets_in_by_a_ticket_without_cookie_and_origin(
    async_db: None, empty_redis: redis.Redis, submit: Callable[..., Job], alice: User
) -> None:
    job = await sync_to_async(submit)()
    client = Client()
    await sync_to_async(client.force_login)(alice)
    answer = await sync_to_async(client.post)("/api/v1/live/tickets")
    assert answer.status_code == 201
    for code in (None, closing.SIGNED_OUT):  # it is good once
        program = Socket(
            application, "/api/v1/live", headers=[(b"origin", b"https://elsewhere.example")]
        )
        await program.connect()
        await program.send_json_to({"type": "ticket", "ticket": answer.json()["ticket"]})
        if code is None:
            await program.send_json_to({"type": "subscribe", "job": str(job.pk)})
            assert (await _until(program, "fact"))["kind"] == "submitted"
        else:
            assert await _until_closed(program) == code
        await program.disconnect()


async def test_a_program_without_a_ticket_is_not_let_in(async_db: None) -> None:
    for first in ("{}", '{"type": "ping"}', '{"type": "ticket", "ticket": "t2vt_x"}'):
        program = Socket(application, "/api/v1/live")
        await program.connect()
        await program.send_to(text_data=first)
        expected = closing.BAD_MESSAGE if first == "{}" else closing.SIGNED_OUT
        assert await _until_closed(program) == expected
        await program.disconnect()


async def test_a_crowd_at_the_door_is_asked_to_come_again(
    async_db: None, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "MOST_AT_THE_DOOR", 0)
    page = await _open(alice)
    await page.connect()
    assert await _until_closed(page) == closing.BROKEN
    await page.disconnect()
    monkeypatch.setattr(consumers, "MOST_AT_THE_DOOR", 1)
    for _ in range(3):  # who has come in makes room, and so does who was refused
        page = await _open(alice)
        await page.connect()
        await page.send_json_to({"type": "ping"})
        await _until(page, "pong")
        await page.disconnect()


async def test_an_unknown_socket_address_is_refused(async_db: None, alice: User) -> None:
    headers = await sync_to_async(_headers)(alice)
    page = Socket(application, "/ws/elsewhere", headers=headers)
    connected, _ = await page.connect()
    assert not connected
    await page.disconnect()
