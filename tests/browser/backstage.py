"""The worker's part, played in a running system: jobs that run without rendering anything.

Started by tests/browser/stagehand.py with the system's settings. A JSON object on each line of the
input says what to do; a line of JSON answers.
"""

import io
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext
from PIL import Image

from accounts.models import User
from gpu_worker.nano.grammar import Scene
from jobs import actions, dispatch, offer, stream
from jobs.actions import Claim
from jobs.errors import LostClaim
from jobs.events import PreviewHeader, Progressed
from jobs.models import Job
from jobs.tests import crowd
from t2v_site import logins
from t2v_site.embedded import DATABASE, REDIS, SECRET
from tests.access.cast import signed_in
from tests.browser.films import Projector, preview, scenes
from tests.browser.scenery import Scenery

RENEW_SECONDS = 20.0  # a lease lasts 60 s
TILES, SIDE, STEPS = 8, 64, 1000


class Backstage:
    def __init__(self) -> None:
        self._held: dict[UUID, Claim] = {}
        self._steps: dict[UUID, int] = {}  # how far those are that were formed
        self._scenes: dict[UUID, Scene] = {}  # of those that have one
        self._scenery: Scenery | None = None
        self._lock = threading.Lock()  # an order, or a renewal
        self._images = cycle(list(_images(16)))
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def obey(self, order: dict[str, Any]) -> Any:
        verb = getattr(self, f"do_{order.pop('do')}")
        with self._lock:
            return verb(**order)

    def keep(self, over: threading.Event) -> None:
        """In a thread: what is held stays held, however long nobody gives an order."""
        while not over.wait(RENEW_SECONDS):
            with self._lock:
                self._renew()
        connections.close_all()

    def _renew(self) -> None:
        if self._scenery is not None:
            self._scenery.live()
        for held in self._held.values():
            with suppress(LostClaim):  # deleted on a page
                actions.renew(held, step=self._steps.get(held.job, 0))

    def do_start(self, count: int, prompt: str) -> list[str]:
        """Jobs of alice that this process holds; the real worker never sees them wait."""
        alice = User.objects.get(email="alice@example.com")
        blank = dict.fromkeys(("model", "size", "frames", "guidance", "seed"))
        spec = offer.make_spec(prompt=prompt, steps=STEPS, **blank)
        made = []
        for _ in range(count):
            with transaction.atomic():
                job = actions.submit(owner=alice, spec=spec, priority=100)
                held = actions.claim(worker="backstage/1", pool=job.pool)
                assert held is not None
                assert held.job == job.pk, "another job waited"
            self._held[job.pk] = held
            made.append(str(job.pk))
        return made

    def do_preview(
        self, job: str, step: int, age_seconds: float = 0.0, broken: bool = False
    ) -> None:
        held = self._held[UUID(job)]
        image = b"no picture" if broken else next(self._images)
        header = PreviewHeader(
            job=held.job,
            attempt=held.attempt,
            step=step,
            steps=STEPS,
            frames=TILES,
            tile_width=SIDE,
            tile_height=SIDE,
            server_us=time.time_ns() // 1000 - int(age_seconds * 1e6),
            codec="jpeg",
            size=len(image),
        )
        stream.put_preview(held.owner, header, image)

    def do_tick(self, job: str, step: int) -> None:
        self._tick(self._held[UUID(job)], step, STEPS)

    def _tick(
        self, held: Claim, step: int, steps: int, *, seconds_left: float | None = None
    ) -> None:
        tick = Progressed(
            job=held.job,
            attempt=held.attempt,
            phase="denoising",
            step=step,
            steps=steps,
            seconds_left=seconds_left,
        )
        stream.announce(held.owner, tick)

    def do_flood(self, jobs: list[str], per_second: float) -> None:
        """Previews of all of them in turn, until the order to stop."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._flood, args=(jobs, 1 / per_second))
        self._thread.start()

    def _flood(self, jobs: list[str], pause: float) -> None:
        step = 0
        while not self._stop.wait(pause):
            step += 1
            for job in jobs:
                self.do_preview(job, step)
        connections.close_all()  # of this thread

    def do_stop(self) -> None:
        assert self._thread is not None
        self._stop.set()
        self._thread.join(10)

    def do_furnish(self) -> dict[str, str]:
        """tests/browser/scenery.py: what stands in addresses, by name."""
        self._scenery = Scenery(self._keep)
        return self._scenery.furnish()

    def _keep(self, held: Claim, scene: Scene) -> None:
        self._held[held.job], self._scenes[held.job] = held, scene

    def do_session(self, email: str) -> str:
        """The key of a session in which they have shown just now who they are."""
        return signed_in(User.objects.get(email=email))

    def do_render(self, template: str) -> str:
        return render_to_string(template)

    def do_crowd(self, count: int) -> None:
        with transaction.atomic():
            crowd.fill(User.objects.get(email="alice@example.com"), count, clips=True)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")

    def do_cost(self, path: str, who: str, times: int) -> dict[str, Any]:
        """Milliseconds, medians; the first answer, which fills caches, does not count."""
        client = Client(headers={"Host": settings.ALLOWED_HOSTS[0]})
        if who:
            client.cookies[settings.SESSION_COOKIE_NAME] = self.do_session(f"{who}@example.com")
        client.get(path)
        with CaptureQueriesContext(connection) as seen:
            client.get(path)
        queries = len(seen)  # the next request empties the log
        walls, cpus = [], []
        for _ in range(times):
            began, cpu = time.perf_counter(), time.process_time()
            client.get(path)
            walls.append((time.perf_counter() - began) * 1000)
            cpus.append((time.process_time() - cpu) * 1000)
        return {
            "queries": queries,
            "inside_ms": statistics.median(walls),
            "cpu_ms": statistics.median(cpus),
        }

    def do_take(self, job: str) -> None:
        """A job that waits begins, whatever waits before it."""
        with transaction.atomic():
            Job.objects.filter(pk=job).update(priority=1000)
            held = actions.claim(worker="gpu-1/x", pool=settings.T2V_POOL)
            assert held is not None
            assert str(held.job) == job, "another job waited"
        self._keep(held, scenes(1)[0])

    def do_form(self, job: str, step: int) -> None:
        """A true picture of it, so far; and the tick."""
        held = self._held[UUID(job)]
        self._steps[held.job] = step
        actions.renew(held, step=step)
        steps = held.spec.steps
        sprite = preview(held.spec, self._scenes[held.job], step / steps)
        header = PreviewHeader(
            job=held.job,
            attempt=held.attempt,
            step=step,
            steps=steps,
            frames=sprite.frames,
            tile_width=sprite.tile_width,
            tile_height=sprite.tile_height,
            server_us=time.time_ns() // 1000,
            codec=sprite.codec,
            size=len(sprite.image),
        )
        stream.put_preview(held.owner, header, sprite.image)
        self._tick(held, step, steps, seconds_left=round((steps - step) * 0.07, 1))

    def do_finish(self, job: str) -> None:
        """With its video."""
        held = self._held.pop(UUID(job))
        projector = Projector()
        try:
            actions.succeed(held, projector.put(held, self._scenes[held.job]))
        finally:
            projector.close()

    def do_restart(self, job: str) -> None:
        """The attempt fails in passing, and the next one begins, here again."""
        held = self._held.pop(UUID(job))
        with transaction.atomic():
            actions.release(held)
            again = actions.claim(worker="backstage/1", pool="default")
            assert again is not None
            assert again.job == held.job, "another job waited"
        self._held[again.job] = again

    def do_fail(self, job: str) -> None:
        held = self._held.pop(UUID(job))
        actions.fail(held, code="broke", message="It broke, as asked.", permanent=True)

    def do_set_active(self, email: str, active: bool) -> None:
        """As olga does on the account's page in the admin."""
        user = User.objects.get(email=email)
        user.is_active = active
        user.save(update_fields=["is_active"])

    def do_fail_all(self) -> None:
        for job in list(self._held):
            self.do_fail(str(job))


def _images(count: int) -> Iterator[bytes]:
    """Sprites of about 7 KB, no two alike."""
    for number in range(count):
        sprite = Image.effect_noise((SIDE * TILES, SIDE), 24).convert("RGB")
        sprite.paste((number * 16, 90, 200), (0, 0, SIDE * TILES, SIDE // 2))
        file = io.BytesIO()
        sprite.save(file, "JPEG", quality=50)
        yield file.getvalue()


def open_house() -> None:
    """An empty site with its accounts; says by which settings others reach it."""
    call_command("migrate", verbosity=0)
    logins.ensure(settings.T2V_VAR, chosen=settings.T2V_DEMO_PASSWORD)
    _say({name: os.environ[name] for name in (DATABASE, REDIS, SECRET)})


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    backstage, over = Backstage(), threading.Event()
    keeper = threading.Thread(target=backstage.keep, args=(over,))
    keeper.start()
    try:
        for line in sys.stdin:
            answer = backstage.obey(json.loads(line))
            dispatch.wait_empty(5)
            _say(answer)
    finally:
        over.set()
        keeper.join()
