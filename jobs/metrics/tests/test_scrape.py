"""What a scrape tells: the catalogue, no more and no less, bounded, and no names of people."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError
from django.db.models.functions import Now
from django.test import AsyncClient
from prometheus_client.parser import text_string_to_metric_families

from conftest import video_of
from jobs import actions, load, readiness, workers
from jobs.actions import Claim
from jobs.metrics import instruments, page, readings, tallies
from jobs.metrics.catalogue import METRICS, MOST, Kind
from jobs.metrics.tests.counting import count_all
from jobs.models import Job, Tally, Worker

pytestmark = pytest.mark.django_db(transaction=True)
PROMPT = "a zebra in the prompt"


@pytest.fixture(autouse=True)
def _new(monkeypatch: pytest.MonkeyPatch, counted: instruments.Counted) -> None:
    """Nothing that another test counted, or read or heard a moment ago."""
    monkeypatch.setattr(page, "reader", readings.Reader())
    # A test machine may stop for a moment, after which neither would be up for ten seconds.
    monkeypatch.setattr(readiness, "OTHERS_SECONDS", 20.0)
    for name, ask in (("redis_server", readiness._ask_redis), ("storage", readiness._ask_storage)):
        patient = readiness.Service(name, ask, patience_seconds=20.0, every_seconds=10.0)
        monkeypatch.setattr(readiness, name, patient)
    counted.begin()


def scrape() -> str:
    answer = async_to_sync(AsyncClient().get)("/metrics")
    assert answer.status_code == 200
    return str(answer.content.decode())


def told(text: str) -> dict[str, Any]:
    """Families by the name in the catalogue."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family
        for family in text_string_to_metric_families(text)
    }


def value(text: str, name: str, **labels: str) -> float:
    (found,) = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return float(found)


@pytest.fixture
def busy(submit: Callable[..., Job], claim: Callable[..., Claim]) -> None:
    """A site on which everything happened that is told of."""
    incarnation = uuid4()
    workers.register(name="gpu-7", incarnation=incarnation, pool="default", device="cuda")
    workers.ready(name="gpu-7", incarnation=incarnation, device="cuda")
    facts = {"memory_used": 5, "memory_total": 9, "gpu_utilisation": 0.5}
    facts |= {"gpu_celsius": 61, "gpu_watts": 250.5}
    workers.seen(name="gpu-7", incarnation=incarnation, facts=facts)
    submit(PROMPT)
    actions.succeed(held := claim(f"gpu-7/{incarnation}"), [video_of(held)])
    submit(PROMPT)
    claim(f"gpu-7/{incarnation}")
    submit(PROMPT)
    count_all()
    load.refresh()
    instruments.opened("ws")
    instruments.handed_over(0.1)
    instruments.preview_sent()
    instruments.stepped("nano", 0.2)
    instruments.checkpointed("nano", 0.2, 100)
    instruments.storage_answered("put", 0.1)
    assert readiness.redis_server.now() == readiness.storage.now() == readiness.OK
    instruments.redis_failed("ring")


def test_a_scrape_tells_the_whole_catalogue_with_its_labels(busy: None) -> None:
    families = told(scrape())
    assert set(families) == set(METRICS)
    for name, family in families.items():
        metric = METRICS[name]
        assert family.type == metric.kind.value
        assert family.documentation == metric.words
        assert family.samples, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), sample.name
        if metric.kind is Kind.HISTOGRAM:
            ends = {sample.labels["le"] for sample in family.samples if "le" in sample.labels}
            assert ends == {*(str(float(end)) for end in metric.buckets), "+Inf"}


def test_a_scrape_tells_what_waits_runs_and_ended(busy: None) -> None:
    text = scrape()
    assert value(text, "t2v_database_up") == 1
    assert value(text, "t2v_queue_jobs", pool="default") == 1
    assert value(text, "t2v_running_jobs", pool="default") == 1
    assert value(text, "t2v_workers", pool="default", state="ready") == 1
    assert value(text, "t2v_workers", pool="default", state="silent") == 0
    assert value(text, "t2v_gpu_power_watts", pool="default", worker="gpu-7") == 250.5
    assert value(text, "t2v_jobs_submitted_total", pool="default") == 3
    ended = {"pool": "default", "state": "succeeded", "fault": "none"}
    assert value(text, "t2v_jobs_ended_total", **ended) == 1
    assert value(text, "t2v_queue_wait_seconds_bucket", pool="default", le="+Inf") == 2
    assert value(text, "t2v_queue_wait_seconds_count", pool="default") == 2
    assert value(text, "t2v_tally_lag_seconds") == 0


