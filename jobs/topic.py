"""What one web process knows of one job that somebody watches, shared by all who do.

Every text is encoded once, however many viewers get it. Of ticks and previews there is only the
newest, and it never goes backwards in (attempt, step), in whatever order things arrive.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Protocol
from uuid import UUID

from accounts.sessions import Credential, Standing
from jobs.events import Placed, Previewed, PreviewHeader, Progressed, to_text
from jobs.lifecycle import FINAL, State

HELD_FACTS = 64  # newest, for viewers that are a little behind; others read Postgres
Moment = tuple[int, int]  # (attempt, step)
NEVER: Moment = (0, -1)


def receipt_of(job: UUID, moment: Moment) -> str:
    """As JSON.stringify writes it in static/js: recognised without being parsed."""
    attempt, step = moment
    return f'{{"type":"ack","job":"{job}","attempt":{attempt},"step":{step}}}'


class Viewer(Protocol):
    """A page or a program, as the hub sees it. None of these may block or wait."""

    kind: ClassVar[str]  # ws or sse
    owner: int  # the user's id
    credential: Credential
    checked: float  # monotonic seconds; when the rights were looked up last

    def topics(self) -> Iterable["Topic"]: ...
    def wake(self) -> None: ...
    def clock(self, now: float) -> None: ...
    def rights_lost(self, standing: Standing) -> None: ...
    def rights_kept(self, places: frozenset[int] | None, now: float) -> None: ...
    def sees_less(self, places: frozenset[int] | None) -> bool: ...
    def may_follow(self, topic: "Topic") -> bool: ...
    def broken(self) -> None: ...
    def server_ends(self) -> None: ...
    def news_due(self, topic: "Topic") -> None: ...
    def tick_due(self, topic: "Topic") -> None: ...
    def place_due(self, topic: "Topic") -> None: ...
    def has_room(self) -> bool: ...
    async def give_preview(self, watch: "Watch") -> None: ...
    def gone(self, job: UUID) -> None: ...
    def history_lost(self, topic: "Topic") -> None: ...


@dataclass(slots=True, eq=False)
class Watch:
    """What one viewer has seen of one job."""

    topic: "Topic"
    seq: int = 0  # of its newest fact sent, or about to be
    shown: Moment = NEVER  # of the newest preview sent
    served: int = 0  # the number of that preview among all that the viewer got


@dataclass(slots=True, eq=False)
class Topic:
    job: UUID
    owner: int  # the user's id
    workspace: int = 0  # its id; 0: nothing was read yet
    watchers: dict[Viewer, Watch] = field(default_factory=dict)
    version: int = 0  # of the snapshot; 0: nothing was read yet
    state: str = ""
    attempt: int = 0  # the job's newest; what older ones still say is not true any more
    snapshot: str = ""
    facts: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=HELD_FACTS))
    place: str = ""
    tick: str = ""
    ticked: Moment = NEVER
    announced: Moment = NEVER  # a preview that may not have been fetched yet
    preview: bytes | None = None
    previewed: Moment = NEVER
    receipt: str = ""  # how a page acknowledges the preview, to the letter

    @property
    def final(self) -> bool:
        return self.state in FINAL

    @property
    def queued(self) -> bool:
        return self.state == State.QUEUED

    def becomes(
        self,
        *,
        version: int,
        state: str,
        attempt: int,
        text: str,
        facts: Iterable[tuple[int, str]],
    ) -> bool:
        """Whether this was news. facts: (seq, text), ascending."""
        for seq, fact in facts:
            if not self.facts or seq == self.facts[-1][0] + 1:
                self.facts.append((seq, fact))
            elif seq > self.facts[-1][0]:
                self.facts.clear()  # a hole: only what is dense is held
                self.facts.append((seq, fact))
        if version <= self.version:
            return False
        self.version, self.snapshot = version, text
        self.state, self.attempt = state, attempt
        if not self.queued:
            self.place = ""
        # A tick may be ahead of what is read of its job: it tells of a claim that is news yet.
        if self.ticked[0] < attempt + (state != State.RUNNING):
            self.tick = ""
        if self.final or self.previewed[0] < attempt:
            self.preview = None
        return True

    def forget(self) -> None:
        """Postgres took back what it had said: it came back from an older state."""
        self.version, self.state, self.attempt, self.snapshot = 0, "", 0, ""
        self.facts.clear()
        self.place, self.tick, self.preview = "", "", None
        self.ticked = self.announced = self.previewed = NEVER

    def facts_after(self, seq: int) -> list[tuple[int, str]] | None:
        """Those held that follow it without a hole; None where only Postgres has them all."""
        if self.version <= seq:
            return []
        if not self.facts or self.facts[0][0] > seq + 1 or self.facts[-1][0] < self.version:
            return None
        return [fact for fact in self.facts if fact[0] > seq]

    def takes_tick(self, tick: Progressed, text: str) -> bool:
        """Whether it is at least as new as the one before."""
        moment = (tick.attempt, tick.step)
        if moment < self.ticked or self._is_over(tick.attempt):
            return False
        self.ticked, self.tick = moment, text
        return True

    def takes_place(self, place: int) -> bool:
        """Whether it is another one than before."""
        text = to_text(Placed(job=self.job, place=place))
        if text == self.place:
            return False
        self.place = text
        return True

    def hears_of(self, previewed: Previewed) -> bool:
        """Whether a newer preview than any before was announced."""
        moment = (previewed.attempt, previewed.step)
        if moment <= self.announced or self._is_over(previewed.attempt):
            return False
        self.announced = moment
        return True

    def takes_preview(self, message: bytes) -> bool:
        """Whether it is newer than the one before. Raises ValueError when it is not this job's."""
        header = PreviewHeader.unpack(message)
        if header.job != self.job or len(message) != header.FORMAT.size + header.size:
            raise ValueError("another job's preview, or one that was cut off")
        moment = (header.attempt, header.step)
        if moment <= self.previewed or self._is_over(header.attempt):
            return False
        self.previewed, self.preview = moment, message
        self.receipt = receipt_of(self.job, moment)
        self.announced = max(self.announced, moment)
        return True

    def _is_over(self, attempt: int) -> bool:
        return self.final or attempt < self.attempt
