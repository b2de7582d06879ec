"""What the one loop needs of a model. Knows no torch, no Django, no queue."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from jobs.spec import RenderSpec

StateT = TypeVar("StateT", bound="RenderState")


class RenderState(Protocol):
    """Everything a render is between two steps: save it and you can go on from it."""

    @property
    def step(self) -> int:
        """Denoising steps done, 0 to steps."""

    @property
    def steps(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprite:
    """Several small frames of a clip in one image, left to right."""

    image: bytes  # encoded with codec
    codec: str  # one of jobs.events.PreviewHeader.CODECS
    frames: int
    tile_width: int  # pixels
    tile_height: int  # pixels


class RenderError(Exception):
    """A render that ended without a video.

    permanent: the same spec would fail again on any machine, so no other attempt is made.
    code is stable; the message is for the job's owner and names no path and no secret.
    """

    def __init__(self, code: str, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.code = code
        self.permanent = permanent


class Model(Protocol, Generic[StateT]):
    """Four functions over one explicit state. `gpu_worker/loop.py` folds them."""

    def fingerprint(self) -> dict[str, str]:
        """What a bit-identical repeat depends on: device, versions, dtype, threads."""

    def begin(self, spec: RenderSpec) -> StateT:
        """The state before the first step. Raises RenderError."""

    def step(self, state: StateT) -> StateT:
        """One denoising step further. Raises RenderError."""

    def preview(self, state: StateT) -> Sprite:
        """What the clip would look like if it ended here, moving."""

    def decode(self, state: StateT) -> Iterator[Any]:
        """The finished clip, frame by frame: uint8 arrays (height, width, 3), RGB."""
