"""Whatever a client says: an answer or a close code, never an error of ours, and memory stays."""

import asyncio
import json
import os
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from tests.live import frames
from tests.live.memory import PATIENCE
from tests.live.stage import People, Server
from tests.live.viewer import Viewer, dial, end_of, viewing

BAD_MESSAGE, SILENT, TOO_LARGE, TOO_FAST, TOO_MANY = 4400, 4408, 4413, 4428, 4429
OURS = {BAD_MESSAGE, TOO_LARGE, TOO_FAST}
PROTOCOL, NOT_UTF8, TOO_BIG, GONE = 1002, 1007, 1009, 1006
GROWN_BYTES = 5_000_000
FLOOD = 10_000
EXAMPLES = 120

KINDS_OF_MESSAGE = ("subscribe", "unsubscribe", "ack", "ping", "pong", "ticket")
_leaf = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.uuids().map(str)
)
_json = st.recursive(
    _leaf,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_fields = {
    "job": st.uuids().map(str) | _json,
    "after": st.integers(0, 9) | _json,
    "mine": st.just(True) | _json,
    "attempt": st.integers(0, 9) | _json,
    "step": st.integers(0, 9) | _json,
    "n": st.integers(0, 9) | _json,
    "ticket": st.text() | _json,
}
_nearly = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS_OF_MESSAGE) | _json}, optional=_fields
).map(json.dumps)
_sound = st.sampled_from(
    [
        json.dumps(message)
        for message in (
            {"type": "ping"},
            {"type": "pong", "n": 3},
            {"type": "subscribe", "mine": True},
            {"type": "unsubscribe", "mine": True},
            {"type": "subscribe", "job": str(UUID(int=7)), "after": 4},
            {"type": "unsubscribe", "job": str(UUID(int=7))},
            {"type": "ack", "job": str(UUID(int=7)), "attempt": 1, "step": 2},
        )
    ]
)
_message = _nearly | _json.map(json.dumps) | st.text(max_size=200) | st.binary(max_size=200)


async def _outcome(socket: Any, messages: list[str | bytes]) -> int | str:
    """The close code; or "lives", when a ping after all of it is answered."""
    with suppress(ConnectionClosed):
        for message in messages:
            await socket.send(message)
        await socket.send('{"type": "ping"}')
        async with asyncio.timeout(PATIENCE):
            while json.loads(await socket.recv())["type"] != "pong":
                pass
        return "lives"
    return await end_of(socket)


