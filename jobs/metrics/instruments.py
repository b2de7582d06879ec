"""What each process counts where it happens: one line at each place, 1 to 2 µs.

Until start was called it is counted in memory and told to nobody: commands and tests need no files.
Nothing here raises: no request and no render fails because it could not be counted.
"""

import hashlib
import logging
import os
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    values,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from jobs.metrics import slots
from jobs.metrics.catalogue import METRICS, OTHER, VALUES, Kind, Metric, Source, values_of
from jobs.metrics.labels import Known

logger = logging.getLogger(__name__)

# Also where a process of ours that started this one has its folder in the environment.
values.ValueClass = values.MutexValue
_disable: Any = disable_created_metrics  # the client has no types here
_merge: Any = MultiProcessCollector.merge
_values: Any = values.MultiProcessValue
_disable()  # a second series for each, which says nothing
METHODS = frozenset(VALUES["method"])
OPEN = frozenset({"model", "reason"})  # labels that Known keeps bounded
# Not counted in a file: these are told by whoever is asked (_Build below, jobs/metrics/page.py).
TOLD = frozenset({"t2v_build_info", "t2v_dependency_up"})
HERE = [
    each for each in METRICS.values() if each.source is Source.PROCESS and each.name not in TOLD
]
# So that a rate has a value to begin at: what is told of from the start, with 0.
REQUESTS = [
    (surface, method, status)
    for surface in ("page", "api", "v1", "events")
    for method in ("GET", "POST")
    for status in ("2xx", "5xx")
]
ADMISSIONS = [
    ("accepted", ""),
    *(
        ("refused", code)
        for code in (
            *("too_many_jobs", "gpu_seconds_used_up", "storage_full", "queue_full"),
            *("rate_limited", "model_off"),
        )
    ),
]
UNREADABLE = (struct.error, RuntimeError, ValueError)  # of a file that is written at this moment


class Counted:
    """The metrics of one process, in memory or in the files of its slot."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._metrics = {each.name: self._made(each) for each in HERE}
        self._children: dict[tuple[str, ...], Any] = {}
        self._known = {label: Known() for label in OPEN}

    def _made(self, metric: Metric) -> Any:
        name, words, labels = metric.name, metric.words, metric.labels
        if metric.kind is Kind.HISTOGRAM:
            return Histogram(name, words, labels, buckets=metric.buckets, registry=self.registry)
        if metric.kind is Kind.GAUGE:
            return Gauge(name, words, labels, multiprocess_mode="livesum", registry=self.registry)
        return Counter(name, words, labels, registry=self.registry)

    def of(self, name: str, *labels: str) -> Any:
        child = self._children.get((name, *labels))
        if child is None:
            child = self._children[name, *labels] = self._child(name, labels)
        return child

    def _child(self, name: str, labels: tuple[str, ...]) -> Any:
        if not labels:
            return self._metrics[name]
        told = [
            self._known[label].told(value) if label in OPEN and value else value
            for label, value in zip(METRICS[name].labels, labels, strict=True)
        ]
        return self._metrics[name].labels(*told)

    def begin(self) -> None:
        for metric in HERE:
            if metric.name == "t2v_http_requests_total":
                for labels in REQUESTS:
                    self.of(metric.name, *labels)
            elif metric.name == "t2v_admissions_total":
                for outcome, reason in ADMISSIONS:
                    self.of(metric.name, outcome, reason)
            elif metric.kind is not Kind.GAUGE and len(metric.labels) == 1:
                for value in values_of(metric, *metric.labels):
                    self.of(metric.name, value)
        for kind in ("ws", "sse"):
            self.of("t2v_sockets", kind).set(0)


_here = Counted()
_slot: slots.Slot | None = None


def start(root: Path | None = None) -> None:
    """From now on this process counts in files below root, with all others of the machine."""
    if _slot is None:
        _take(root or settings.T2V_VAR / "metrics", _schema())
        os.register_at_fork(after_in_child=_forked)


def _take(root: Path, schema: str) -> None:
    global _here, _slot  # noqa: PLW0603 - a process has one
    try:
        _slot = slots.take(root, schema)
    except (OSError, slots.NoSlot) as error:
        logger.warning("what this process counts is told by itself alone (%s)", error)
        _slot, values.ValueClass = None, values.MutexValue
    else:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_slot.folder)
        # Its own number, whatever becomes of _slot: nobody else's files are ever written.
        values.ValueClass = _values(partial(str, _slot.number))
    _here = Counted()
    _here.begin()


def _schema() -> str:
    told = [(each.name, each.kind, each.labels, each.buckets, each.words) for each in HERE]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


def _forked() -> None:
    """Two processes must not count in one place."""
    if _slot is not None:
        _slot.let_go()
        _take(_slot.folder.parent, _slot.folder.name)


def collectors() -> list[Collector]:
    """Of all processes that count below the same root; of this one alone where it has no file."""
    return [_Build(), _here.registry if _slot is None else _Files(_slot.folder)]


class _Build(Collector):
    def collect(self) -> Iterator[Family]:
        metric = METRICS["t2v_build_info"]
        family = GaugeMetricFamily(metric.name, metric.words, labels=metric.labels)
        family.add_metric([settings.T2V_VERSION], 1)
        yield family


class _Files(Collector):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Family]:
        files = slots.files(self._folder)
        try:
            yield from _merge(files)
        except UNREADABLE:  # it grew at this moment, or a disk broke it: the others go on telling
            yield from _merge(slots.whole(files))


# --- What is counted, in the words of those who call ----------------------------------------------


def answered(surface: str, method: str, status: int, seconds: float) -> None:
    """A request, when its answer begins."""
    kind = method if method in METHODS else OTHER
    _here.of("t2v_http_requests_total", surface, kind, f"{status // 100}xx").inc()
    _here.of("t2v_http_request_seconds", surface).observe(seconds)


def admitted(jobs: int = 1) -> None:
    """After the commit of a submit."""
    _here.of("t2v_admissions_total", "accepted", "").inc(jobs)


def refused(code: str) -> None:
    """A submit; code is the refusal's."""
    _here.of("t2v_admissions_total", "refused", code).inc()


def opened(kind: str) -> None:
    """A live connection, ws or sse."""
    _here.of("t2v_sockets", kind).inc()


def closed(kind: str) -> None:
    _here.of("t2v_sockets", kind).dec()


def handed_over(lag_seconds: float) -> None:
    """News of a job to one viewer, so long after it happened by Postgres' clock."""
    _here.of("t2v_event_lag_seconds").observe(max(0.0, lag_seconds))


def preview_sent() -> None:
    _here.of("t2v_previews_sent_total").inc()


def stepped(model: str, seconds: float) -> None:
    _here.of("t2v_step_seconds", model).observe(seconds)


def checkpointed(model: str, seconds: float, size: int) -> None:
    """size in bytes."""
    _here.of("t2v_checkpoint_seconds", model).observe(seconds)
    _here.of("t2v_checkpoint_bytes_total", model).inc(size)


def storage_answered(operation: str, seconds: float) -> None:
    _here.of("t2v_storage_seconds", operation).observe(seconds)


def storage_failed(operation: str) -> None:
    _here.of("t2v_storage_errors_total", operation).inc()


def redis_failed(part: str) -> None:
    _here.of("t2v_redis_errors_total", part).inc()
