"""The cast and the stage of every test: alice owns, bob is her team-mate, olga operates, charlie
must see nothing."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import redis
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.contrib.auth.hashers import make_password
from django.db import connections

from accounts.models import User
from accounts.roles import Role
from jobs import actions, artifacts, dispatch, offer, queue
from jobs.actions import Claim
from jobs.artifacts import Stored
from jobs.models import Job

PASSWORD = "correct horse battery"  # noqa: S105 - of test accounts


# Of gpu_worker/tests: those that neither load a model nor start a process.
QUICK = {"test_loop", "test_preview", "test_sheets", "test_vocabulary", "test_words"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what `make check` leaves out: whatever needs a service, and whatever renders."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & {"db", "transactional_db", "empty_redis"}:
            item.add_marker("services")
        if item.path.parent.parent.name == "gpu_worker" and item.path.stem not in QUICK:
            item.add_marker("renders")


@cache
def _hashed() -> str:
    return make_password(PASSWORD)  # Argon2 is slow on purpose: once is enough


def _user(email: str, role: Role = Role.MEMBER) -> User:
    user = User(email=email, role=role, is_staff=role is Role.OPERATOR, password=_hashed())
    user.save()
    return user


@pytest.fixture(autouse=True)
def _no_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins as a new process does: it has not seen the queue."""
    monkeypatch.setattr(queue, "_marks", queue._Marks())


@pytest.fixture
def alice(db: None) -> User:
    return _user("alice@example.com")


@pytest.fixture
def bob(db: None) -> User:
    return _user("bob@example.com")


@pytest.fixture
def olga(db: None) -> User:
    return _user("olga@example.com", Role.OPERATOR)


@pytest.fixture
def charlie(db: None) -> User:
    return _user("charlie@example.com")


@pytest.fixture
def submit(alice: User) -> Callable[..., Job]:
    """Submits a job as alice; keywords as of offer.make_spec."""

    def _submit(prompt: str = "a red circle moving right", **wanted: object) -> Job:
        blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance", "seed"))
        spec = offer.make_spec(prompt=prompt, **{**blank, **wanted})  # type: ignore[arg-type]
        return actions.submit(owner=alice, spec=spec)

    return _submit


@pytest.fixture
def claim() -> Callable[..., Claim]:
    """Claims the next job as a worker; fails when there is none."""

    def _claim(worker: str = "worker/1") -> Claim:
        taken = actions.claim(worker=worker, pool="default")
        assert taken is not None
        return taken

    return _claim


def video_of(held: Claim) -> Stored:
    """What a worker puts before it tells the success, for tests that read no file."""
    key = artifacts.key_for(held.job, held.attempt, artifacts.VIDEO)
    return Stored(name=artifacts.VIDEO, key=key, content_type="video/mp4", size=1, sha256=64 * "0")


@pytest.fixture
def media(settings: LazySettings, tmp_path: Path) -> Path:
    """An empty folder as storage."""
    folder = tmp_path / "media"
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "jobs.storage.Folder",
            "OPTIONS": {"location": folder},
        },
    }
    return folder


@pytest.fixture
def empty_redis(settings: LazySettings) -> Iterator[redis.Redis]:
    """This process's own Redis database, emptied."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5)
    assert dispatch.wait_empty(5)
    client.flushdb()
    yield client
    client.close()


@pytest.fixture
async def async_db(transactional_db: None) -> AsyncIterator[None]:
    """Committed rows for async tests; the connections of their threads are closed at the end."""
    yield
    await sync_to_async(connections.close_all)()
