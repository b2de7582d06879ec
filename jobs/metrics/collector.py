"""Tells what readings.py read, as Prometheus' client writes it."""

from collections.abc import Iterable, Iterator
from itertools import accumulate, product
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from jobs.metrics.catalogue import ENDS, METRICS, VALUES, Kind, Source, values_of
from jobs.metrics.catalogue import Metric as CatalogueMetric
from jobs.metrics.labels import Known
from jobs.metrics.readings import Reading, Rows

Values = dict[tuple[str, ...], float]


class Told(Collector):
    """One reading; None: Postgres does not answer, and nothing is told but that."""

    def __init__(self, reading: Reading | None) -> None:
        self._reading = reading

    def collect(self) -> Iterable[Metric]:
        if self._reading is None:
            yield _gauge("t2v_database_up", {(): 0.0})
            return
        yield _gauge("t2v_database_up", {(): 1.0})
        yield _gauge("t2v_database_seconds", {(): self._reading.seconds})
        rows = self._reading.rows
        pools = _Pools(rows)
        for name, values in {
            **_queues(rows, pools),
            **_workers(rows, pools),
            **_rest(rows),
        }.items():
            yield _gauge(name, values)
        yield from _history(rows["tallies"], pools.all)


class _Pools:
    """Every pool that is known of, bounded; each part tells all of them, with 0 where there is
    nothing, so that a queue that became empty is told as empty."""

    def __init__(self, rows: Any) -> None:
        named = [row["pool"] for part in ("loads", "workers", "running") for row in rows[part]]
        known = Known()
        self.told = known.told
        self.all = sorted({known.told(name) for name in named})

    def added(self, rows: Rows, column: str) -> Values:
        values: Values = dict.fromkeys([(pool,) for pool in self.all], 0.0)
        for row in rows:
            key = (self.told(row["pool"]),)
            values[key] = values.get(key, 0.0) + (row[column] or 0)
        return values


def _queues(rows: Any, pools: _Pools) -> dict[str, Values]:
    looks = [row for row in rows["loads"] if row["fresh"]]
    oldest: Values = dict.fromkeys([(pool,) for pool in pools.all], 0.0)
    for row in rows["oldest"]:
        key = (pools.told(row["pool"]),)
        oldest[key] = max(oldest.get(key, 0.0), row["seconds"])
    return {
        "t2v_queue_jobs": _looked(looks, "queued", pools),
        "t2v_queue_held_jobs": pools.added(rows["held"], "jobs"),
        "t2v_queue_oldest_seconds": oldest,
        "t2v_queue_work_seconds": _looked(looks, "queued_seconds", pools),
        "t2v_running_jobs": pools.added(rows["running"], "jobs"),
        "t2v_running_work_seconds": _looked(looks, "running_seconds", pools),
        "t2v_leases_overdue": pools.added(rows["running"], "overdue"),
    }


def _looked(looks: Rows, column: str, pools: _Pools) -> Values:
    """Only of pools that the sweep looked at lately, and where it knew."""
    values: Values = {}
    for row in looks:
        if row[column] is not None:
            key = (pools.told(row["pool"]),)
            values[key] = values.get(key, 0.0) + row[column]
    return values


def _workers(rows: Any, pools: _Pools) -> dict[str, Values]:
    states: Values = {(pool, state): 0.0 for pool in pools.all for state in VALUES["worker_state"]}
    gpu: dict[str, Values] = {name: {} for name in GPU}
    workers = Known()
    for row in rows["workers"]:
        pool = pools.told(row["pool"])
        states[pool, row["state"]] += 1
        if row["state"] != "silent":
            _add_device(gpu, (pool, workers.told(row["name"])), row["facts"])
    return {"t2v_workers": states, **gpu}


GPU = {  # what a worker tells of its device, in Worker.facts
    "t2v_gpu_memory_used_bytes": "memory_used",
    "t2v_gpu_memory_total_bytes": "memory_total",
    "t2v_gpu_utilisation_ratio": "gpu_utilisation",
    "t2v_gpu_temperature_celsius": "gpu_celsius",
    "t2v_gpu_power_watts": "gpu_watts",
}


def _add_device(gpu: dict[str, Values], key: tuple[str, ...], facts: dict[str, Any]) -> None:
    for name, fact in GPU.items():
        value = facts.get(fact)
        if isinstance(value, int | float):
            gpu[name][key] = float(value)


def _rest(rows: Any) -> dict[str, Values]:
    values: dict[str, Values] = {}
    for row in rows["sweep"]:
        values["t2v_sweep_age_seconds"] = {(): max(0.0, row["age"])}
        values["t2v_tally_lag_seconds"] = {(): max(0.0, row["lag"] or 0.0)}
    (due,) = rows["webhooks"]
    values["t2v_webhook_due"] = {(): due["due"]}
    values["t2v_webhook_oldest_seconds"] = {(): due["oldest"] or 0.0}
    return values


def _gauge(name: str, values: Values) -> Metric:
    metric = METRICS[name]
    family = GaugeMetricFamily(name, metric.words, labels=metric.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _history(tallies: Rows, pools: list[str]) -> Iterator[Metric]:
    found: dict[str, Values] = {}
    for row in tallies:
        found.setdefault(row["name"], {})[tuple(row["labels"])] = row["value"]
    for name, metric in METRICS.items():
        if metric.source is Source.HISTORY:
            zeros = dict.fromkeys(_from_the_start(metric, pools), 0.0)
            if metric.kind is Kind.COUNTER:
                yield _counter(metric, zeros | found.get(name, {}))
            else:
                sums = zeros | found.get(f"{name}_sum", {})
                yield _histogram(metric, sums, found.get(f"{name}_bucket", {}))


def _from_the_start(metric: CatalogueMetric, pools: list[str]) -> list[tuple[str, ...]]:
    """Labels that are told before anything happened: a rate needs a value to begin at."""
    if metric.name == "t2v_jobs_ended_total":
        return [(pool, *end) for pool in pools for end in ENDS]
    known = {"pool": tuple(pools)}
    return list(product(*(known.get(each) or values_of(metric, each) for each in metric.labels)))


def _counter(metric: CatalogueMetric, values: Values) -> Metric:
    family = CounterMetricFamily(metric.name, metric.words, labels=metric.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _histogram(metric: CatalogueMetric, sums: Values, buckets: Values) -> Metric:
    """What lies in each bucket alone is added up here."""
    family = HistogramMetricFamily(metric.name, metric.words, labels=metric.labels)
    ends = [*(str(float(end)) for end in metric.buckets), "+Inf"]
    for labels, total in sorted(sums.items()):
        counts = accumulate(buckets.get((*labels, end), 0.0) for end in ends)
        family.add_metric(labels, list(zip(ends, counts, strict=True)), sum_value=total)
    return family
