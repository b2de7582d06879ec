"""A model whose work shows in the trace of its attempt: begin, sampled steps, decode."""

from collections.abc import Iterator
from typing import Any

from gpu_worker.engine import Model
from jobs import tracing
from jobs.actions import Claim
from jobs.tracing import Span


def of_attempt(claim: Claim, *, claim_seconds: float) -> Span:
    """In the trace of the request that submitted the job; the claim, its first part, has been."""
    span = tracing.begin(
        "attempt",
        parent=claim.traceparent,
        seconds=claim_seconds,
        job=str(claim.job),
        attempt=claim.attempt,
        worker=claim.worker.partition("/")[0],
        model=claim.spec.model,
        steps=claim.spec.steps,
        frames=claim.spec.frames,
    )
    span.was("claim", seconds=claim_seconds)
    return span


def traced(model: Model[Any], span: Span, *, every: int) -> Any:
    """The model itself where nothing is recorded. every: steps of which one is told, besides the
    first and the last: a span costs some 30 µs, and a trace of 64 steps is hard to read."""
    return _Traced(model, span, every) if span.trace else model


class _Traced:
    def __init__(self, model: Model[Any], span: Span, every: int) -> None:
        self._model, self._span, self._every = model, span, every

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def begin(self, spec: Any) -> Any:
        with self._span.child("begin"):
            return self._model.begin(spec)

    def step(self, state: Any) -> Any:
        number = state.step + 1
        if number not in (1, state.steps) and number % self._every:
            return self._model.step(state)
        with self._span.child("step", step=number, steps=state.steps):
            return self._model.step(state)

    def decode(self, state: Any) -> Iterator[Any]:
        with self._span.child("decode"):
            yield from self._model.decode(state)
