"""The one loop: a fold over steps that knows no model.

A model is four functions over one state (engine.py). Cancel, drain, a lost lease, progress,
previews and checkpoints all happen here, between two steps, and nowhere else.
"""

import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any, Protocol

from gpu_worker.engine import Model, RenderState, Sprite
from jobs.spec import RenderSpec

PREVIEW_SECONDS = 0.2  # at most five previews a second
PREVIEW_SHARE = 0.2  # and at most this share of the time for making them
# What a true decode shows beyond a cheaper picture (decision 004): nothing in the first half of the
# steps, and after that enough for two a second to be better than five without.
BLURRED_SHARE = 0.5  # of the steps
SHARP_SECONDS = 0.5


class Stopped(Exception):
    """The render ended between two steps because somebody said so."""


class Cancelled(Stopped):
    pass


class Drained(Stopped):
    pass


class Lost(Stopped):
    pass


class Lease(Protocol):
    lost: Event
    cancelled: Event
    draining: Event

    @property
    def certain(self) -> bool: ...
    def moved(self, step: int) -> None: ...


class NoLease:
    """Of a render that nobody else can take and nobody cancels: at a shell, in a benchmark."""

    def __init__(self) -> None:
        self.lost, self.cancelled, self.draining = Event(), Event(), Event()
        self.certain = True

    def moved(self, step: int) -> None:
        pass


class Reporter(Protocol):
    def progress(
        self, phase: str, *, step: int, steps: int, seconds_left: float | None = None
    ) -> None: ...
    def preview(self, sprite: Sprite, *, step: int, steps: int) -> None: ...


class Keeper(Protocol):
    """Where checkpoints go."""

    def offer(self, state: RenderState) -> None:
        """A state from which to go on; whether it is written is the keeper's business."""

    def flush(self) -> None:
        """Writes the last one that was offered."""


def render(
    model: Model[Any],
    spec: RenderSpec,
    *,
    lease: Lease,
    draining: Event,
    reporter: Reporter,
    tail_seconds: float,
    start: RenderState | None = None,
    keeper: Keeper | None = None,
    previews: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Any]:
    """The clip's frames, uint8 (H, W, 3), one by one as they are decoded.

    tail_seconds is what decoding and saving took the last time, for the time left; start is a state
    to go on from. When somebody drains, what the keeper was offered last is stored first.
    Raises Stopped between two steps or frames, and what the model raises.
    """
    try:
        state = _denoise(
            model,
            model.begin(spec) if start is None else start,
            lease=lease,
            draining=draining,
            reporter=reporter,
            tail_seconds=tail_seconds,
            keeper=keeper,
            previews=previews,
            clock=clock,
        )
        obey(lease, draining)
        reporter.progress("decoding", step=state.step, steps=state.steps, seconds_left=tail_seconds)
        for frame in model.decode(state):
            obey(lease, draining)
            lease.moved(state.step)
            yield frame
    except Drained:
        if keeper is not None:
            keeper.flush()
        raise


def _denoise(
    model: Model[Any],
    state: RenderState,
    *,
    lease: Lease,
    draining: Event,
    reporter: Reporter,
    tail_seconds: float,
    keeper: Keeper | None,
    previews: bool,
    clock: Callable[[], float],
) -> RenderState:
    """The state after the last step."""
    pace = _Pace(state.steps - state.step, tail_seconds, clock)
    if keeper is not None and state.resumable:
        keeper.offer(state)
    while state.step < state.steps:
        obey(lease, draining)
        state = model.step(state)
        lease.moved(state.step)
        if keeper is not None and state.resumable:
            keeper.offer(state)
        left = pace.stepped()
        if lease.certain:
            reporter.progress("denoising", step=state.step, steps=state.steps, seconds_left=left)
            if previews and pace.preview_is_due():
                sprite = model.preview(state, seconds=pace.preview_seconds(state))
                reporter.preview(sprite, step=state.step, steps=state.steps)
                pace.previewed()
    return state


def obey(lease: Lease, draining: Event) -> None:
    """Raises the Stopped that applies; draining is the process', its lease's is an operator's."""
    obey_the_end(lease)
    if draining.is_set() or lease.draining.is_set():
        raise Drained


def obey_the_end(lease: Lease) -> None:
    """Raises the Stopped after which nobody wants the clip; a lost lease first."""
    if lease.lost.is_set():
        raise Lost
    if lease.cancelled.is_set():
        raise Cancelled


class _Pace:
    """How fast the steps go, and when a preview may cost something again."""

    def __init__(self, steps: int, tail_seconds: float, clock: Callable[[], float]) -> None:
        self._left = steps
        self._tail = tail_seconds
        self._clock = clock
        self._stepped_at = self._clock()
        self._step_seconds: float | None = None
        self._preview_from: float | None = None  # None: there was none yet
        self._preview_started = 0.0

    def stepped(self) -> float:
        """Seconds to the end of the job."""
        now = self._clock()
        seconds = now - self._stepped_at
        self._stepped_at = now
        self._left -= 1
        # The first step compiles and warms up; it counts until there is a second one.
        mean = self._step_seconds
        self._step_seconds = seconds if mean is None else 0.9 * mean + 0.1 * seconds
        return self._left * self._step_seconds + self._tail

    def preview_is_due(self) -> bool:
        self._preview_started = self._clock()
        return self._preview_from is None or self._preview_started >= self._preview_from

    def preview_seconds(self, state: RenderState) -> float:
        """What a preview may cost. The first one nothing: somebody waits for a sign of life."""
        step = self._step_seconds
        if self._preview_from is None or step is None or state.step < BLURRED_SHARE * state.steps:
            return 0.0
        return PREVIEW_SHARE * max(step, SHARP_SECONDS)

    def previewed(self) -> None:
        now = self._clock()
        cost = now - self._preview_started
        self._preview_from = now + max(PREVIEW_SECONDS - cost, cost * (1 / PREVIEW_SHARE - 1))
