"""What the one loop needs of a model. Knows no torch, no Django, no queue."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from jobs.spec import RenderSpec

GPU_BROKEN = "gpu_broken"  # RenderError.code when this process can use its GPU no more
StateT = TypeVar("StateT", bound="RenderState")


class RenderState(Protocol):
    """Everything a render is between two steps: save it and you can go on from it."""

    @property
    def step(self) -> int:
        """Denoising steps done, 0 to steps."""

    @property
    def steps(self) -> int: ...

    @property
    def resumable(self) -> bool:
        """Whether going on from here, saved and loaded, gives the same bits.

        Exact renders can at every step; a step cache only where it starts anew.
        """


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
    spends: False when the machine is to blame and the job no more than in its way (a full disk, a
    storage that is away): it is handed back, and the attempt does not count.
    code is stable; the message is for the job's owner and names no path and no secret.
    """

    def __init__(self, code: str, message: str, *, permanent: bool, spends: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.permanent = permanent
        self.spends = spends


class Model(Protocol, Generic[StateT]):
    """Four functions over one explicit state. `gpu_worker/loop.py` folds them."""

    @property
    def on_pressure(self) -> Callable[[], None] | None:
        """Called when memory runs out: whoever keeps other models may let go of them."""

    @on_pressure.setter
    def on_pressure(self, evict: Callable[[], None] | None) -> None: ...

    def fingerprint(self) -> dict[str, str]:
        """What a bit-identical repeat depends on: device, versions, dtype, threads.

        May change during a render: what was given up for want of memory stands in it.
        """

    def begin(self, spec: RenderSpec) -> StateT:
        """The state before the first step. Raises RenderError."""

    def step(self, state: StateT) -> StateT:
        """One denoising step further. Raises RenderError."""

    def preview(self, state: StateT, *, seconds: float = ...) -> Sprite:
        """What the clip would look like if it ended here, moving.

        seconds: what the picture may cost where there is a cheaper one; left out, it is the best.
        """

    def decode(self, state: StateT) -> Iterator[Any]:
        """The finished clip, frame by frame: uint8 arrays (height, width, 3), RGB."""

    def to_tensors(self, state: StateT) -> Mapping[str, Any]:
        """All of a state but its spec and step: torch tensors by name, ready for safetensors."""

    def from_tensors(self, spec: RenderSpec, tensors: Mapping[str, Any], step: int) -> StateT:
        """The inverse of to_tensors, moved to the model's device. Raises RenderError."""
