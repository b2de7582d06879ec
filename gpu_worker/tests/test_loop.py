"""The loop obeys between two steps, and tells only what is certain."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from threading import Event

import pytest

from gpu_worker import loop
from gpu_worker.engine import RenderState, Sprite
from jobs.spec import RenderSpec

SPEC = RenderSpec(
    model="counting",
    prompt="x",
    width=16,
    height=16,
    frames=7,
    fps=12,
    steps=10,
    guidance=1.0,
    seed=1,
)


@dataclass(frozen=True)
class Count:
    step: int
    steps: int
    resumable: bool = True


@dataclass
class Counting:
    """A model whose render is its step count; before_step lets a test act between two steps."""

    before_step: Callable[[int], None] = lambda step: None
    stepped: list[int] = field(default_factory=list)
    decoded: int = 0
    on_pressure: Callable[[], None] | None = None

    def fingerprint(self) -> dict[str, str]:
        return {}

    def begin(self, spec: RenderSpec) -> Count:
        return Count(0, spec.steps)

    def step(self, state: Count) -> Count:
        self.before_step(state.step)
        self.stepped.append(state.step)
        return Count(state.step + 1, state.steps)

    def preview(self, state: Count, *, seconds: float = 0.0) -> Sprite:
        return Sprite(image=b"x", codec="jpeg", frames=1, tile_width=1, tile_height=1)

    def decode(self, state: Count) -> Iterator[int]:
        for frame in range(7):
            self.decoded += 1
            yield frame

    def to_tensors(self, state: Count) -> dict[str, int]:
        return {"steps": state.steps}

    def from_tensors(self, spec: RenderSpec, tensors: Mapping[str, int], step: int) -> Count:
        return Count(step, tensors["steps"])


@dataclass
class Timed(Counting):
    """Steps and previews take the seconds that they are given, on a clock of their own."""

    step_seconds: float = 0.0
    preview_seconds: float = 0.0
    now: float = 100.0
    shown: list[tuple[int, float]] = field(default_factory=list)  # (step, when it was begun)
    allowed: list[float] = field(default_factory=list)  # seconds

    def step(self, state: Count) -> Count:
        self.now += self.step_seconds
        return Counting.step(self, state)

    def preview(self, state: Count, *, seconds: float = 0.0) -> Sprite:
        self.shown.append((state.step, self.now))
        self.allowed.append(seconds)
        self.now += self.preview_seconds
        return Counting.preview(self, state)


@dataclass
class Held:
    """A lease that a test lets go of."""

    lost: Event = field(default_factory=Event)
    cancelled: Event = field(default_factory=Event)
    draining: Event = field(default_factory=Event)
    certain: bool = True
    steps: list[int] = field(default_factory=list)

    def moved(self, step: int) -> None:
        self.steps.append(step)


@dataclass
class Told:
    ticks: list[tuple[str, int]] = field(default_factory=list)
    previews: list[int] = field(default_factory=list)

    def progress(
        self, phase: str, *, step: int, steps: int, seconds_left: float | None = None
    ) -> None:
        assert seconds_left is None or seconds_left >= 0
        self.ticks.append((phase, step))

    def preview(self, sprite: Sprite, *, step: int, steps: int) -> None:
        self.previews.append(step)


def _render(model: Counting, lease: Held, told: Told, draining: Event | None = None) -> list[int]:
    return list(
        loop.render(
            model,
            SPEC,
            lease=lease,
            draining=draining or Event(),
            reporter=told,
            tail_seconds=1.0,
        )
    )


def test_a_render_is_every_step_once_and_then_every_frame() -> None:
    model, lease, told = Counting(), Held(), Told()
    assert _render(model, lease, told) == list(range(7))
    assert model.stepped == list(range(10))
    assert told.ticks == [("denoising", step) for step in range(1, 11)] + [("decoding", 10)]
    assert told.previews[:1] == [1]
    assert lease.steps[:10] == list(range(1, 11))


@pytest.mark.parametrize(
    ("order", "stopped"),
    [("cancelled", loop.Cancelled), ("lost", loop.Lost), ("draining", loop.Drained)],
)
def test_an_order_is_obeyed_before_the_next_step_and_nothing_is_decoded(
    order: str, stopped: type[loop.Stopped]
) -> None:
    lease, draining = Held(), Event()
    event = {"cancelled": lease.cancelled, "lost": lease.lost, "draining": draining}[order]
    model = Counting(before_step=lambda step: event.set() if step == 4 else None)
    with pytest.raises(stopped):
        _render(model, lease, Told(), draining)
    assert model.stepped == [0, 1, 2, 3, 4]
    assert model.decoded == 0


def test_an_order_during_the_last_frames_is_obeyed_too() -> None:
    lease, model = Held(), Counting()
    frames = loop.render(
        model, SPEC, lease=lease, draining=Event(), reporter=Told(), tail_seconds=0.0
    )
    next(frames)
    lease.cancelled.set()
    with pytest.raises(loop.Cancelled):
        next(frames)


def test_a_drain_during_the_last_frames_leaves_the_last_step_behind() -> None:
    kept: list[str] = []

    class Kept:
        def offer(self, state: RenderState) -> None:
            kept.append(f"step {state.step}")

        def flush(self) -> None:
            kept.append("flushed")

    draining = Event()
    frames = loop.render(
        Counting(),
        SPEC,
        lease=Held(),
        draining=draining,
        reporter=Told(),
        tail_seconds=0.0,
        keeper=Kept(),
    )
    next(frames)
    draining.set()
    with pytest.raises(loop.Drained):
        next(frames)
    assert kept[-2:] == [f"step {SPEC.steps}", "flushed"]


def test_a_lost_lease_goes_before_a_cancel() -> None:
    lease = Held()
    lease.cancelled.set()
    lease.lost.set()
    with pytest.raises(loop.Lost):
        _render(Counting(), lease, Told())


def test_nothing_is_told_while_the_lease_is_not_certain() -> None:
    lease, told = Held(certain=False), Told()
    assert len(_render(Counting(), lease, told)) == 7
    assert told.previews == []
    assert [phase for phase, _ in told.ticks] == ["decoding"]


def _timed(steps: int, *, step_seconds: float, preview_seconds: float) -> Timed:
    model = Timed(step_seconds=step_seconds, preview_seconds=preview_seconds)
    frames = loop.render(
        model,
        replace(SPEC, steps=steps),
        lease=Held(),
        draining=Event(),
        reporter=Told(),
        tail_seconds=0.0,
        clock=lambda: model.now,
    )
    assert len(list(frames)) == 7
    return model


def test_a_fast_model_shows_its_first_step_at_once_and_then_at_most_five_a_second() -> None:
    model = _timed(1000, step_seconds=0.01, preview_seconds=0.002)
    steps, times = zip(*model.shown, strict=True)
    assert (steps[0], times[0]) == (1, 100.01)
    gaps = [after - before for before, after in pairwise(times)]
    assert min(gaps) >= 0.2 - 1e-9
    assert max(gaps) <= 0.2 + 0.012, "and no fewer than it may"


def test_a_slow_model_shows_every_step_once() -> None:
    model = _timed(20, step_seconds=2.0, preview_seconds=0.3)
    assert [step for step, _ in model.shown] == list(range(1, 21))


def test_previews_that_are_dear_take_no_more_than_their_share_of_the_time() -> None:
    model = _timed(1000, step_seconds=0.01, preview_seconds=0.09)
    spent = len(model.shown) * 0.09
    assert 0.18 <= spent / (model.now - 100.0) <= 0.21


@pytest.mark.parametrize(("step_seconds", "allowed"), [(0.01, 0.1), (6.0, 1.2)])
def test_from_half_of_the_steps_on_a_preview_may_cost_a_share_of_a_step(
    step_seconds: float, allowed: float
) -> None:
    """Of a fast model's steps: of half a second of them."""
    model = _timed(500, step_seconds=step_seconds, preview_seconds=0.001)
    for (step, _), seconds in zip(model.shown, model.allowed, strict=True):
        wanted = 0.0 if step < 250 else allowed
        assert seconds == pytest.approx(wanted, rel=0.01), step
    assert model.allowed[-1] > 0


def test_the_first_preview_after_a_resume_may_cost_nothing() -> None:
    model = Timed(step_seconds=6.0)
    frames = loop.render(
        model,
        SPEC,
        lease=Held(),
        draining=Event(),
        reporter=Told(),
        tail_seconds=0.0,
        start=Count(7, 10),
        clock=lambda: model.now,
    )
    assert len(list(frames)) == 7
    assert model.shown[0][0] == 8
    assert model.allowed == [0.0, pytest.approx(1.2), pytest.approx(1.2)]
