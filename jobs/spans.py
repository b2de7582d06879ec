"""Spans by OpenTelemetry, sent over OTLP/HTTP. jobs/tracing.py loads it, where T2V_TRACES is set.

Parents are said, not taken from the thread: a render, its tail and its checkpoints are threads of
their own. Only a request is current, for the statements that Django makes in it.
"""

import atexit
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from jobs.tracing import Span, Tracer, Values

logger = logging.getLogger(__name__)

NAME = "t2v"  # of what makes our spans
QUEUED = 2048  # spans that wait for the collector; more are dropped: some 1 MB
EXPORT_SECONDS = 5  # for one batch of at most 512, with all its tries
EVERY_SECONDS = 2.0  # between two batches
LAST_SECONDS = 1.0  # for what waits when the process ends
_W3C = TraceContextTextMapPropagator()


class Quietly(SpanExporter):  # type: ignore[misc]  # taken as untyped, for it may be absent
    """Says once that the collector is away and once that it is back; a batch that fails is lost.

    What is sent holds no text of an error.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export([_without_words(span) for span in spans])
        except Exception as error:  # whatever it was: nobody waits for spans
            logger.debug("no spans sent (%s)", type(error).__name__)
            result = SpanExportResult.FAILURE
        away = result is not SpanExportResult.SUCCESS
        if away and not self._away:
            logger.warning("the traces' collector takes no spans; they are dropped until it does")
        if self._away and not away:
            logger.warning("the traces' collector takes spans again")
        self._away = away
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return bool(self._exporter.force_flush(timeout_millis))


def _without_words(span: ReadableSpan) -> ReadableSpan:
    """A statement that Postgres refuses is told with the error's text, which repeats the row: of
    spans that are not ours neither events nor the words of their status go out."""
    scope = span.instrumentation_scope
    if scope is not None and scope.name == NAME:
        return span
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        links=span.links,
        kind=span.kind,
        status=trace.Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=scope,
    )


class OtelSpan:
    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer, self._span = tracer, span
        at = span.get_span_context()
        self.trace = f"{at.trace_id:032x}" if at.trace_flags.sampled else ""
        self.traceparent = f"00-{at.trace_id:032x}-{at.span_id:016x}-{int(at.trace_flags):02x}"

    @contextmanager
    def child(self, name: str, /, **values: Any) -> Iterator[Span]:
        span = self._child(name, values)
        try:
            yield span
        except BaseException as error:
            span.end(getattr(error, "code", type(error).__name__))
            raise
        span.end()

    def was(self, name: str, /, *, seconds: float, **values: Any) -> None:
        self._child(name, values, seconds=seconds).end()

    def note(self, *, name: str = "", **values: Any) -> None:
        if name:
            self._span.update_name(name)
        self._span.set_attributes(_named(values))

    def end(self, error: str = "") -> None:
        if error:
            self._span.set_status(trace.StatusCode.ERROR, error)
        self._span.end()

    def _child(self, name: str, values: Values, *, seconds: float = 0.0) -> "OtelSpan":
        span = self._tracer.start_span(
            name,
            trace.set_span_in_context(self._span, Context()),
            attributes=_named(values),
            start_time=_ago(seconds),
        )
        return OtelSpan(self._tracer, span)


class OtelTracer:
    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(NAME)

    def begin(self, name: str, *, parent: str, seconds: float, values: Values) -> Span:
        span = self._tracer.start_span(
            name,
            _context(parent),
            kind=trace.SpanKind.CONSUMER,
            attributes=_named(values),
            start_time=_ago(seconds),
        )
        return OtelSpan(self._tracer, span)

    @contextmanager
    def request(self, name: str, *, parent: str) -> Iterator[Span]:
        span = self._tracer.start_span(name, _context(parent), kind=trace.SpanKind.SERVER)
        quiet = {"record_exception": False, "set_status_on_exception": False}
        with trace.use_span(span, end_on_exit=True, **quiet):
            yield OtelSpan(self._tracer, span)

    def current(self) -> str:
        span = trace.get_current_span()
        valid = span.get_span_context().is_valid
        return OtelSpan(self._tracer, span).traceparent if valid else ""

    def flush(self, seconds: float) -> None:
        # OpenTelemetry's own takes as long as the collector does.
        thread = threading.Thread(target=self._provider.force_flush, name="spans", daemon=True)
        thread.start()
        thread.join(seconds)


def tracer(part: str) -> Tracer:
    """part: web or worker."""
    endpoint = f"{settings.T2V_TRACES.rstrip('/')}/v1/traces"
    exporter = Quietly(OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS))
    for name in ("opentelemetry", "urllib3.connectionpool"):  # Quietly says it, once
        logging.getLogger(name).setLevel(logging.CRITICAL)
    provider = TracerProvider(
        shutdown_on_exit=False,  # which waits for a collector that is away
        sampler=sampler(part, settings.T2V_TRACES_PERCENT),
        resource=Resource.create({"service.name": f"t2v-{part}"}),
    )
    provider.add_span_processor(in_batches(exporter))
    if part == "web" and settings.T2V_TRACES_SQL:
        PsycopgInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)
    made = OtelTracer(provider)
    atexit.register(made.flush, LAST_SECONDS)
    return made


def in_batches(exporter: SpanExporter) -> BatchSpanProcessor:
    return BatchSpanProcessor(
        exporter,
        max_queue_size=QUEUED,
        max_export_batch_size=QUEUED // 4,
        schedule_delay_millis=int(EVERY_SECONDS * 1000),
    )


def sampler(part: str, percent: int) -> Sampler:
    """The web draws lots for each trace, whatever a header says; a worker obeys the lot."""
    lot = TraceIdRatioBased(percent / 100)
    if part == "web":
        return ParentBased(lot, remote_parent_sampled=lot, remote_parent_not_sampled=lot)
    return ParentBased(lot)


def _context(parent: str) -> Context:
    """An empty one for what is no traceparent: a new trace begins."""
    return _W3C.extract({"traceparent": parent}, Context()) if parent else Context()


def _ago(seconds: float) -> int:
    return time.time_ns() - int(seconds * 1e9)


def _named(values: Values) -> dict[str, str | int | float]:
    """Ours are told apart from OpenTelemetry's own names, which have a dot."""
    return {(name if "." in name else f"t2v.{name}"): value for name, value in values.items()}
