"""What happens while a viewer's own look into Postgres is on its way."""

import threading
from collections.abc import Callable, Mapping
from uuid import UUID

import pytest
import redis
from asgiref.sync import sync_to_async

from accounts.models import User
from accounts.sessions import Credential
from jobs import actions, history
from jobs.history import News
from jobs.models import Job
from tests.test_live import _open, _until


async def test_a_fact_that_comes_while_a_viewer_reads_is_not_missed(
    async_db: None,
    empty_redis: redis.Redis,
    submit: Callable[..., Job],
    alice: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody else watches too: the hub knows the fact before the new viewer is there."""
    job = await sync_to_async(submit)()
    first, second = await _open(alice), await _open(alice)
    await first.connect()
    await first.send_json_to({"type": "subscribe", "job": str(job.pk)})
    await _until(first, "snapshot")

    looked, go_on, read = threading.Event(), threading.Event(), history.read_for

    def slowly(user: Credential, seen: Mapping[UUID, int]) -> dict[UUID, News]:
        found = read(user, seen)
        looked.set()
        assert go_on.wait(60)
        return found

    monkeypatch.setattr(history, "read_for", slowly)
    await second.connect()
    await second.send_json_to({"type": "subscribe", "job": str(job.pk)})
    assert await sync_to_async(looked.wait)(30)
    await sync_to_async(actions.cancel)(job.pk)
    assert (await _until(first, "fact"))["kind"] == "cancelled"
    assert (await _until(first, "snapshot"))["job"]["state"] == "cancelled"
    go_on.set()
    assert (await _until(second, "fact"))["kind"] == "submitted"
    assert (await _until(second, "fact"))["kind"] == "cancelled"
    assert (await _until(second, "snapshot"))["job"]["state"] == "cancelled"
    for page in (first, second):
        await page.disconnect()
