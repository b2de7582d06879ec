"""Every metric of the site as data: its name, kind, labels, buckets, words. Pure: no I/O.

Three sources. NOW is read from Postgres at a scrape, the same whichever process is asked. HISTORY
is counted by the sweep from what happened to jobs (tallies.py): exact, and some 15 s behind.
PROCESS is counted where it happens. docs/reference/metrics.md is held to this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from jobs.lifecycle import FINAL, Outcome


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    NOW = "now"
    HISTORY = "history"
    PROCESS = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    name: str  # of a counter with _total; of a histogram without _bucket, _sum, _count
    kind: Kind
    source: Source
    words: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()  # upper ends, in the unit of the name; +Inf follows


MOST = 100  # values of pool, model and worker each; what comes after them is OTHER
OTHER = "other"
# Labels whose values are known beforehand: these and no others, and there from the start with 0.
VALUES: Mapping[str, tuple[str, ...]] = {
    "state": tuple(sorted(state.value for state in FINAL)),
    "worker_state": ("starting", "ready", "draining", "trouble", "silent"),
    "fault": ("none", "user", "service"),
    "kind": ("first", "again", "released"),  # of an attempt
    "outcome": tuple(each.value for each in Outcome if each is not Outcome.RUNNING),
    "delivery": ("delivered", "failed", "exhausted"),
    "admission": ("accepted", "refused"),
    "surface": ("page", "api", "v1", "events", "files", "admin", "accounts", "other"),
    "status": ("1xx", "2xx", "3xx", "4xx", "5xx"),
    "method": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER),
    "socket": ("ws", "sse"),
    "operation": ("put", "get", "delete", "size", "list"),
    "part": ("relay", "reporter", "ring", "previews", "rates", "promises", "sweep"),
    "dependency": ("redis", "storage"),
}
# Of VALUES' states and faults those that go together.
ENDS = (
    ("succeeded", "none"),
    ("cancelled", "none"),
    ("failed", "user"),
    ("failed", "service"),
    ("parked", "service"),
    ("expired", "service"),
)

QUEUE_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 86_400)
RENDER_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400)
REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LAG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
STEP_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60)
STORAGE_SECONDS = (0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def _gauge(name: str, words: str, *labels: str, source: Source = Source.NOW) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, source=source, words=words, labels=labels)


def _counter(name: str, words: str, *labels: str, source: Source = Source.HISTORY) -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, source=source, words=words, labels=labels)


def _histogram(
    name: str,
    words: str,
    *labels: str,
    buckets: tuple[float, ...],
    source: Source = Source.HISTORY,
) -> Metric:
    return Metric(
        name=name,
        kind=Kind.HISTOGRAM,
        source=source,
        words=words,
        labels=labels,
        buckets=buckets,
    )


_NOW = (
    _gauge("t2v_queue_jobs", "Jobs that wait for a worker, those of a later time too.", "pool"),
    _gauge(
        "t2v_queue_held_jobs",
        "Jobs that wait for a place under their workspace's or owner's quota.",
        "pool",
    ),
    _gauge("t2v_queue_oldest_seconds", "Since when the job that is due longest waits.", "pool"),
    _gauge("t2v_queue_work_seconds", "GPU seconds that the queued jobs will take.", "pool"),
    _gauge("t2v_running_jobs", "Jobs under a worker's lease.", "pool"),
    _gauge("t2v_running_work_seconds", "GPU seconds until what runs is done.", "pool"),
    _gauge(
        "t2v_workers",
        "Workers by what they do; silent: no sign for 60 s, none that may be taken away (spot).",
        "pool",
        "state",
    ),
    _gauge("t2v_leases_overdue", "Leases that have ended and that nobody took back yet.", "pool"),
    _gauge("t2v_sweep_age_seconds", "Since the sweep was last seen at work."),
    _gauge("t2v_tally_lag_seconds", "Age of the oldest event that no counter tells of yet."),
    _gauge("t2v_webhook_due", "Deliveries of webhooks that could be sent now."),
    _gauge("t2v_webhook_oldest_seconds", "Since when the delivery that is due longest waits."),
    _gauge("t2v_gpu_memory_used_bytes", "Of the worker's device.", "pool", "worker"),
    _gauge("t2v_gpu_memory_total_bytes", "Of the worker's device.", "pool", "worker"),
    _gauge("t2v_gpu_utilisation_ratio", "Share of time in which it computed.", "pool", "worker"),
    _gauge("t2v_gpu_temperature_celsius", "Of the worker's GPU.", "pool", "worker"),
    _gauge("t2v_gpu_power_watts", "What the worker's GPU draws.", "pool", "worker"),
    _gauge("t2v_database_up", "1 when Postgres answered this scrape, else 0."),
    _gauge("t2v_database_seconds", "What reading Postgres took for these values."),
)
_HISTORY = (
    _counter("t2v_jobs_submitted_total", "Jobs that were accepted.", "pool"),
    _counter("t2v_jobs_ended_total", "Jobs that ended, and whose fault.", "pool", "state", "fault"),
    _counter(
        "t2v_attempts_started_total",
        "Attempts begun: the first of a job, again after one that failed or was lost, or after "
        "one that was handed back.",
        "pool",
        "kind",
    ),
    _counter("t2v_attempts_ended_total", "Attempts that ended.", "pool", "outcome"),
    _counter("t2v_leases_reaped_total", "Attempts that were lost: their lease ended.", "pool"),
    _histogram(
        "t2v_queue_wait_seconds",
        "From the time a job was due to its first claim.",
        "pool",
        buckets=QUEUE_SECONDS,
    ),
    _histogram(
        "t2v_render_seconds",
        "Of the attempts that succeeded, from claim to success.",
        "pool",
        "model",
        buckets=RENDER_SECONDS,
    ),
    _histogram(
        "t2v_job_seconds",
        "Of the jobs that succeeded, from submit to success.",
        "pool",
        buckets=QUEUE_SECONDS,
    ),
    _counter("t2v_webhook_deliveries_total", "Tries to deliver a webhook.", "outcome"),
)
_PROCESS = (
    _gauge("t2v_build_info", "1, for each version that runs.", "version", source=Source.PROCESS),
    _counter(
        "t2v_http_requests_total",
        "Requests that were answered.",
        "surface",
        "method",
        "status",
        source=Source.PROCESS,
    ),
    _histogram(
        "t2v_http_request_seconds",
        "Until the answer began; events (SSE) and downloads go on after that.",
        "surface",
        buckets=REQUEST_SECONDS,
        source=Source.PROCESS,
    ),
    _counter(
        "t2v_admissions_total",
        "Jobs that were accepted, and submits refused, with the refusal's stable code.",
        "outcome",
        "reason",
        source=Source.PROCESS,
    ),
    _gauge("t2v_sockets", "Live connections that are open.", "kind", source=Source.PROCESS),
    _histogram(
        "t2v_event_lag_seconds",
        "From a fact's time in Postgres until a viewer's connection was handed it.",
        buckets=LAG_SECONDS,
        source=Source.PROCESS,
    ),
    _counter("t2v_previews_sent_total", "Previews sent to viewers.", source=Source.PROCESS),
    _histogram(
        "t2v_step_seconds",
        "A denoising step, with its preview.",
        "model",
        buckets=STEP_SECONDS,
        source=Source.PROCESS,
    ),
    _histogram(
        "t2v_checkpoint_seconds",
        "A checkpoint, written and put; beside the render.",
        "model",
        buckets=STORAGE_SECONDS,
        source=Source.PROCESS,
    ),
    _counter("t2v_checkpoint_bytes_total", "Of checkpoints put.", "model", source=Source.PROCESS),
    _histogram(
        "t2v_storage_seconds",
        "What the storage took for an operation that went well.",
        "operation",
        buckets=STORAGE_SECONDS,
        source=Source.PROCESS,
    ),
    _counter(
        "t2v_storage_errors_total",
        "Operations that the storage did not do.",
        "operation",
        source=Source.PROCESS,
    ),
    _counter(
        "t2v_redis_errors_total",
        "Times that Redis did not answer one of our parts.",
        "part",
        source=Source.PROCESS,
    ),
    _gauge(
        "t2v_dependency_up",
        "1 when it answered the web process that tells this, at its last look, else 0.",
        "dependency",
        source=Source.PROCESS,
    ),
)
METRICS: Mapping[str, Metric] = {each.name: each for each in (*_NOW, *_HISTORY, *_PROCESS)}
# Which of VALUES a label has, where its name alone does not say.
_NAMED = {
    ("t2v_workers", "state"): "worker_state",
    ("t2v_webhook_deliveries_total", "outcome"): "delivery",
    ("t2v_admissions_total", "outcome"): "admission",
    ("t2v_sockets", "kind"): "socket",
}


def values_of(metric: Metric, label: str) -> tuple[str, ...]:
    """All that the label can be; empty where the rows of the database, or of jobs/errors, say."""
    return VALUES.get(_NAMED.get((metric.name, label), label), ())


def metric_of(series: str) -> Metric:
    """Of one that is told under this name, as t2v_job_seconds_bucket. Raises KeyError."""
    for end in ("_bucket", "_sum", "_count"):
        if series.endswith(end) and series not in METRICS:
            return METRICS[series.removesuffix(end)]
    return METRICS[series]
