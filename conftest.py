"""The cast and the stage of every test: alice owns, bob is her team-mate where a test lets him in,
olga operates, ada administers, charlie must see nothing."""

import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import redis
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.contrib.auth.hashers import make_password
from django.db import connections
from django.test import Client
from prometheus_client import values

from accounts import workspaces
from accounts.models import Membership, User, Workspace
from accounts.roles import Role, SiteRole
from jobs import actions, artifacts, dispatch, models_switch, offer, queue, rates
from jobs.actions import Claim
from jobs.artifacts import Stored
from jobs.metrics import instruments
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


def _user(email: str, role: SiteRole = SiteRole.MEMBER) -> User:
    user = User(email=email, role=role, is_staff=role is not SiteRole.MEMBER, password=_hashed())
    user.save()
    return user


def sign_in(client: Client, user: User, *ways: str) -> None:
    """As force_login, and just now: by a password, or by ways of allauth's, as "mfa"."""
    client.force_login(user)
    session = client.session
    now = time.time()
    session["account_authentication_methods"] = [
        {"method": way, "at": now} for way in ways or ("password",)
    ]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()


@pytest.fixture(autouse=True)
def _no_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins as a new process does: it has not seen the queue."""
    monkeypatch.setattr(queue, "_marks", queue._Marks())


@pytest.fixture(autouse=True)
def _no_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model is on; who switches one makes the process forget this."""
    monkeypatch.setattr(models_switch, "_seen", models_switch.Seen({}, math.inf))


@pytest.fixture(autouse=True)
def _patient_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test machine may stop for a moment, after which nobody would be counted for a while."""
    monkeypatch.setattr(rates, "TIMEOUT", 5.0)  # seconds
    monkeypatch.setattr(rates, "breaker", rates.Breaker())


@pytest.fixture
def alice(db: None) -> User:
    return _user("alice@example.com")


@pytest.fixture
def bob(db: None) -> User:
    return _user("bob@example.com")


@pytest.fixture
def olga(db: None) -> User:
    return _user("olga@example.com", SiteRole.OPERATOR)


@pytest.fixture
def charlie(db: None) -> User:
    return _user("charlie@example.com")


@pytest.fixture
def ada(db: None) -> User:
    return _user("ada@example.com", SiteRole.ADMINISTRATOR)


@pytest.fixture
def workspace(alice: User) -> Workspace:
    """Alice's, in which she is alone."""
    return workspaces.current(alice)


@pytest.fixture
def join(workspace: Workspace) -> Callable[[User, Role], None]:
    """Lets somebody into alice's workspace, which becomes the one that they work in."""

    def _join(user: User, role: Role) -> None:
        Membership.objects.create(workspace=workspace, user=user, role=role)
        user.workspace = workspace
        user.save(update_fields=["workspace"])
        user.__dict__.pop("memberships", None)

    return _join


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
def counted(monkeypatch: pytest.MonkeyPatch) -> instruments.Counted:
    """What this process counts during the test: from nothing, in memory, in no other's file."""
    monkeypatch.setattr(values, "ValueClass", values.MutexValue)
    monkeypatch.setattr(instruments, "_slot", None)
    here = instruments.Counted()
    monkeypatch.setattr(instruments, "_here", here)
    return here


@pytest.fixture
def empty_redis(settings: LazySettings) -> Iterator[redis.Redis]:
    """This process's own Redis database, emptied."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5)
    assert dispatch.wait_empty(30)
    client.flushdb()
    yield client
    client.close()


@pytest.fixture
async def async_db(transactional_db: None) -> AsyncIterator[None]:
    """Committed rows for async tests; the connections of their threads are closed at the end."""
    yield
    await sync_to_async(connections.close_all)()
