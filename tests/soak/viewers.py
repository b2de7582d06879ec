"""Twenty people who come and go: what each saw of every job, and that nothing ever went back."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from jobs.events import PreviewHeader
from jobs.lifecycle import FINAL

Moment = tuple[int, int]  # (attempt, step)

STAY_SECONDS = (5.0, 45.0)  # of one visit
AWAY_SECONDS = (0.2, 4.0)  # between two
PING_SECONDS = 25.0
WATCHED = 3  # jobs of one visit, beside one's own
CREDIT = 2  # previews that may be unacknowledged
OVERDUE_SECONDS = 20.0  # for what was missed, at the end
LAST_BATCH = 100  # jobs that one socket may subscribe to


@dataclass(kw_only=True)
class Person:
    """A cookie, and all that this person's pages have seen."""

    url: str  # http://host:port
    cookie: str
    facts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by job, from seq 1 on
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def take_fact(self, fact: dict[str, Any]) -> None:
        known = self.facts.setdefault(fact["job"], [])
        self.counts["facts"] += 1
        if fact["seq"] != len(known) + 1:
            self.wrong.append(f"fact {fact['seq']} of {fact['job']} came after {len(known)}")
        known.append(fact)

    def after(self, job: str) -> int:
        return len(self.facts.get(job, []))

    def over(self, job: str) -> bool:
        known = self.facts.get(job, [])
        return bool(known) and known[-1]["state"] in FINAL


@dataclass(kw_only=True)
class Page:
    """One connection of a person. What comes on it never goes back in (attempt, step)."""

    person: Person
    acknowledges: bool = True
    ticks: dict[str, Moment] = field(default_factory=dict)
    previews: dict[str, Moment] = field(default_factory=dict)
    outstanding: int = 0

    def take(self, message: str | bytes) -> str | None:
        """What has to be answered."""
        if isinstance(message, bytes):
            return self._take_preview(message)
        told = json.loads(message)
        match told["type"]:
            case "ping":
                return json.dumps({"type": "pong", "n": told["n"]})
            case "fact":
                self.person.take_fact(told)
            case "tick":
                self._never_back("tick", self.ticks, told["job"], (told["attempt"], told["step"]))
            case "history" | "refused":
                self.person.wrong.append(f"{told}")
        self.person.counts[told["type"]] += told["type"] != "fact"
        return None

    def _take_preview(self, message: bytes) -> str | None:
        header = PreviewHeader.unpack(message)
        job, moment = str(header.job), (header.attempt, header.step)
        self._never_back("preview", self.previews, job, moment)
        self.person.counts["preview"] += 1
        self.outstanding += 1
        if self.outstanding > CREDIT:
            self.person.wrong.append(f"{self.outstanding} previews without an acknowledgement")
        if not self.acknowledges or self.outstanding < CREDIT:
            return None
        self.outstanding = 0
        where = {"job": job, "attempt": header.attempt, "step": header.step}
        return json.dumps({"type": "ack", **where}, separators=(",", ":"))

    def _never_back(self, what: str, known: dict[str, Moment], job: str, moment: Moment) -> None:
        if moment < known.get(job, (0, -1)):
            self.person.wrong.append(f"{what} {moment} of {job} came after {known[job]}")
        known[job] = moment


