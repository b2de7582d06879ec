"""The process with Django of benchmarks/metrics.py: fills, asks, prints its table."""

import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import django

django.setup()

from django.db import connection, transaction  # noqa: E402
from prometheus_client import CollectorRegistry, generate_latest  # noqa: E402

from accounts.models import User  # noqa: E402
from jobs import load  # noqa: E402
from jobs.metrics import instruments, page, readings, tallies  # noqa: E402
from jobs.tests.crowd import fill  # noqa: E402

EVENTS = 50_000  # of one measurement, and rows that are counted
ROUNDS = 20
QUEUED = """
UPDATE jobs_job SET state = 'queued', finished_at = NULL, cancel_requested_at = NULL,
    run_at = now() - interval '1 minute'
WHERE ctid IN (SELECT ctid FROM jobs_job WHERE state = 'cancelled' LIMIT %s)
"""
SUBMITTED = """
INSERT INTO jobs_jobevent (job_id, seq, kind, state, attempt, data)
SELECT id, 1, 'submitted', 'queued', 0, '{}' FROM jobs_job WHERE state = 'queued' LIMIT %s
ON CONFLICT DO NOTHING
"""


def begin(count: int) -> None:
    alice = User.objects.create_user("alice@example.com")
    with transaction.atomic():
        fill(alice, count)
    with connection.cursor() as cursor:
        for table in ("jobs_job", "jobs_jobevent"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(QUEUED, [count // 10])
        cursor.execute(SUBMITTED, [EVENTS])
        for table in ("jobs_job", "jobs_jobevent"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("VACUUM ANALYZE")


def microseconds(act: Callable[[], object]) -> float:
    """Of the processor for one, the best of five times EVENTS."""
    took = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(EVENTS):
            act()
        took.append(time.process_time() - began)
    return 1e6 * min(took) / EVENTS


def told(what: str, act: Callable[[], object]) -> None:
    """Milliseconds until it is done, and of this process' processor: the rest is waiting."""
    waited, worked = [], []
    for _ in range(ROUNDS):
        clock, processor = time.perf_counter(), time.process_time()
        act()
        waited.append(1000 * (time.perf_counter() - clock))
        worked.append(1000 * (time.process_time() - processor))
    print(
        f"{what:40} {statistics.median(waited):8.1f} {statistics.median(worked):8.1f}", flush=True
    )


def events() -> None:
    lock, counts = threading.Lock(), {"a": 0}

    def plain() -> None:
        with lock:
            counts["a"] += 1

    beside = microseconds(plain)
    print(f"{'an event':40} {'µs':>8} {'x':>6}")
    acts: dict[str, Callable[[], object]] = {
        "a dict's += 1 under a lock": plain,
        "preview_sent": instruments.preview_sent,
        "stepped": partial(instruments.stepped, "nano", 0.2),
        "handed_over": partial(instruments.handed_over, 0.1),
        "storage_answered": partial(instruments.storage_answered, "put", 0.1),
        "answered (a request)": partial(instruments.answered, "api", "GET", 200, 0.01),
    }
    for name, act in acts.items():
        took = microseconds(act)
        print(f"{name:40} {took:8.2f} {took / beside:6.1f}", flush=True)


def here() -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    for collector in instruments.collectors():
        registry.register(collector)
    return generate_latest(registry)


def main(count: int) -> None:
    begin(count)
    print(f"{count:,} jobs, {count // 10:,} queued; {platform.machine()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        instruments.start(Path(folder))
        events()
        load.refresh()
        began = time.perf_counter()
        counted = sum(tallies.count() for _ in range(20))
        seconds = time.perf_counter() - began
        print(f"\n{'a scrape':40} {'ms':>8} {'CPU ms':>8}")
        told("the statement", readings.read)
        told("what this process counts", here)
        readings.FRESH_SECONDS = 0.0  # each scrape reads
        told("all of it, with a new connection", page.text)
        connection.settings_dict["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 2}
        told("all of it, with T2V_DATABASE_POOL", page.text)
        connection.close_pool()  # type: ignore[attr-defined]
        print(f"\nthe sweep's counting: {counted / seconds:,.0f} events a second ({counted:,})")


if __name__ == "__main__":
    main(int(sys.argv[1]))
