"""How long a render takes, how long a job waits, and what it costs. Pure: no I/O, no framework.

Seconds are those of past renders of the same model, scaled by work: a fixed part (text encoder,
first frames, upload) and a part that grows with steps × frames × pixels. Everything is a median,
so that one render on a busy machine moves nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from statistics import median, quantiles
from typing import Any

from jobs.spec import RenderSpec

MOST_SAMPLES = 100  # pairs grow with the square: 4,950 of them take 3 ms
LIKE = 1.1  # works closer than this factor say nothing about a slope
FEW = 5  # samples: with fewer, how far renders scatter is a guess
GUESSED_BEST, GUESSED_WORST = 0.5, 2.0  # times the expected seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One past render, begun from noise and finished."""

    work: float  # of work_of()
    seconds: float  # from the claim to the success


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Seconds. One of ten renders is quicker than the best, one slower than the worst."""

    best: float
    expected: float
    worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How quickly the workers of a pool render one model."""

    fixed_seconds: float  # of every render, whatever its size
    seconds_per_unit: float  # of work_of()
    best: float = GUESSED_BEST  # times the expected seconds
    worst: float = GUESSED_WORST
    renders: int  # that it was fitted to

    def span(self, work: float) -> Span:
        expected = self.fixed_seconds + self.seconds_per_unit * work
        return Span(best=expected * self.best, expected=expected, worst=expected * self.worst)

    def as_dict(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Pace":
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A pool at one moment: what waits, what renders, who takes jobs."""

    queued: int
    queued_seconds: float  # of rendering, on one worker
    running: int
    running_seconds: float  # until all that renders is done, on one worker
    workers: int  # that live and take jobs

    @property
    def mean_seconds(self) -> float:
        """Of one queued job."""
        return self.queued_seconds / self.queued if self.queued else 0.0


def work_of(spec: RenderSpec) -> float:
    """Steps × frames × megapixels."""
    return spec.steps * spec.frames * spec.width * spec.height / 1e6


def fit(samples: Sequence[Sample]) -> Pace | None:
    """The pace that these renders show, the newest MOST_SAMPLES of them first; None of none.

    The line through them is the median of all slopes between two of them (Theil and Sen's), which
    holds until 29 % of the samples are off. Source: P. K. Sen, Journal of the American Statistical
    Association 63 (1968), 1379.
    """
    used = [sample for sample in samples[:MOST_SAMPLES] if sample.work > 0 and sample.seconds > 0]
    if not used:
        return None
    fixed, slope = _line(used)
    scatter = [sample.seconds / (fixed + slope * sample.work) for sample in used]
    if len(used) < FEW:
        return Pace(fixed_seconds=fixed, seconds_per_unit=slope, renders=len(used))
    tenths = quantiles(scatter, n=10, method="inclusive")
    return Pace(
        fixed_seconds=fixed,
        seconds_per_unit=slope,
        best=min(1.0, tenths[0]),
        worst=max(1.0, tenths[-1]),
        renders=len(used),
    )


def _line(samples: Sequence[Sample]) -> tuple[float, float]:
    """Fixed seconds and seconds for each unit, neither below 0."""
    slopes = [
        (b.seconds - a.seconds) / (b.work - a.work)
        for a, b in combinations(samples, 2)
        if max(a.work, b.work) > LIKE * min(a.work, b.work)
    ]
    slope = median(slopes) if slopes else 0.0
    if slope > 0:
        fixed = median(sample.seconds - slope * sample.work for sample in samples)
        if fixed >= 0:
            return fixed, slope
    return 0.0, median(sample.seconds / sample.work for sample in samples)


def wait_seconds(load: Load, *, ahead: int | None = None) -> float | None:
    """Until a job begins that has so many before it; None while nobody takes jobs.

    ahead is None for a job that comes behind all of them. All workers together do all the work that
    is before it; when it begins, the others are about as far from their ends as they are now, a
    little less for it is the first of them that ended. With one worker that is exact, with more on
    the average.
    """
    if load.workers <= 0:
        return None
    before = load.queued if ahead is None else ahead
    if before < load.workers - load.running:
        return 0.0
    others = min(load.running, load.workers - 1)
    left_of_others = load.running_seconds / (load.running + 1) * others
    work = load.running_seconds + before * load.mean_seconds - left_of_others
    return max(0.0, work / load.workers)


def retry_after(wait: float, *, limit: float, margin: float) -> int:
    """Whole seconds until a wait has fallen to the limit, if nobody else comes meanwhile.

    While all workers work, a second of time takes a second off the wait. margin: by how many
    seconds what is known of the load may be late.
    """
    return max(1, math.ceil(wait - limit + margin))


def money(gpu_seconds: float, *, price: Decimal) -> str:
    """price: of one GPU second. Six decimals, so that a sum of many small jobs is right."""
    return f"{Decimal(repr(gpu_seconds)) * price:.6f}"
