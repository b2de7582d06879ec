"""Traces: what they hold, whose they are, and what they cost while they are off."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.exceptions import MiddlewareNotUsed
from django.db import DataError, connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gpu_worker.spans import of_attempt, traced
from jobs import spans, tracing
from jobs.actions import Claim
from jobs.models import Job, JobRequest
from t2v_site.env import is_installed
from t2v_site.requests import Traced

TRACE = "0af7651916cd43dd8448eb211c80319c"
GIVEN = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def told() -> Iterator[InMemorySpanExporter]:
    """What would have gone to the collector."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(sampler=spans.sampler("web", 100))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracing.use(spans.OtelTracer(provider))
    yield memory
    tracing.use(None)
    provider.shutdown()


def _by_name(memory: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in memory.get_finished_spans()}


def test_nothing_of_opentelemetry_is_loaded_while_traces_are_off() -> None:
    code = """
import sys
import threading
class NoTraces:
    def find_spec(self, name, *rest):
        if name.split('.')[0] == 'opentelemetry':
            raise ImportError(name)
sys.meta_path.insert(0, NoTraces())
import t2v_site.asgi, gpu_worker.tasks, gpu_worker.spans
from jobs import tracing
tracing.start("worker")
with tracing.request("GET") as span, span.child("part"):
    print(repr(tracing.submitted() + span.trace))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "''\n", done.stderr


def test_an_extra_that_is_not_installed_is_known_as_such() -> None:
    """T2V_TRACES without it stops the start, with the words that bring it."""
    assert is_installed("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
    assert not is_installed("opentelemetry.sdk", "no_such_package.anything")
    assert not is_installed("opentelemetry.no_such_module")


def test_a_job_goes_on_in_the_trace_of_the_request_that_submitted_it(
    told: InMemorySpanExporter, submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    with tracing.request("POST") as request:
        job = submit()
    held = claim()
    assert held.traceparent == job.request.traceparent == request.traceparent
    attempt = of_attempt(held, claim_seconds=250.0)
    with attempt.child("load"):
        pass
    attempt.end()
    found = _by_name(told)
    assert list(found) == ["POST", "claim", "load", "attempt"]
    assert len({span.context.trace_id for span in found.values()}) == 1
    parents = {name: span.parent and span.parent.span_id for name, span in found.items()}
    of = {name: span.context.span_id for name, span in found.items()}
    assert parents == {
        "POST": None,
        "attempt": of["POST"],
        "claim": of["attempt"],
        "load": of["attempt"],
    }
    assert found["claim"].start_time is not None
    assert found["attempt"].start_time is not None
    assert abs(found["claim"].start_time - found["attempt"].start_time) < 200e9  # ns
    assert dict(found["attempt"].attributes or {}) == {
        "t2v.job": str(job.pk),
        "t2v.attempt": 1,
        "t2v.worker": "worker",
        "t2v.model": held.spec.model,
        "t2v.steps": held.spec.steps,
        "t2v.frames": held.spec.frames,
    }


def test_a_job_that_no_request_submitted_begins_its_own_trace(
    told: InMemorySpanExporter, submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    assert submit().request.traceparent == ""
    of_attempt(claim(), claim_seconds=0.0).end()
    assert _by_name(told)["attempt"].parent is None


@pytest.mark.django_db
def test_a_release_that_knows_no_traces_still_submits(submit: Callable[..., Job]) -> None:
    """The column fills itself: the version before does not name it."""
    job = submit()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_default, is_nullable FROM information_schema.columns "
            "WHERE table_name = 'jobs_jobrequest' AND column_name = 'traceparent'"
        )
        default, nullable = cursor.fetchone()
    assert (default, nullable) == ("''::character varying", "NO")
    assert JobRequest.objects.get(pk=job.pk).traceparent == ""


class _State:
    def __init__(self, step: int) -> None:
        self.step, self.steps = step, 25


class _Model:
    name = "counted"

    def step(self, state: _State) -> _State:
        return _State(state.step + 1)

    def decode(self, state: _State) -> Iterator[int]:
        yield state.step


def test_the_first_the_last_and_every_tenth_step_are_told(told: InMemorySpanExporter) -> None:
    span = tracing.begin("attempt")
    model: Any = traced(_Model(), span, every=10)  # type: ignore[arg-type]
    state = _State(0)
    while state.step < state.steps:
        state = model.step(state)
    assert list(model.decode(state)) == [25]
    assert model.name == "counted"
    found = told.get_finished_spans()
    steps = [(each.attributes or {}).get("t2v.step") for each in found if each.name == "step"]
    assert steps == [1, 10, 20, 25]
    assert found[-1].name == "decode"


def test_a_model_is_left_as_it_is_while_nothing_is_traced() -> None:
    model: Any = _Model()
    assert traced(model, tracing.NONE, every=1) is model


def test_an_attempt_that_failed_says_so_by_its_code(told: InMemorySpanExporter) -> None:
    span = tracing.begin("attempt")
    with pytest.raises(ValueError, match="a marked prompt"), span.child("begin"):
        raise ValueError("a marked prompt")
    span.end("not_finite")
    found = _by_name(told)
    assert found["attempt"].status.description == "not_finite"
    assert found["begin"].status.description == "ValueError"
    assert "marked" not in "".join(each.to_json() for each in found.values())


def _ask(settings: LazySettings, path: str, **headers: str) -> None:
    settings.T2V_TRACES = "http://127.0.0.1:4318"
    middleware = Traced(lambda request: HttpResponse(status=404))
    request: HttpRequest = RequestFactory().get(path, headers=headers)
    request.resolver_match = None
    middleware(request)


def test_a_request_tells_neither_its_path_nor_its_query(
    told: InMemorySpanExporter, settings: LazySettings
) -> None:
    _ask(settings, "/invitations/t2vt_secretsecret?ticket=t2vt_secretsecret")
    (span,) = told.get_finished_spans()
    assert span.name == "GET"
    assert (span.attributes or {})["http.response.status_code"] == 404
    assert "secret" not in span.to_json()


def test_probes_and_scrapes_are_no_traces(
    told: InMemorySpanExporter, settings: LazySettings
) -> None:
    for path in ("/healthz/ready", "/metrics", "/static/js/job.js"):
        _ask(settings, path)
    assert told.get_finished_spans() == ()


@pytest.mark.parametrize(("proxies", "goes_on"), [(0, False), (1, True)])
def test_a_callers_trace_is_gone_on_with_behind_a_proxy_of_ours_alone(
    told: InMemorySpanExporter, settings: LazySettings, proxies: int, goes_on: bool
) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    _ask(settings, "/", traceparent=GIVEN)
    (span,) = told.get_finished_spans()
    assert (f"{span.context.trace_id:032x}" == TRACE) is goes_on


def test_nonsense_for_a_traceparent_begins_a_new_trace(
    told: InMemorySpanExporter, settings: LazySettings
) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    _ask(settings, "/", traceparent="00-nonsense")
    assert told.get_finished_spans()[0].parent is None


def test_the_middleware_is_not_there_while_traces_are_off(settings: LazySettings) -> None:
    settings.T2V_TRACES = ""
    with pytest.raises(MiddlewareNotUsed):
        Traced(lambda request: HttpResponse())


def test_a_worker_obeys_the_lot_that_the_web_drew() -> None:
    web = TracerProvider(sampler=spans.sampler("web", 0))
    worker = TracerProvider(sampler=spans.sampler("worker", 100))
    with spans.OtelTracer(web).request("POST", parent=GIVEN) as request:
        assert request.trace == ""  # whatever the caller's header says
    held = spans.OtelTracer(worker).begin(
        "attempt", parent=request.traceparent, seconds=0.0, values={}
    )
    assert held.trace == ""
    taken = spans.OtelTracer(worker).begin("attempt", parent=GIVEN, seconds=0.0, values={})
    assert taken.trace == TRACE
    web.shutdown()
    worker.shutdown()


class _Away(SpanExporter):  # type: ignore[misc]
    """A collector that takes a batch when it is told so."""

    def __init__(self, *takes: bool) -> None:
        self._takes = iter(takes)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if not next(self._takes):
            raise ConnectionError("refused")
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def test_a_collector_that_is_away_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    exporter = spans.Quietly(_Away(True, False, False, False, True, True))
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            exporter.export([])
    assert [record.message.partition("spans")[0] for record in caplog.records] == [
        "the traces' collector takes no ",
        "the traces' collector takes ",
    ]


class _Hangs(SpanExporter):  # type: ignore[misc]
    """A collector that takes a connection and no more."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.free.wait(120)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.free.set()


