"""A collector of traces: OTLP over HTTP, as far as a test needs it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, kw_only=True)
class Told:
    name: str
    service: str
    trace: str
    span: str
    parent: str  # empty: none
    values: dict[str, str]


@dataclass
class Collector:
    url: str
    spans: list[Told] = field(default_factory=list)
    raw: bytes = b""
    _news: threading.Condition = field(default_factory=threading.Condition)

    def take(self, body: bytes) -> None:
        told = [
            Told(
                name=span.name,
                service=service,
                trace=span.trace_id.hex(),
                span=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                values={each.key: _value(each.value) for each in span.attributes},
            )
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
            for service in [_service(group.resource.attributes)]
            for scope in group.scope_spans
            for span in scope.spans
        ]
        with self._news:
            self.raw += body
            self.spans += told
            self._news.notify_all()

    def wait_for(
        self, name: str, *, seconds: float, job: str | None = None, trace: str | None = None
    ) -> Told:
        """The first span of that name; of that job, and in that trace, where one is given."""

        def is_it(span: Told) -> bool:
            of_job = job is None or span.values.get("t2v.job") == job
            return span.name == name and of_job and trace in (None, span.trace)

        with self._news:
            self._news.wait_for(lambda: any(map(is_it, self.spans)), seconds)
            span = next(filter(is_it, self.spans), None)
        assert span is not None, sorted({span.name for span in self.spans})
        return span


def _value(value: Any) -> str:
    return str(getattr(value, value.WhichOneof("value")))


def _service(attributes: Any) -> str:
    return next(_value(each.value) for each in attributes if each.key == "service.name")


@contextmanager
def collecting() -> Iterator[Collector]:
    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        made = Collector(url=f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join(10)
