"""The live view as server-sent events, for curl and for ways on which WebSockets break.

The same messages as over the socket (docs/reference/live.md). A preview is only announced here: who
wants it fetches it, and is at their own pace by that.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from uuid import UUID

from accounts.sessions import Credential, Standing
from jobs.errors import TooManyConnections
from jobs.events import Previewed, to_text
from jobs.hub import MAX_VIEWERS, Hub, TooManyViewers
from jobs.lifecycle import FINAL
from jobs.live import hub
from jobs.topic import NEVER, Moment, Topic, Watch
from jobs.viewer import Viewer, refused

# Nothing tells how much of what was sent was read. So a stream ends and is resumed after this time
# and after as many bytes, which bounds what can wait for a reader that stalls.
STREAM_SECONDS = 300.0
STREAM_BYTES = 1_000_000
HEARTBEAT_SECONDS = 15.0
RETRY_MS, BUSY_RETRY_MS = 2000, 30_000  # until the reader comes back
WAITING = 16  # messages between the hub and a server that holds the stream up
BEAT = b": still here\n\n"


async def stream(credential: Credential, job: UUID | None, after: int = 0) -> AsyncIterator[bytes]:
    """Of one job after that seq, or of all of one's own."""
    until = time.monotonic() + STREAM_SECONDS
    reader = _Reader(hub(), credential, job)
    try:
        reader.begin(after)
    except TooManyViewers:
        refusal = TooManyConnections(MAX_VIEWERS)
        yield f"retry: {BUSY_RETRY_MS}\n\n".encode()
        yield reader.part(to_text(refused(None, refusal)))
        return
    try:
        sent = 0
        yield f"retry: {RETRY_MS}\n\n".encode()
        while not reader.over and sent < STREAM_BYTES and time.monotonic() < until:
            text = None
            with suppress(TimeoutError):
                async with asyncio.timeout(min(until - time.monotonic(), HEARTBEAT_SECONDS)):
                    text = await reader.waiting.get()
            if text is None:
                yield BEAT
            elif text:  # an empty one only wakes us
                part = reader.part(text)
                sent += len(part)
                yield part
    finally:
        await reader.close()


class _Reader(Viewer):
    kind = "sse"
    __slots__ = ("_announced", "_job", "_tick", "over", "waiting")

    def __init__(self, hub: Hub, credential: Credential, job: UUID | None) -> None:
        super().__init__(hub, credential)
        self._job = job
        self._announced: Moment = NEVER  # the preview that the reader heard of last
        self._tick = ""  # the newest tick that was sent
        self.waiting: asyncio.Queue[str] = asyncio.Queue(maxsize=WAITING)
        self.over = False  # nothing more will come

    def begin(self, after: int) -> None:
        self._hub.join(self)
        if self._job is None:
            self.follow_mine()
        else:
            self.subscribe(self._job, after)

    def part(self, text: str) -> bytes:
        """As it goes over the wire. Facts alone carry an id: the place to resume at."""
        message = json.loads(text)
        kind = message["type"]
        ended = kind == "snapshot" and message["job"]["state"] in FINAL
        if self._job is not None and (ended or kind == "refused"):
            self.over = True
        number = f"id: {message['seq']}\n" if kind == "fact" else ""
        return f"event: {kind}\n{number}data: {text}\n\n".encode()

    async def deliver(self, text: str) -> None:
        await self.waiting.put(text)

    def clock(self, now: float) -> None:
        pass  # a stream has an end of its own

    def has_room(self) -> bool:
        return True  # for the word that there is one

    async def give_preview(self, watch: Watch) -> None:
        self.tick_due(watch.topic)

    def texts_of(self, topic: Topic) -> Iterable[str]:
        if topic.tick is not self._tick:  # a preview alone repeats no tick
            self._tick = topic.tick
            yield from super().texts_of(topic)
        if topic.announced > self._announced and topic.job == self._job and not topic.final:
            self._announced = topic.announced
            attempt, step = topic.announced
            yield to_text(Previewed(job=topic.job, attempt=attempt, step=step))

    def rights_lost(self, standing: Standing) -> None:
        self._stop()  # the reader comes back and is told by the answer's status

    def broken(self) -> None:
        self._stop()

    def server_ends(self) -> None:
        self._stop()

    def _stop(self) -> None:
        self.over = True
        with suppress(asyncio.QueueFull):  # then it wakes up anyway
            self.waiting.put_nowait("")