def test_a_collector_that_hangs_holds_up_neither_a_render_nor_an_end() -> None:
    hangs = _Hangs()
    provider = TracerProvider(sampler=spans.sampler("worker", 100), shutdown_on_exit=False)
    provider.add_span_processor(spans.in_batches(hangs))
    tracer = spans.OtelTracer(provider)
    attempt = tracer.begin("attempt", parent="", seconds=0.0, values={})
    for _ in range(3 * spans.QUEUED):  # more than wait: these are dropped
        attempt.was("step", seconds=0.1)
    tracer.flush(0.05)
    assert not hangs.free.is_set()
    hangs.free.set()
    provider.shutdown()


def test_the_statements_of_a_request_are_told_without_their_values(
    told: InMemorySpanExporter, db: None
) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans.Quietly(told)))
    PsycopgInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)
    other = connection.copy()
    try:
        with tracing.request("GET") as request, other.cursor() as cursor:
            cursor.execute("SELECT %s::text", ["a marked prompt"])
            assert cursor.fetchone() == ("a marked prompt",)
            with pytest.raises(DataError, match="marked"):
                cursor.execute("SELECT %s::int", ["a marked prompt"])
    finally:
        other.close()
        PsycopgInstrumentor().uninstrument()
    found = [span for span in told.get_finished_spans() if span.name == "SELECT"]
    assert [span.status.is_ok for span in found] == [True, False]
    assert {f"{span.context.trace_id:032x}" for span in found} == {request.trace}
    assert "marked" not in "".join(span.to_json() for span in found)
