"""What happens to a job, in words that travel. Pure: no I/O, no framework.

Facts (`Fact`) are rows of JobEvent: complete, ordered by seq, kept. Ticks and previews are worth
nothing a second later and live in Redis only. Every message to a viewer is one of these; what a
viewer may say is in jobs/messages.py.
"""

import json
import struct
from dataclasses import asdict, dataclass
from typing import Any, ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One row of a job's history. seq is dense from 1 within the job."""

    job: UUID
    seq: int
    kind: str  # submitted, claimed, succeeded, …: see FACT_KINDS
    state: str  # the job's state after it
    attempt: int
    at: str  # ISO 8601, UTC
    data: dict[str, Any]


FACT_KINDS = frozenset(
    {
        "submitted",
        "claimed",
        "succeeded",
        "failed",
        "requeued",
        "released",
        "resumed",
        "parked",
        "cancel_requested",
        "cancelled",
        "expired",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """A running attempt finished a denoising step, or moved on to another phase."""

    job: UUID
    attempt: int
    phase: str  # loading, denoising, decoding, encoding, saving
    step: int  # done, 0 to steps
    steps: int
    seconds_left: float | None  # to the end of the whole job; None while unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed:
    """A newer preview of a job lies under its key; this only announces it."""

    job: UUID
    attempt: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The job as it stands (serializers.jobs_to_dicts); its version is its newest fact's seq."""

    job: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """How many jobs of its pool are before a queued one; 1,000 means "1,000 or more"."""

    job: UUID
    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryReplaced:
    """What the viewer has of the history is not continued: facts from `first` on follow.

    The older ones were pruned, or the database was restored to an earlier state.
    """

    job: UUID
    first: int  # seq


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """There is no such job for this viewer; or, without a job, no more connections."""

    job: UUID | None
    code: str
    status: int  # as HTTP's
    message: str


Event = Fact | Progressed | Previewed | Snapshot | Placed | HistoryReplaced | Refused


def to_wire(event: Event) -> dict[str, Any]:
    """JSON-ready, with the event's name under "type"."""
    wire = asdict(event)
    if isinstance(event.job, UUID):
        wire["job"] = str(event.job)
    return {"type": _NAMES[type(event)], **wire}


def to_text(event: Event) -> str:
    """As a viewer gets it."""
    return json.dumps(to_wire(event))


def from_wire(wire: dict[str, Any]) -> Fact | Progressed | Previewed:
    """The inverse of to_wire. Raises KeyError, TypeError or ValueError on anything else."""
    values = dict(wire)
    kind = values.pop("type")
    values["job"] = UUID(str(values["job"]))
    event = _CLASSES[kind](**values)
    for name in _NUMBERS & values.keys():
        if type(values[name]) is not int:  # a bool is none
            raise TypeError(f"{name} is {values[name]!r}, not a whole number")
    return event


_CLASSES: dict[str, type[Fact] | type[Progressed] | type[Previewed]] = {
    "fact": Fact,
    "tick": Progressed,
    "preview": Previewed,
}
_NUMBERS = frozenset({"seq", "attempt", "step", "steps"})
_NAMES: dict[type, str] = {
    **{cls: name for name, cls in _CLASSES.items()},
    Snapshot: "snapshot",
    Placed: "place",
    HistoryReplaced: "history",
    Refused: "refused",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewHeader:
    """The 52 bytes before every preview's image, little-endian.

    The image is a sprite: frames tiles of tile_width × tile_height pixels, left to right.
    """

    FORMAT: ClassVar[struct.Struct] = struct.Struct("<2sBB16sIIIHHHHQI")
    MAGIC: ClassVar[bytes] = b"TV"
    VERSION: ClassVar[int] = 1
    CODECS: ClassVar[tuple[str, ...]] = ("jpeg", "webp", "png")

    job: UUID
    attempt: int
    step: int
    steps: int
    frames: int
    tile_width: int  # pixels
    tile_height: int  # pixels
    server_us: int  # microseconds since 1970 on the worker's clock
    codec: str
    size: int  # bytes of the image that follows

    def pack(self) -> bytes:
        return self.FORMAT.pack(
            self.MAGIC,
            self.VERSION,
            self.CODECS.index(self.codec),
            self.job.bytes,
            self.attempt,
            self.step,
            self.steps,
            self.frames,
            self.tile_width,
            self.tile_height,
            0,
            self.server_us,
            self.size,
        )

    @classmethod
    def unpack(cls, message: bytes) -> "PreviewHeader":
        """Raises ValueError when the message is not a preview of this version."""
        if len(message) < cls.FORMAT.size:
            raise ValueError(f"a preview has at least {cls.FORMAT.size} bytes, not {len(message)}")
        magic, version, codec, job, attempt, step, steps, frames, width, height, _, at, size = (
            cls.FORMAT.unpack_from(message)
        )
        if magic != cls.MAGIC or version != cls.VERSION or codec >= len(cls.CODECS):
            raise ValueError("not a preview of version 1")
        return cls(
            job=UUID(bytes=job),
            attempt=attempt,
            step=step,
            steps=steps,
            frames=frames,
            tile_width=width,
            tile_height=height,
            server_us=at,
            codec=cls.CODECS[codec],
            size=size,
        )
