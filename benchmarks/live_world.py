"""Who owns, watches and renders in benchmarks/live.py: a process with Django, beside the servers.

Reads an order a line, and answers with a line.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import django

django.setup()

import redis  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels_redis.core import RedisChannelLayer  # noqa: E402
from django.conf import settings  # noqa: E402
from django.test import Client  # noqa: E402

from accounts.models import User  # noqa: E402
from accounts.roles import SiteRole  # noqa: E402
from benchmarks.live_baseline import group_of  # noqa: E402
from jobs import actions, dispatch, offer, stream  # noqa: E402
from jobs.events import PreviewHeader  # noqa: E402

FRAME_BYTES = 7 * 1024  # the header and the image, as performance is usually quoted
STEPS = 1000


class World:
    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        layer = get_channel_layer()
        assert isinstance(layer, RedisChannelLayer), layer
        self._layer = layer
        self._image = os.urandom(FRAME_BYTES - PreviewHeader.FORMAT.size)
        self._step = 0

    def people(self, count: int, jobs: int) -> dict[str, Any]:
        """Cookies of so many people who may see every job; each has so many jobs that wait."""
        first = User.objects.count()
        people = [
            User(email=f"person-{first + n}@example.com", role=SiteRole.OPERATOR, password="!")  # noqa: S106
            for n in range(count)
        ]
        for person in people:
            person.save()  # with a workspace, which a bulk insert makes none of
            for _ in range(jobs):
                actions.submit(owner=person, spec=_spec())
        return {"cookies": [_cookie(person) for person in people]}

    def job(self) -> str:
        """One that runs."""
        owner = User.objects.create(email=f"owner-{time.time_ns()}@example.com", password="!")  # noqa: S106
        job = actions.submit(owner=owner, spec=_spec())
        held = actions.claim(worker="bench/1", pool="default")
        assert held is not None
        assert held.job == job.pk
        assert dispatch.wait_empty(10)
        return str(job.pk)

    def publish(self, how: str, job: str, fps: float, seconds: float) -> dict[str, float]:
        """So many frames a second; µs of CPU of this process for one."""
        send = {"put_preview": self._put, "group_send": self._group_send}[how]
        count, began = round(fps * seconds), time.monotonic()
        cpu = time.process_time()
        for number in range(count):
            time.sleep(max(0.0, began + number / fps - time.monotonic()))
            self._step += 1
            send(UUID(job))
        took = time.monotonic() - began
        spent = time.process_time() - cpu
        return {"frames": count, "seconds": took, "cpu": spent / count * 1e6}

    def _header(self, job: UUID) -> PreviewHeader:
        return PreviewHeader(
            job=job,
            attempt=1,
            step=self._step,
            steps=STEPS,
            frames=4,
            tile_width=64,
            tile_height=64,
            server_us=time.time_ns() // 1000,
            codec="jpeg",
            size=len(self._image),
        )

    def _put(self, job: UUID) -> None:
        stream.put_preview(1, self._header(job), self._image)

    def _group_send(self, job: UUID) -> None:
        frame = self._header(job).pack() + self._image
        self._runner.run(self._layer.group_send(group_of(job), {"type": "preview", "frame": frame}))

    def redis_pid(self) -> int:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5) as client:
            found: Any = client.info("server")
        return int(found["process_id"])


def _spec() -> Any:
    blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance", "seed"))
    return offer.make_spec(prompt="a red circle moving right", **blank)


def _cookie(person: User) -> str:
    client = Client()
    client.force_login(person)
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}"


def serve() -> None:
    """Until the input ends."""
    world = World()
    for line in sys.stdin:
        order = json.loads(line)
        act: Callable[..., Any] = getattr(world, order.pop("do"))
        print(json.dumps(act(**order)), flush=True)


if __name__ == "__main__":
    serve()
