"""What a worker tells of a render goes out as soon as it may, the newest and no more of it."""

import json
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import redis

from gpu_worker import reporter as reporter_module
from gpu_worker.engine import Sprite
from gpu_worker.reporter import Reporter
from jobs import stream
from jobs.actions import Claim
from jobs.events import PreviewHeader
from jobs.spec import RenderSpec

SPRITE = Sprite(image=b"picture", codec="jpeg", frames=1, tile_width=1, tile_height=1)


@pytest.fixture
def held(spec: RenderSpec) -> Claim:
    return Claim(job=UUID(int=7), attempt=2, worker="gpu/1", spec=spec, owner=3)


def told(client: redis.Redis, kind: str) -> list[dict[str, Any]]:
    rows: Any = client.xrange(stream.RING)
    events = [json.loads(fields[b"event"]) for _, fields in rows]
    return [event for event in events if event["type"] == kind]


def steps_of(client: redis.Redis) -> list[int]:
    return [tick["step"] for tick in told(client, "tick")]


def until(seen: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.001)


def test_a_preview_does_not_wait_for_the_next_tick(
    held: Claim, empty_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter_module, "TICK_SECONDS", 3600.0)
    with Reporter(held) as reporter:
        reporter.progress("loading", step=0, steps=8)
        until(lambda: told(empty_redis, "tick"))
        reporter.progress("denoising", step=1, steps=8)
        reporter.preview(SPRITE, step=1, steps=8)
        until(lambda: told(empty_redis, "preview"))
        assert steps_of(empty_redis) == [0], "that one does wait"
        message: Any = empty_redis.get(stream.preview_key(held.job))
        assert PreviewHeader.unpack(message).step == 1
    assert steps_of(empty_redis) == [0, 1], "and is not lost"


def test_of_many_ticks_few_are_told_in_order_and_always_the_last(
    held: Claim, empty_redis: redis.Redis
) -> None:
    began = time.monotonic()
    with Reporter(held) as reporter:
        for step in range(1, 2001):
            reporter.progress("denoising", step=step, steps=2000)
            if step in {1, 500, 1000}:
                until(lambda step=step: step in steps_of(empty_redis))  # type: ignore[misc]
    seconds = time.monotonic() - began
    steps = steps_of(empty_redis)
    assert (steps, steps[-1]) == (sorted(steps), 2000)
    assert len(steps) <= seconds / reporter_module.TICK_SECONDS + 2


def test_whatever_comes_while_another_is_sent_the_newest_preview_arrives(
    held: Claim, empty_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is offered in the middle of the sending of the one before."""
    inner, offered = stream.put_preview, list(range(2, 40))

    def put(owner: int, header: PreviewHeader, image: bytes) -> None:
        if offered:
            reporter.preview(SPRITE, step=offered.pop(0), steps=40)
        inner(owner, header, image)

    monkeypatch.setattr(stream, "put_preview", put)
    with Reporter(held) as reporter:
        reporter.preview(SPRITE, step=1, steps=40)
        until(lambda: len(told(empty_redis, "preview")) == 39)
    assert [event["step"] for event in told(empty_redis, "preview")] == list(range(1, 40))
