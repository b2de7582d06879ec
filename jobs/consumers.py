"""The live view over a WebSocket. The protocol is written down in docs/reference/live.md.

Plain ASGI, without a consumer class: an idle socket is one waiting task.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.http.cookie import parse_cookie

from accounts.actions import redeem_ticket
from accounts.sessions import Credential, credential_of
from jobs import closing
from jobs.history import POSTGRES_AWAY, for_one
from jobs.live import hub
from jobs.messages import ShowTicket, parse
from jobs.websocket import Receive, Send, Socket, code_of

logger = logging.getLogger(__name__)

TICKET_SECONDS = 10.0  # a program shows its ticket within this time
LOOK_SECONDS = 10.0  # for who it is
CLOSE_SECONDS = 5.0  # a viewer that reads nothing does not read the close either

MOST_AT_THE_DOOR = 1000  # sockets of people who are not known yet, in one process

Scope = dict[str, Any]
_door = Counter[str]()  # "at": how many there are now


async def page_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Of a browser with its session's cookie; routing.py has looked at where it is from."""
    key = _session_key(scope)

    async def known() -> Credential | None:
        async with asyncio.timeout(LOOK_SECONDS):
            return await for_one(credential_of, key)

    await _let_in(known, scope, receive, send)


async def program_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Of a program, from anywhere and without cookies: the first message is its ticket."""

    async def known() -> Credential | None:
        message: dict[str, Any] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(TICKET_SECONDS):
                message = await receive()
        said = message.get("type") == "websocket.receive"  # and did not just leave
        shown = parse(message.get("text")) if said else None
        if not isinstance(shown, ShowTicket):
            return None
        async with asyncio.timeout(LOOK_SECONDS):
            return await for_one(redeem_ticket, shown.ticket)

    await _let_in(known, scope, receive, send)


async def _let_in(
    known: Callable[[], Awaitable[Credential | None]], scope: Scope, receive: Receive, send: Send
) -> None:
    """known says who it is. A refused socket is accepted first: so it learns the close code."""
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    scope["headers"] = []  # a socket lives long, and they are a tenth of what it takes
    if _door["at"] >= MOST_AT_THE_DOOR:
        await _close(closing.BROKEN, receive, send)  # the page comes back, at a moment of its own
        return
    _door["at"] += 1
    code, credential = closing.SIGNED_OUT, None
    try:
        credential = await known()
    except TimeoutError:
        code = closing.BROKEN
        logger.warning("nobody can be let in (Postgres hangs)")
    except ValueError as error:
        code = code_of(error)
    except POSTGRES_AWAY as error:
        code = closing.BROKEN
        logger.warning("nobody can be let in (%s)", type(error).__name__)
    finally:
        _door["at"] -= 1
    if credential is None:
        await _close(code, receive, send)
        return
    end = await Socket(hub(), credential, send).run(receive)
    if end is not None:
        await _close(end, receive, send)


async def turn_away(receive: Receive, send: Send) -> None:
    """While nobody gets in; the page learns why, and comes back."""
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    await _close(closing.MAINTENANCE, receive, send)


async def _close(code: int, receive: Receive, send: Send) -> None:
    """What the viewer has said meanwhile is taken in as well: servers keep it for as long."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await send({"type": "websocket.close", "code": code, "reason": closing.REASONS[code]})
            while (await receive())["type"] != "websocket.disconnect":
                pass
    except Exception as error:  # each server has a class of its own for who has gone
        logger.debug("a viewer did not wait for its close (%s)", type(error).__name__)


def _session_key(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"cookie":
            key = parse_cookie(value.decode("latin-1")).get(settings.SESSION_COOKIE_NAME)
            if key is not None and key.isascii() and key.isalnum():
                return key
    return None
