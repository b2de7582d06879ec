"""Whether a process says in time that it should be sent nobody, whatever hangs behind it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from jobs import readiness
from jobs.readiness import AWAY, OK, UNASKED, UNMIGRATED, Service


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was asked before this test, and nobody hurries on a loaded machine."""
    for name in ("postgres", "redis_server", "storage"):
        old: Service = getattr(readiness, name)
        new = Service(old._name, old._ask, patience_seconds=60.0, every_seconds=0.0)
        monkeypatch.setattr(readiness, name, new)
    monkeypatch.setattr(readiness, "draining", threading.Event())


def test_a_service_that_hangs_is_away_and_is_asked_by_one_thread_alone(clock: Clock) -> None:
    asked, begun, go_on = [], threading.Event(), threading.Event()

    def hang() -> str:
        asked.append(1)
        begun.set()
        assert go_on.wait(60)
        return OK

    service = Service("it", hang, patience_seconds=0.05, every_seconds=1.0, clock=clock)
    assert service.last() == UNASKED
    clock.now += 5.0
    assert {service.now() for _ in range(20)} == {AWAY}
    assert service.last() == AWAY
    assert begun.wait(60)
    assert asked == [1]
    go_on.set()
    with service._lock:
        assert service._lock.wait_for(service._has_told, 60)
    assert service.last() == OK


def test_a_service_is_asked_no_more_often_than_it_is_due(clock: Clock) -> None:
    asked = []

    def answer() -> str:
        asked.append(1)
        return OK

    service = Service("it", answer, patience_seconds=60.0, every_seconds=10.0, clock=clock)
    assert [service.now() for _ in range(3)] == [OK] * 3
    clock.now += 9.0
    service.now()
    assert asked == [1]
    clock.now += 1.0
    service.now()
    assert asked == [1, 1]


def test_what_fails_is_away_and_the_log_says_so_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> str:
        raise ConnectionRefusedError

    service = Service("it", fail, patience_seconds=60.0, every_seconds=1.0, clock=clock)
    for _ in range(3):
        assert service.now() == AWAY
        clock.now += 2.0
    assert [record.getMessage() for record in caplog.records] == [
        "it is away (ConnectionRefusedError)"
    ]


@pytest.mark.django_db
def test_a_site_with_all_it_needs_is_ready(fresh: None, client: Client, media: Path) -> None:
    readiness.redis_server.now()
    readiness.storage.now()
    answer = client.get("/healthz/ready")
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    assert answer.json() == {"status": "ready", "postgres": OK, "redis": OK, "storage": OK}


@pytest.mark.django_db
def test_a_redis_or_a_storage_that_is_away_is_told_of_and_is_no_reason(
    fresh: None, client: Client, settings: LazySettings, tmp_path: Path
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"  # "discard": nobody listens there
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "jobs.storage.Folder",
            "OPTIONS": {"location": tmp_path / "no disk" / "media"},
        },
    }
    readiness.redis_server.now()
    readiness.storage.now()
    answer = client.get("/healthz/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "degraded", "postgres": OK, "redis": AWAY, "storage": AWAY}


@pytest.fixture
def committed(transactional_db: None) -> Iterator[MigrationRecorder]:
    """Of the tables; what a test takes out of it is put back."""
    recorder = MigrationRecorder(connection)
    before = set(recorder.applied_migrations())
    yield recorder
    for app, name in before - set(recorder.applied_migrations()):
        recorder.record_applied(app, name)
    for app, name in set(recorder.applied_migrations()) - before:
        recorder.record_unapplied(app, name)


def test_new_code_on_old_tables_is_not_ready_and_old_code_on_new_tables_is(
    fresh: None, client: Client, committed: MigrationRecorder
) -> None:
    committed.record_applied("jobs", "9999_of_the_next_release")
    assert client.get("/healthz/ready").status_code == 200
    newest = next(name for app, name in readiness._needed() if app == "jobs")
    committed.record_unapplied("jobs", newest)
    answer = client.get("/healthz/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, UNMIGRATED)


def test_without_postgres_a_site_is_not_ready_but_alive(
    fresh: None, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a database mark: whoever asked Postgres in this thread would fail.
    monkeypatch.setitem(connection.settings_dict, "PORT", 9)
    answer = client.get("/healthz/ready")
    assert (answer.status_code, answer.json()["postgres"]) == (503, AWAY)
    client.cookies["t2v-8000"] = "somebodys-session"
    alive = client.get("/healthz/live")
    assert (alive.status_code, alive.content, alive["Cache-Control"]) == (200, b"ok", "no-store")


@pytest.mark.django_db
def test_a_process_that_ends_is_not_ready(fresh: None, client: Client) -> None:
    readiness.draining.set()
    answer = client.get("/healthz/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")


def test_probes_come_by_any_address_and_nobody_else_does(client: Client) -> None:
    assert client.get("/healthz/live", headers={"host": "10.1.2.3:8000"}).status_code == 200
    assert client.get("/healthzzz", headers={"host": "10.1.2.3:8000"}).status_code == 400