class Crowd:
    """All of them, until `stop` is set."""

    def __init__(
        self,
        people: list[Person],
        *,
        seed: int,
        live_jobs: Callable[[int], list[str]],
        stall_seconds: float,
    ) -> None:
        """live_jobs: of the person with that number, newest last."""
        self.people, self.stop = people, asyncio.Event()
        self._chance = random.Random(seed)
        self._live_jobs = live_jobs
        self._stall_seconds = stall_seconds
        self._visits: Mapping[str, Callable[[Person, int], Awaitable[None]]] = {
            "page": self._visit,
            "abrupt": self._leave_abruptly,
            "stalled": self._stall,
            "mute": self._never_acknowledge,
            "events": self._read_events,
        }

    async def come_and_go(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number, person in enumerate(self.people):
                group.create_task(self._live(person, number))

    async def _live(self, person: Person, number: int) -> None:
        while not self.stop.is_set():
            kind = self._chance.choices(list(self._visits), weights=[10, 3, 1, 2, 3])[0]
            person.counts[f"visits: {kind}"] += 1
            try:
                await self._visits[kind](person, number)
            except (ConnectionClosed, OSError, EOFError) as error:
                if not self.stop.is_set():
                    person.wrong.append(f"{kind}: {type(error).__name__}: {error}")
            await self._wait(self._chance.uniform(*AWAY_SECONDS))

    async def _wait(self, seconds: float) -> None:
        """Or until the end."""
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return

    # --- Sockets --------------------------------------------------------------------------------

    async def _visit(self, person: Person, number: int) -> None:
        async with _socket(person) as socket:
            page = Page(person=person)
            await self._subscribe(socket, person, number)
            await self._read(socket, page, self._chance.uniform(*STAY_SECONDS))

    async def _leave_abruptly(self, person: Person, number: int) -> None:
        socket = await _socket(person)
        await self._subscribe(socket, person, number)
        await self._read(socket, Page(person=person), self._chance.uniform(0.0, 5.0))
        socket.transport.abort()

    async def _stall(self, person: Person, number: int) -> None:
        """Reads, reads nothing for a minute, and reads on.

        Who reads nothing answers no ping: daphne ends such a line after 50 s (--ping-interval,
        --ping-timeout). Then the next visit goes on where this one ended.
        """
        async with _socket(person) as socket:
            page = Page(person=person)
            await self._subscribe(socket, person, number)
            await self._read(socket, page, self._chance.uniform(1.0, 5.0))
            await socket.send('{"type":"ping"}')
            socket.transport.pause_reading()
            await self._wait(self._stall_seconds)
            socket.transport.resume_reading()
            try:
                await self._read(socket, page, 5.0)
            except ConnectionClosedError as error:
                if error.rcvd is not None:  # a code of ours has another reason
                    raise
                person.counts["stalled, and cut off by the server"] += 1

    async def _never_acknowledge(self, person: Person, number: int) -> None:
        async with _socket(person) as socket:
            page = Page(person=person, acknowledges=False)
            await self._subscribe(socket, person, number)
            await self._read(socket, page, self._chance.uniform(*STAY_SECONDS))

    async def _subscribe(self, socket: ClientConnection, person: Person, number: int) -> None:
        await socket.send('{"type":"subscribe","mine":true}')
        jobs = self._live_jobs(number)[-10:]
        for job in self._chance.sample(jobs, min(WATCHED, len(jobs))):
            await socket.send(_subscription(person, job))

    async def _read(self, socket: ClientConnection, page: Page, seconds: float) -> None:
        """For so long, or until the end."""
        loop = asyncio.get_running_loop()
        until, ping_at = loop.time() + seconds, loop.time() + PING_SECONDS
        while (now := loop.time()) < until and not self.stop.is_set():
            if now >= ping_at:
                await socket.send('{"type":"ping"}')
                ping_at = now + PING_SECONDS
            try:
                async with asyncio.timeout(min(1.0, until - now)):
                    message = await socket.recv()
            except TimeoutError:
                continue
            answer = page.take(message)
            if answer is not None:
                await socket.send(answer)

    # --- Server-sent events ---------------------------------------------------------------------

    async def _read_events(self, person: Person, number: int) -> None:
        jobs = self._live_jobs(number)[-10:]
        if not jobs:
            return
        job = self._chance.choice(jobs)
        seconds = self._chance.uniform(*STAY_SECONDS)
        place = urlsplit(person.url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        head = {
            "Host": place.netloc,
            "Cookie": person.cookie,
            "Accept": "text/event-stream",
            "Last-Event-ID": str(person.after(job)),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        # HTTP/1.0: the body ends with the connection, and has no chunks.
        writer.write(f"GET /api/v1/jobs/{job}/events HTTP/1.0\r\n{lines}\r\n".encode())
        try:
            async with asyncio.timeout(seconds):
                status = await reader.readline()
                if b" 204 " in status and person.over(job):
                    return
                if b" 200 " not in status:
                    raise OSError(f"the events of {job} answer {status!r}")
                await self._follow(reader, person)
        except TimeoutError:
            return
        finally:
            writer.transport.abort()

    async def _follow(self, reader: asyncio.StreamReader, person: Person) -> None:
        page = Page(person=person)
        async for line in reader:
            if self.stop.is_set():
                return
            if line.startswith(b"data: "):
                told = json.loads(line.removeprefix(b"data: "))
                if told["type"] != "preview":  # only announced here
                    page.take(line.removeprefix(b"data: ").decode())

    # --- The end --------------------------------------------------------------------------------

    async def catch_up(self) -> None:
        """Each asks once more for what is missing of every job that is known and not over."""
        await asyncio.gather(*(self._catch_up(person) for person in self.people))

    async def _catch_up(self, person: Person) -> None:
        open_jobs = [job for job in person.facts if not person.over(job)]
        for first in range(0, len(open_jobs), LAST_BATCH):
            async with _socket(person) as socket, asyncio.timeout(OVERDUE_SECONDS):
                page, some = Page(person=person), open_jobs[first : first + LAST_BATCH]
                for job in some:
                    await socket.send(_subscription(person, job))
                while not all(person.over(job) for job in some):
                    answer = page.take(await socket.recv())
                    if answer is not None:
                        await socket.send(answer)


def _socket(person: Person) -> connect:
    return connect(
        f"{person.url.replace('http', 'ws', 1)}/ws/",
        additional_headers={"Cookie": person.cookie},
        origin=cast(Any, person.url),
        compression=None,
        ping_interval=None,
        max_queue=4,
    )


def _subscription(person: Person, job: str) -> str:
    return json.dumps({"type": "subscribe", "job": job, "after": person.after(job)})
