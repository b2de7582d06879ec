"""One WebSocket as a viewer: what comes in, what goes out, and how much may be on its way.

That is bounded by the viewer's own answers, whatever the server buffers: two previews without their
acknowledgement, and WINDOW bytes of text without the answer to a ping.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from accounts.sessions import Credential, Standing
from jobs import closing
from jobs.hub import Hub, TooManyViewers
from jobs.messages import (
    Acknowledge,
    FromViewer,
    Ping,
    Pong,
    Subscribe,
    TooLarge,
    Unsubscribe,
    parse,
)
from jobs.metrics import instruments
from jobs.topic import Watch, receipt_of
from jobs.viewer import Gone, Viewer

SILENT_SECONDS = 90.0  # a viewer pings every 25 s
IDLE_SECONDS = 30.0  # after as much silence of ours the viewer hears a ping
PREVIEWS = 2  # of all jobs, sent and not yet acknowledged
AT_ONCE_BYTES = 16 * 1024  # on the way, text and previews: a send waits for nothing below it
PING_BYTES, PING_ALL_BYTES = 32 * 1024, 128 * 1024  # of text, of all; then a ping follows
# What no ping's answer has vouched for. Acknowledgements alone could be guessed, by a viewer that
# reads nothing; the numbers of pings are drawn at random.
WINDOW, WINDOW_OF_ALL = 64 * 1024, 512 * 1024  # bytes of text, of all
MESSAGES, MESSAGES_SECONDS = 600, 10.0  # more of them in that time close the socket
PONG = '{"type": "pong"}'

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def code_of(error: ValueError) -> int:
    return closing.TOO_LARGE if isinstance(error, TooLarge) else closing.BAD_MESSAGE


@dataclass(frozen=True, slots=True)
class _Sent:
    """A preview on its way."""

    receipt: str
    size: int  # bytes


class Socket(Viewer):
    kind = "ws"
    __slots__ = (
        *("_all", "_code", "_counted", "_counting_since", "_flying", "_heard", "_number"),
        *("_on_the_way", "_ping_due", "_pong_due", "_reader", "_send", "_served", "_spoke"),
        *("_text", "_vouched"),
    )

    def __init__(self, hub: Hub, credential: Credential, send: Send) -> None:
        super().__init__(hub, credential)
        self._send = send
        self._reader: asyncio.Task[Any] | None = None
        self._code: int | None = None  # why we close it
        self._heard = self._spoke = time.monotonic()
        self._counted, self._counting_since = 0, self._heard
        self._on_the_way: list[_Sent] = []  # previews without their acknowledgement
        self._flying, self._served = 0, 0  # their bytes; the number of all there ever were
        self._text = self._all = 0  # bytes that no ping's answer has vouched for
        self._number = -1  # of the ping that is not answered yet
        self._vouched = (0, 0)  # what its answer vouches for, text and all
        self._ping_due = self._pong_due = False

    async def run(self, receive: Receive) -> int | None:
        """The code to close it with; None when the viewer has gone."""
        self._reader = asyncio.current_task()
        assert self._reader is not None
        try:
            self._hub.join(self)
            while (message := await receive())["type"] != "websocket.disconnect":
                self._hear(message.get("text"))
                if self._code is not None:
                    break
        except TooManyViewers:
            return closing.TOO_MANY
        except asyncio.CancelledError:
            if self._code is None:
                raise
            self._reader.uncancel()
        finally:
            self._reader = None
            await self.close()
        return self._code

    # --- From the viewer ------------------------------------------------------------------

    def _hear(self, text: str | None) -> None:
        now = self._heard = time.monotonic()
        if now - self._counting_since > MESSAGES_SECONDS:
            self._counted, self._counting_since = 0, now
        self._counted += 1
        if self._counted > MESSAGES:
            self._code = closing.TOO_FAST
            return
        try:
            # The usual message by far; to parse it would cost as much as to receive it.
            if self._on_the_way and text == self._on_the_way[-1].receipt:
                self._acknowledged(len(self._on_the_way))
            else:
                self._obey(parse(text))
        except ValueError as error:
            self._code = code_of(error)

    def _obey(self, said: FromViewer) -> None:
        match said:
            case Acknowledge(job, attempt, step):
                receipts = [sent.receipt for sent in self._on_the_way]
                receipt = receipt_of(job, (attempt, step))
                if receipt in receipts:
                    self._acknowledged(receipts.index(receipt) + 1)
            case Pong():
                if said.number == self._number:
                    self._number = -1
                    self._text -= self._vouched[0]
                    self._all -= self._vouched[1]
                    self._look_for_previews()
                    self.wake()
            case Ping():
                self._pong_due = True
                self.wake()
            case Subscribe(None):
                self.follow_mine()
            case Subscribe(UUID() as job, after):
                self.subscribe(job, after)
            case Unsubscribe(None):
                self.unfollow_mine()
            case Unsubscribe(UUID() as job):
                self.unsubscribe(job)
            case _:
                raise ValueError("a ticket is shown once, by a program")

    def _acknowledged(self, count: int) -> None:
        """So many of the oldest on the way: what arrives, arrives in order."""
        self._flying -= sum(sent.size for sent in self._on_the_way[:count])
        del self._on_the_way[:count]
        self._look_for_previews()

    def _look_for_previews(self) -> None:
        """There is room again."""
        for watch in self._watches.values():
            topic = watch.topic
            if topic.announced > topic.previewed:
                self._hub.want_preview(topic)
            elif topic.previewed > watch.shown:
                self.wake()

    # --- To the viewer --------------------------------------------------------------------

    def has_room(self) -> bool:
        return len(self._on_the_way) < PREVIEWS and self._all < WINDOW_OF_ALL

    async def give_preview(self, watch: Watch) -> None:
        if watch.topic.previewed <= watch.shown or not self.has_room():
            return
        at_once = self._text + self._flying < AT_ONCE_BYTES
        if at_once and self._sender is None and self._may_be_sent_to():
            try:
                await self._send_newest(watch)
            except Gone:
                self._ended = True
        else:
            self.wake()

    async def _send_preview(self) -> bool:
        """Where the room is scarce, of the job whose turn was longest ago."""
        if not self.has_room():
            return False
        newer = [
            watch
            for watch in self._watches.values()
            if watch.topic.previewed > watch.shown and watch.topic.preview is not None
        ]
        if newer:
            await self._send_newest(min(newer, key=lambda watch: watch.served))
        return bool(newer)

    async def _send_newest(self, watch: Watch) -> None:
        topic, preview = watch.topic, watch.topic.preview
        assert preview is not None
        self._served += 1
        watch.shown, watch.served = topic.previewed, self._served
        self._on_the_way.append(_Sent(topic.receipt, len(preview)))
        self._flying += len(preview)
        self._all += len(preview)
        self._spoke = time.monotonic()
        await self._put({"type": "websocket.send", "bytes": preview})
        instruments.preview_sent()
        await self._ping_if_due()

    async def _put(self, message: dict[str, Any]) -> None:
        try:
            await self._send(message)
        except Exception as error:  # each server has a class of its own for this
            raise Gone from error

    def may_send_text(self) -> bool:
        return self._text < WINDOW

    async def _send_next(self) -> bool:
        if self._pong_due and self.may_send_text():
            self._pong_due = False
            await self.deliver(PONG)
        elif self._ping_due and self._number < 0:
            await self._ping()
        else:
            return await super()._send_next()
        return True

    async def deliver(self, text: str) -> None:
        self._spoke = time.monotonic()
        self._text += len(text)  # JSON is ASCII here
        self._all += len(text)
        await self._put({"type": "websocket.send", "text": text})
        await self._ping_if_due()

    async def _ping_if_due(self) -> None:
        if self._number < 0 and (self._text >= PING_BYTES or self._all >= PING_ALL_BYTES):
            await self._ping()

    async def _ping(self) -> None:
        self._ping_due = False
        self._spoke = time.monotonic()
        self._number = secrets.randbits(31)
        self._vouched = (self._text, self._all)
        text = f'{{"type": "ping", "n": {self._number}}}'
        await self._put({"type": "websocket.send", "text": text})

    # --- Its end --------------------------------------------------------------------------

    def clock(self, now: float) -> None:
        if now - self._heard > SILENT_SECONDS:
            self.end(closing.SILENT)
        elif now - self._spoke > IDLE_SECONDS:
            self._ping_due = True
            self.wake()

    def rights_lost(self, standing: Standing) -> None:
        codes = {
            Standing.SIGNED_OUT: closing.SIGNED_OUT,
            Standing.CLOSED: closing.ACCOUNT_CLOSED,
            Standing.GOOD: closing.RIGHTS_CHANGED,
        }
        self.end(codes[standing])

    def broken(self) -> None:
        self.end(closing.BROKEN)

    def server_ends(self) -> None:
        self.end(closing.SERVER_ENDS)

    def end(self, code: int) -> None:
        if self._code is None and self._reader is not None:
            self._code = code
            self._ended = True
            self._reader.cancel()
