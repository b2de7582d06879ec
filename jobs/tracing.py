"""Where the time of one job goes, as a trace: from the request through every attempt to the file.

Off unless T2V_TRACES names a collector. Then, and only then, jobs/spans.py is loaded, which stands
on OpenTelemetry (the extra `traces`); else all of this does nothing, and costs that much.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from django.conf import settings

Values = Mapping[str, str | int | float]  # ids and numbers; no prompt, no name, no address


class Span(Protocol):
    """Something that takes time, as part of something else. Safe to hand to another thread."""

    trace: str  # id of the whole, 32 hexadecimal digits; empty where it is not recorded
    traceparent: str  # as W3C Trace Context writes it; how another process goes on; or empty

    def child(self, name: str, /, **values: Any) -> AbstractContextManager["Span"]:
        """A part of it, as long as the with."""

    def was(self, name: str, /, *, seconds: float, **values: Any) -> None:
        """A part of it that ends now and took so long."""

    def note(self, *, name: str = "", **values: Any) -> None: ...
    def end(self, error: str = "") -> None:
        """error: a stable code, never a text."""


class Tracer(Protocol):
    def begin(self, name: str, *, parent: str, seconds: float, values: Values) -> Span: ...
    def request(self, name: str, *, parent: str) -> AbstractContextManager[Span]: ...
    def current(self) -> str: ...
    def flush(self, seconds: float) -> None: ...


class _NoSpan:
    trace = traceparent = ""

    @contextmanager
    def child(self, name: str, /, **values: Any) -> Iterator[Span]:
        yield self

    def was(self, name: str, /, *, seconds: float, **values: Any) -> None:
        pass

    def note(self, *, name: str = "", **values: Any) -> None:
        pass

    def end(self, error: str = "") -> None:
        pass


NONE: Span = _NoSpan()


class _Off:
    def begin(self, name: str, *, parent: str, seconds: float, values: Values) -> Span:
        return NONE

    @contextmanager
    def request(self, name: str, *, parent: str) -> Iterator[Span]:
        yield NONE

    def current(self) -> str:
        return ""

    def flush(self, seconds: float) -> None:
        pass


_tracer: Tracer = _Off()


def start(part: str) -> None:
    """In a process whose time is to be told: web, worker. Once."""
    if settings.T2V_TRACES:
        load: Callable[[str], Tracer] = importlib.import_module("jobs.spans").tracer
        use(load(part))


def use(tracer: Tracer | None) -> None:
    """None: off."""
    global _tracer  # noqa: PLW0603 - one process, one tracer
    _tracer = tracer or _Off()


def begin(name: str, *, parent: str = "", seconds: float = 0.0, **values: Any) -> Span:
    """Began so many seconds ago; ends when it is told to. parent: a traceparent, or it is a new
    trace."""
    return _tracer.begin(name, parent=parent, seconds=seconds, values=values)


def request(name: str, *, parent: str = "") -> AbstractContextManager[Span]:
    """The request at hand: what is current until the end of the with."""
    return _tracer.request(name, parent=parent)


def submitted() -> str:
    """The traceparent for what is submitted here and now; empty when nothing is traced."""
    return _tracer.current()


def flush(seconds: float) -> None:
    """What is recorded goes out before this process ends; takes no longer than that."""
    _tracer.flush(seconds)
