"""Following a job over its WebSocket, from a greenlet: opens, reads, acknowledges, resumes."""

import json
import time
from collections.abc import Callable

from websocket import (
    ABNF,
    WebSocket,
    WebSocketException,
    WebSocketTimeoutException,
    create_connection,
)

from tests.load.following import Following
from tests.load.records import Writer

OPEN_SECONDS = 20.0  # for a handshake
PING_SECONDS = 25.0
FOLLOW_SECONDS = 180.0  # of one job
RESUMES = 3  # of one follower, when its socket breaks
LOOK_SECONDS = 0.5  # how often a follower looks whether it has to leave


def follow(
    job: str,
    *,
    connect: Callable[[], WebSocket],
    writer: Writer,
    leaving: Callable[[], bool],
) -> None:
    """Until the job has ended, or `leaving`. connect: raises WebSocketException or OSError."""
    following = Following(job=job, since=time.time())
    until = time.time() + FOLLOW_SECONDS
    for number in range(RESUMES + 1):
        try:
            socket = connect()
        except (WebSocketException, OSError) as error:
            _note(writer, "refused", _code_of(error))
            return
        _note(writer, "resumed" if number else "opened", "")
        try:
            socket.send(following.subscription())
            _read(socket, following, writer, leaving, until)
        except (WebSocketException, OSError) as error:
            _note(writer, "broken", _code_of(error))
        else:
            return
        finally:
            socket.shutdown()  # type: ignore[no-untyped-call]


def _read(
    socket: WebSocket,
    following: Following,
    writer: Writer,
    leaving: Callable[[], bool],
    until: float,
) -> None:
    socket.settimeout(LOOK_SECONDS)
    ping_at = time.time() + PING_SECONDS
    while not (following.over or following.refused or leaving()) and time.time() < until:
        if time.time() > ping_at:
            socket.send('{"type":"ping"}')
            ping_at = time.time() + PING_SECONDS
        try:
            code, payload = socket.recv_data()
        except WebSocketTimeoutException:
            continue
        now = time.time()
        if code == ABNF.OPCODE_CLOSE:
            raise OSError(f"closed: {int.from_bytes(payload[:2], 'big')}")
        message = payload.decode() if code == ABNF.OPCODE_TEXT else payload
        answer = following.take(message, now=now)
        if answer is not None:
            socket.send(answer)
        _note_lateness(following, writer, now)


def _note_lateness(following: Following, writer: Writer, now: float) -> None:
    for kind, late in (("fact", following.fact_ms), ("preview", following.preview_ms)):
        for ms in late:
            writer.note(kind, at=now, ms=round(ms, 2))
        late.clear()


def _note(writer: Writer, what: str, code: str) -> None:
    writer.note("socket", at=time.time(), what=what, code=code)


def _code_of(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    return str(status) if status else f"{type(error).__name__}: {error}"[:80]


def by_cookie(url: str, cookie: str) -> WebSocket:
    """As a page opens it. url: http://host:port."""
    address = url.replace("http", "ws", 1) + "/ws/"
    return create_connection(
        address, timeout=OPEN_SECONDS, cookie=cookie, origin=url, enable_multithread=False
    )


def by_ticket(url: str, ticket: str) -> WebSocket:
    """As a program does."""
    address = url.replace("http", "ws", 1) + "/api/v1/live"
    socket = create_connection(
        address, timeout=OPEN_SECONDS, suppress_origin=True, enable_multithread=False
    )
    socket.send(json.dumps({"type": "ticket", "ticket": ticket}))
    return socket
