"""Programs open a socket from anywhere, with a ticket that is good once and for 30 s."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db.models.functions import Now
from websockets.exceptions import ConnectionClosed, InvalidStatus

from accounts import actions as accounts
from accounts.models import ApiToken, Ticket, User
from accounts.roles import Scope
from tests.live import worker
from tests.live.memory import PATIENCE
from tests.live.programs import ask
from tests.live.stage import KINDS, People, Server, Start, until_rights_are_heard
from tests.live.viewer import dial, end_of

SIGNED_OUT, BAD_MESSAGE, TOO_LARGE = 4401, 4400, 4413


async def _ticket(server: Server, cookie: str) -> str:
    answer = await ask(server, "POST", "/api/v1/live/tickets", cookie=cookie)
    assert (answer.status, answer.json()["expires_in"]) == (201, 30)
    return str(answer.json()["ticket"])


def _program(server: Server, *, query: str = "", **options: Any) -> Any:
    uri = f"ws://{server.host}/api/v1/live{query}"
    return dial(server, **{"uri": uri, "origin": None, **options})


async def _show(server: Server, first: object, **options: Any) -> int | str:
    """The close code, or the type of the answer to a ping after it."""
    async with _program(server, **options) as socket:
        await socket.send(first if isinstance(first, str | bytes) else json.dumps(first))
        with suppress(ConnectionClosed):
            await socket.send('{"type": "ping"}')
            async with asyncio.timeout(PATIENCE):
                return str(json.loads(await socket.recv())["type"])
        return await end_of(socket)


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://app.example"])
async def test_a_program_with_a_ticket_is_let_in_from_anywhere(
    server: Server, people: People, origin: str | None
) -> None:
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    ticket = await _ticket(server, await people.cookie(people.alice, server))
    async with _program(server, origin=origin) as socket:
        await socket.send(json.dumps({"type": "ticket", "ticket": ticket}))
        await socket.send(json.dumps({"type": "subscribe", "job": str(job)}))
        async with asyncio.timeout(PATIENCE):
            heard = [json.loads(await socket.recv()) for _ in range(2)]
    assert [message["type"] for message in heard] == ["fact", "snapshot"]


async def test_a_ticket_is_good_once(server: Server, people: People) -> None:
    ticket = await _ticket(server, await people.cookie(people.alice, server))
    shown = {"type": "ticket", "ticket": ticket}
    assert await _show(server, shown) == "pong"
    assert await _show(server, shown) == SIGNED_OUT


async def test_of_many_that_race_with_one_ticket_one_is_let_in(
    server: Server, people: People
) -> None:
    cookie = await people.cookie(people.alice, server)
    for _ in range(5):
        shown = {"type": "ticket", "ticket": await _ticket(server, cookie)}
        answers = await asyncio.gather(*(_show(server, shown) for _ in range(4)))
        assert sorted(map(str, answers)) == ["4401", "4401", "4401", "pong"]


async def test_a_ticket_ends_with_its_time_its_session_and_its_account(
    server: Server, people: People
) -> None:
    cookie = await people.cookie(people.alice, server)
    late = await _ticket(server, cookie)
    await Ticket.objects.aupdate(expires_at=Now())
    assert await _show(server, {"type": "ticket", "ticket": late}) == SIGNED_OUT

    signed_out = await _ticket(server, cookie)
    await ask(server, "POST", "/accounts/logout/", cookie=cookie)
    assert await _show(server, {"type": "ticket", "ticket": signed_out}) == SIGNED_OUT

    closed = await _ticket(server, await people.cookie(people.bob, server))
    people.bob.is_active = False
    await people.bob.asave()
    assert await _show(server, {"type": "ticket", "ticket": closed}) == SIGNED_OUT

    stranger = await ask(server, "POST", "/api/v1/live/tickets")
    assert stranger.status in {401, 403}


async def test_what_is_no_ticket_lets_nobody_in(server: Server, people: People) -> None:
    cookie = await people.cookie(people.alice, server)
    refused: list[tuple[object, int]] = [
        ({"type": "ticket", "ticket": ""}, SIGNED_OUT),
        ({"type": "ticket", "ticket": "t2vt_" + 43 * "A"}, SIGNED_OUT),
        ({"type": "ticket", "ticket": "\ud800\0 ' OR 1=1 --"}, SIGNED_OUT),
        ({"type": "ticket"}, BAD_MESSAGE),
        ({"type": "ticket", "ticket": None}, BAD_MESSAGE),
        ({"type": "ticket", "ticket": 5000 * "A"}, TOO_LARGE),
        ("no JSON", BAD_MESSAGE),
        (b"binary", BAD_MESSAGE),
        # A subscription before the ticket, with the cookie of somebody who is signed in.
        ({"type": "subscribe", "mine": True}, SIGNED_OUT),
        ({"type": "ping"}, SIGNED_OUT),
    ]
    for first, code in refused:
        assert await _show(server, first, cookie=cookie, origin=server.url) == code, first


async def test_a_ticket_in_the_address_is_not_looked_at(server: Server, people: People) -> None:
    """Addresses end up in logs: it lets nobody in, and it is not used up by it."""
    ticket = await _ticket(server, await people.cookie(people.alice, server))
    for name in ("ticket", "token", "access_token"):
        assert await _show(server, {"type": "ping"}, query=f"?{name}={ticket}") == SIGNED_OUT
    assert await _show(server, {"type": "ticket", "ticket": ticket}) == "pong"
    # Nor does one let a page's socket be opened without a session.
    again = await _ticket(server, await people.cookie(people.alice, server))
    uri = f"{server.socket_url}?ticket={again}"
    async with dial(server, uri=uri) as socket:
        assert await end_of(socket) == SIGNED_OUT


@pytest.mark.parametrize("kind", KINDS)
async def test_a_program_that_shows_nothing_is_sent_away(
    kind: str, start: Start, people: People
) -> None:
    server = await start(kind, shorter=["jobs.consumers.TICKET_SECONDS=0.5"])
    async with _program(server) as socket:
        assert await end_of(socket) == SIGNED_OUT
    with pytest.raises(InvalidStatus):
        async with _program(server, origin="http://evil.example", uri=server.socket_url):
            pass


def _token(user: User, *scopes: Scope) -> tuple[ApiToken, dict[str, str]]:
    """The row, and the header that shows it."""
    row, token = accounts.issue_token(user, name="a program", scopes=scopes)
    return row, {"Authorization": f"Bearer {token}"}


async def test_a_programs_socket_ends_with_the_token_that_opened_it(
    server: Server, people: People
) -> None:
    row, shown = await sync_to_async(_token)(people.alice, Scope.JOBS_READ)
    other, _ = await sync_to_async(_token)(people.alice, Scope.JOBS_READ)
    asked = await ask(server, "POST", "/api/v1/live/tickets", headers=shown)
    async with _program(server) as socket:
        await socket.send(json.dumps({"type": "ticket", "ticket": asked.json()["ticket"]}))
        await sync_to_async(accounts.revoke_token)(other)
        await socket.send('{"type": "ping"}')
        assert json.loads(await socket.recv()) == {"type": "pong"}
        await until_rights_are_heard()
        await sync_to_async(accounts.revoke_token)(row)
        async with asyncio.timeout(10):  # the look that nobody has to tell comes after 30 s
            assert await end_of(socket) == SIGNED_OUT


@pytest.mark.parametrize(("scopes", "heard"), [((), "refused"), ((Scope.ADMIN,), "fact")])
async def test_a_socket_shows_what_the_token_that_opened_it_is_for(
    server: Server, people: People, scopes: tuple[Scope, ...], heard: str
) -> None:
    """An operator's: others' jobs take the scope admin."""
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    _, shown = await sync_to_async(_token)(people.olga, Scope.JOBS_READ, *scopes)
    asked = await ask(server, "POST", "/api/v1/live/tickets", headers=shown)
    async with _program(server) as socket:
        await socket.send(json.dumps({"type": "ticket", "ticket": asked.json()["ticket"]}))
        await socket.send(json.dumps({"type": "subscribe", "job": str(job)}))
        async with asyncio.timeout(PATIENCE):
            assert json.loads(await socket.recv())["type"] == heard