def test_a_silent_worker_is_missed_for_a_day_and_one_that_may_be_taken_away_is_not(
    submit: Callable[..., Job], claim: Callable[..., Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(name: str, **facts: bool) -> str:
        life = uuid4()
        holder = workers.register(name=name, incarnation=life, pool="p", device="", facts=facts)
        workers.ready(name=name, incarnation=life, device="")
        return holder

    def count() -> dict[str, float]:
        monkeypatch.setattr(page, "reader", readings.Reader())
        text = scrape()
        states = ("ready", "silent")
        return {each: value(text, "t2v_workers", pool="p", state=each) for each in states}

    tell("fixed")
    holder = tell("spot-1", **{workers.SPOT: True})
    tell("spot-2", **{workers.SPOT: True})
    assert count() == {"ready": 3, "silent": 0}
    submit()
    claim(holder)
    Worker.objects.update(seen_at=Now() - timedelta(seconds=61))
    assert count() == {"ready": 1, "silent": 1}, "who renders renews a lease instead of telling"
    Job.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert count() == {"ready": 0, "silent": 1}
    Worker.objects.filter(name="fixed").update(seen_at=Now() - timedelta(hours=25))
    tell("spot-1", **{workers.SPOT: True})
    assert count() == {"ready": 1, "silent": 0}


def test_buckets_only_grow_and_end_in_the_count(busy: None) -> None:
    for name, family in told(scrape()).items():
        if METRICS[name].kind is not Kind.HISTOGRAM:
            continue
        buckets = [s.value for s in family.samples if s.name.endswith("_bucket")]
        counts = [s.value for s in family.samples if s.name.endswith("_count")]
        each = len(METRICS[name].buckets) + 1
        assert len(buckets) == each * len(counts)
        for number, count in enumerate(counts):
            mine = buckets[number * each : (number + 1) * each]
            assert mine == sorted(mine), name
            assert mine[-1] == count, name


def test_nothing_of_people_jobs_or_prompts_is_told(busy: None, alice: Any) -> None:
    text = scrape()
    job = Job.objects.first()
    assert job is not None
    for secret in ("zebra", "alice", "example.com", str(job.pk), job.workspace.name):
        assert secret not in text
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", text)  # no uuid of anything


def test_labels_stay_bounded_whatever_the_rows_say(busy: None) -> None:
    Worker.objects.bulk_create(
        Worker(name=f"many-{n}", incarnation=uuid4(), pool=f"pool-{n}", facts={"memory_used": n})
        for n in range(500)
    )
    job = Job.objects.filter(state="succeeded").first()
    assert job is not None
    counts: Any = {("t2v_render_seconds_sum", (f"pool-{n}", f"model-{n}")): 1.0 for n in range(500)}
    counts |= {("t2v_jobs_submitted_total", (f"pool-{n}",)): 1.0 for n in range(500)}
    tallies._add(counts)
    for n in range(500):
        instruments.stepped(f"model-{n}", 0.1)
        instruments.refused(f"code-{n}")
    seen: dict[str, set[str]] = {}
    for family in told(scrape()).values():
        for sample in family.samples:
            for label, found in sample.labels.items():
                seen.setdefault(label, set()).add(found)
    for label in ("pool", "model", "worker", "reason"):
        assert MOST < len(seen[label]) <= 2 * MOST + 8, label  # told now, and counted before
        assert "other" in seen[label]
    assert (
        sum(Tally.objects.filter(name="t2v_jobs_submitted_total").values_list("value", flat=True))
        == 503
    )


def test_without_postgres_only_what_is_counted_here_is_told(
    busy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> readings.Reading:
        raise DatabaseError("away")

    monkeypatch.setattr(page, "reader", readings.Reader(away))
    families = told(scrape())
    assert value(scrape(), "t2v_database_up") == 0
    process = {name for name, each in METRICS.items() if each.source.value == "process"}
    assert set(families) == process | {"t2v_database_up"}


def test_a_failure_that_is_over_is_told_as_over(busy: None) -> None:
    before = scrape()  # with what tests before have counted
    instruments.redis_failed("ring")
    instruments.storage_failed("put")
    text = scrape()
    for name, labels in (
        ("t2v_redis_errors_total", {"part": "ring"}),
        ("t2v_storage_errors_total", {"operation": "put"}),
    ):
        assert value(text, name, **labels) - value(before, name, **labels) == 1
    assert value(text, "t2v_dependency_up", dependency="redis") == 1
    assert value(text, "t2v_dependency_up", dependency="storage") == 1


def test_a_redis_that_is_away_is_told(busy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> str:
        raise OSError("away")

    gone = readiness.Service("Redis", away, patience_seconds=10.0, every_seconds=10.0)
    monkeypatch.setattr(readiness, "redis_server", gone)
    assert gone.now() == readiness.AWAY
    assert value(scrape(), "t2v_dependency_up", dependency="redis") == 0


def test_ten_scrapers_cost_one_reading() -> None:
    looks, now = [], [100.0]

    def look() -> readings.Reading:
        looks.append(1)
        return readings.Reading(rows={}, seconds=0.0)

    reader = readings.Reader(look, clock=lambda: now[0])
    assert all(reader.newest() is not None for _ in range(10))
    assert len(looks) == 1
    now[0] += readings.FRESH_SECONDS
    reader.newest()
    assert len(looks) == 2
