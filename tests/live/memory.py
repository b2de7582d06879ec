"""What a page keeps of what it hears (as static/js does), and what no server may ever send it.

docs/reference/live.md is what it holds the server to. `wrongs` is empty at the end of every test.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

Moment = tuple[int, int]  # (attempt, step)
NEVER: Moment = (0, -1)
PATIENCE = 30.0  # seconds, for what is waited for on a busy machine; a promise says its own


class Memory:
    def __init__(self) -> None:
        self.facts: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        self.snapshots: dict[UUID, dict[str, Any]] = {}  # the newest of each job
        self.ticks: dict[UUID, Moment] = {}
        self.previews: dict[UUID, Moment] = {}  # shown, or over SSE announced
        self.places: dict[UUID, int] = {}
        self.refused: list[dict[str, Any]] = []
        self.histories: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []  # every message, for who compares them
        self.wrongs: list[str] = []
        self.older_after_return = 0  # ticks and previews older than shown on an earlier connection
        self.opened = 0  # connections
        self.counts: dict[str, int] = defaultdict(int)  # messages by type
        self.fact_arrivals: dict[tuple[UUID, int], float] = {}  # seconds since 1970
        self._news = asyncio.Event()
        self._now_ticks: dict[UUID, Moment] = {}  # on this connection
        self._now_previews: dict[UUID, Moment] = {}
        self._now_versions: dict[UUID, int] = {}

    def begin(self) -> None:
        """Another connection."""
        self.opened += 1
        self._now_ticks, self._now_previews, self._now_versions = {}, {}, {}
        self._news.set()

    def seq(self, job: UUID) -> int:
        facts = self.facts[job]
        return int(facts[-1]["seq"]) if facts else 0

    def hear(self, message: dict[str, Any]) -> None:
        self.counts[message["type"]] += 1
        self.heard.append(message)
        match message["type"]:
            case "fact":
                self._fact(UUID(message["job"]), message)
            case "snapshot":
                self._snapshot(UUID(message["job"]["id"]), message["job"])
            case "tick":
                self._tick(UUID(message["job"]), message)
            case "preview":
                self.shown(UUID(message["job"]), (message["attempt"], message["step"]))
            case "place":
                self.places[UUID(message["job"])] = message["place"]
            case "refused":
                self.refused.append(message)
            case "history":
                self.histories.append(message)
                self.facts[UUID(message["job"])] = []
            case "ping" | "pong":
                pass
            case unknown:
                self.wrongs.append(f"an unknown message: {unknown}")
        self._news.set()

    def _fact(self, job: UUID, fact: dict[str, Any]) -> None:
        known = self.facts[job]
        told = [each["first"] for each in self.histories if each["job"] == str(job)]
        due = known[-1]["seq"] + 1 if known else told[-1] if told else 1
        if fact["seq"] != due:
            self.wrongs.append(f"fact {fact['seq']} of {job} where {due} was due")
        known.append(fact)
        self.fact_arrivals[job, fact["seq"]] = time.time()

    def _snapshot(self, job: UUID, snapshot: dict[str, Any]) -> None:
        before = self._now_versions.get(job, 0)
        if snapshot["version"] < before:
            self.wrongs.append(f"snapshot {snapshot['version']} of {job} after {before}")
        self._now_versions[job] = snapshot["version"]
        if snapshot["version"] >= self.snapshots.get(job, snapshot)["version"]:
            self.snapshots[job] = snapshot

    def _tick(self, job: UUID, tick: dict[str, Any]) -> None:
        moment = (tick["attempt"], tick["step"])
        before = self._now_ticks.get(job, NEVER)
        if moment < before:
            self.wrongs.append(f"tick {moment} of {job} after {before}")
        self._now_ticks[job] = moment
        if moment < self.ticks.get(job, moment):
            self.older_after_return += 1
        else:
            self.ticks[job] = moment

    def shown(self, job: UUID, moment: Moment) -> None:
        before = self._now_previews.get(job, NEVER)
        if moment <= before:
            self.wrongs.append(f"preview {moment} of {job} after {before}")
        self._now_previews[job] = moment
        if moment < self.previews.get(job, moment):
            self.older_after_return += 1
        else:
            self.previews[job] = moment

    # --- What a test asks -----------------------------------------------------------------

    def shows(self, job: UUID, moment: Moment) -> bool:
        """Both the tick and the preview of that moment."""
        return self.ticks.get(job) == moment == self.previews.get(job)

    async def until(self, what: Callable[[Any], object], seconds: float = PATIENCE) -> None:
        """Returns when it is so; fails with what was seen when it is not in time."""
        deadline = time.monotonic() + seconds
        while not what(self):
            self._news.clear()
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds:g} s; {self.story()}"
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)

    async def until_opened_again(self) -> None:
        before = self.opened
        await self.until(lambda memory: memory.opened > before)

    def story(self) -> str:
        facts = {str(job)[-6:]: [fact["seq"] for fact in each] for job, each in self.facts.items()}
        return (
            f"opened {self.opened}, facts {facts}, heard {dict(self.counts)}, "
            f"ticks {list(self.ticks.values())}, previews {list(self.previews.values())}, "
            f"refused {self.refused[:3]}, wrongs {self.wrongs[:5]}"
        )
