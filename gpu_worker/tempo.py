"""How long the steps of one kind of render take here, and so from when on one must be hanging."""

from collections import deque

from jobs.spec import RenderSpec

LOADING_SECONDS = 900.0  # for what has no steps: loading a model, compiling it, decoding
STALL_SECONDS = 120.0  # without a step at the least, however fast they are
STALL_STEPS = 5.0  # times the 95th percentile of this render's steps
HARD_FACTOR = 3.0  # times what all steps should take, moving or not
ENOUGH = 8  # steps to know the pace by
KINDS = 64  # kinds of renders whose pace a worker remembers


class Tempo:
    """Written by the render thread, read by its lease's: a deque is copied in one go."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=100)

    def stepped(self, seconds: float) -> None:
        self._seconds.append(seconds)

    @property
    def step_seconds(self) -> float | None:
        """The 95th percentile, of a few the longest; None before any step was seen."""
        if not self._seconds:
            return None
        return sorted(self._seconds)[int(0.95 * len(self._seconds))]

    def stall_seconds(self) -> float:
        step = self.step_seconds
        return LOADING_SECONDS if step is None else max(STALL_SECONDS, STALL_STEPS * step)

    def hard_seconds(self, steps: int) -> float | None:
        """For so many steps in all; None while too few were seen to say so."""
        step = self.step_seconds
        if step is None or len(self._seconds) < ENOUGH:
            return None
        return STALL_SECONDS + HARD_FACTOR * steps * step


class Tempos:
    """What a worker knows of its paces, by what a step's length depends on."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Tempo] = {}

    def of(self, spec: RenderSpec) -> Tempo:
        kind = (spec.model, spec.width, spec.height, spec.frames, spec.quality, spec.guidance > 1)
        tempo = self._known.pop(kind, None) or Tempo()
        self._known[kind] = tempo  # the last used stands at the end
        if len(self._known) > KINDS:
            del self._known[next(iter(self._known))]
        return tempo