async def test_any_messages_are_answered_or_close_the_socket_with_a_code_of_ours(
    server: Server, people: People
) -> None:
    cookie = await people.cookie(people.alice, server)
    seen: set[int | str] = set()

    @settings(
        max_examples=int(os.environ.get("LIVE_EXAMPLES", EXAMPLES)),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(messages=st.lists(_sound, max_size=9) | st.lists(_message | _sound, max_size=6))
    def say(messages: list[str | bytes]) -> None:
        async def one() -> int | str:
            async with dial(server, cookie=cookie) as socket:
                return await _outcome(socket, messages)

        outcome = asyncio.run_coroutine_threadsafe(one(), loop).result(3 * PATIENCE)
        assert outcome in OURS | {"lives"}
        seen.add(outcome)

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(say)
    assert seen >= {BAD_MESSAGE, "lives"}


def _text(**message: object) -> bytes:
    return json.dumps(message).encode()


RAW: dict[str, tuple[bytes, set[int | str]]] = {
    "a message of 4096 bytes": (
        frames.frame(_text(type="ping", x="").replace(b'""', b'"' + 4070 * b"x" + b'"')),
        {"lives"},
    ),
    "4097 bytes": (frames.frame(4097 * b"x"), {TOO_LARGE}),
    "4097 bytes in pieces of one": (frames.fragments(4097 * b"x", 1), {TOO_LARGE}),
    "half a megabyte": (frames.frame(512 * 1024 * b"x"), {TOO_LARGE}),
    "two megabytes": (frames.frame(2 * 1024 * 1024 * b"x"), {TOO_LARGE, TOO_BIG, GONE}),
    "two megabytes in pieces": (
        frames.fragments(2 * 1024 * 1024 * b"x", 1 << 15),
        {TOO_LARGE, TOO_BIG, GONE},
    ),
    "a ping in pieces of one byte": (frames.fragments(_text(type="ping"), 1), {"lives"}),
    "a binary message": (frames.frame(_text(type="ping"), frames.BINARY), {BAD_MESSAGE}),
    "an empty message": (frames.frame(b""), {BAD_MESSAGE}),
    "no UTF-8": (frames.frame(b'{"type": "\xff\xfe"}'), {NOT_UTF8, GONE}),
    "half a character": (frames.frame(b"\xf0\x9f"), {NOT_UTF8, GONE}),
    "a lone surrogate": (frames.frame(b'"\\ud800"'), {BAD_MESSAGE}),
    "deep nesting": (frames.frame(2000 * b"[" + 2000 * b"]"), {BAD_MESSAGE}),
    "a long number": (frames.frame(b'{"type": "pong", "n": ' + 4000 * b"9" + b"}"), {BAD_MESSAGE}),
    "an endless number": (frames.frame(_text(type="pong", n=0)[:-2] + b"1e999}"), {BAD_MESSAGE}),
    "a reserved bit": (frames.frame(b"{}", reserved=2), {PROTOCOL, GONE}),
    "an unknown opcode": (frames.frame(b"{}", 3), {PROTOCOL, GONE}),
    "no mask": (frames.frame(b"{}", masked=False), {PROTOCOL, GONE}),
    "a piece of nothing": (frames.frame(b"{}", frames.CONTINUATION), {PROTOCOL, GONE}),
    "a long control frame": (frames.frame(126 * b"x", frames.PING), {PROTOCOL, GONE}),
    "a length of 2^63": (frames.frame(b"x", says=1 << 63), {PROTOCOL, TOO_BIG, GONE}),
    "a close with no code": (frames.frame(b"", frames.CLOSE), {1000, 1005, GONE}),
    "a close with a bad code": (frames.frame(b"\x00\x01", frames.CLOSE), {PROTOCOL, GONE, 1000}),
}


async def test_frames_that_no_library_sends_end_their_own_socket_at_most(
    server: Server, people: People
) -> None:
    cookie = await people.cookie(people.alice, server)
    other = Viewer(server, cookie, mine=True)
    async with viewing(other):
        await other.until_live()
        outcomes = {}
        for name, (raw, allowed) in RAW.items():
            async with dial(server, cookie=cookie) as socket:
                socket.transport.write(raw)
                outcome = await _outcome(socket, [])
                if outcome not in allowed:
                    outcomes[name] = outcome
        assert outcomes == {}
        await other.until_live()
    assert other.opened == 1


@pytest.mark.parametrize(
    "message",
    [
        {"type": "ping"},
        {"type": "subscribe", "mine": True},
        {"type": "subscribe", "job": str(uuid4())},
        {"type": "ack", "job": str(uuid4()), "attempt": 1, "step": 1},
        {"type": "pong", "n": 7},
    ],
    ids=lambda message: message["type"],
)
async def test_a_flood_closes_its_own_socket_and_costs_no_memory(
    server: Server, people: People, message: dict[str, object]
) -> None:
    """Also of one that reads nothing of all the answers."""
    cookie = await people.cookie(people.alice, server)
    other = Viewer(server, await people.cookie(people.bob, server), mine=True)
    raw = frames.frame(json.dumps(message).encode())
    async with viewing(other):
        await _flood(server, cookie, raw)  # the first one warms the process up
        before = server.private_bytes()
        for _ in range(3):
            assert await _flood(server, cookie, raw) == TOO_FAST
        await other.until_live(20)
        assert server.private_bytes() - before < GROWN_BYTES
    assert other.opened == 1


async def test_a_message_that_unpacks_to_megabytes_costs_its_sender_the_socket(
    server: Server, people: People
) -> None:
    """Where compression was agreed on, eight megabytes of one letter are eight kilobytes."""
    cookie = await people.cookie(people.alice, server)
    held = []
    for _ in range(6):
        async with dial(server, cookie=cookie) as socket:
            assert await _outcome(socket, [8_000_000 * "x"]) in {TOO_LARGE, TOO_BIG, GONE}
        held.append(server.private_bytes())
    assert held[-1] - held[1] < GROWN_BYTES, held  # the first ones warm the process up


async def _flood(server: Server, cookie: str, raw: bytes) -> int:
    async with dial(server, cookie=cookie, max_queue=1) as socket:
        socket.transport.write(raw * FLOOD)
        await asyncio.sleep(0)  # nothing is read until all of it was written
        return await end_of(socket)
