"""Postgres gone for ten seconds: sockets stay, nothing is lost, nobody sees what is not checked."""

import asyncio
import time
from functools import partial
from uuid import UUID

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings

from accounts import actions as accounts
from accounts.roles import Scope
from tests.live import worker
from tests.live.memory import Moment
from tests.live.proxy import proxy_to
from tests.live.stage import KINDS, People, Start, database_url, through
from tests.live.viewer import Viewer, pulse, viewing

AWAY_SECONDS = 10.0
PROMISE_SECONDS = 5.0  # from Postgres' return to the page
RIGHTS_SECONDS = 8.0  # for which one need not be checked: more than a busy machine may stop for


# Each server once and each way once: what is tried is ours, and 10 s of waiting.
@pytest.mark.parametrize(
    ("hangs", "kind"), [(False, "daphne"), (True, "uvicorn")], ids=["gone", "silent"]
)
async def test_sockets_outlive_ten_seconds_without_postgres_and_lose_nothing(
    kind: str, hangs: bool, start: Start, people: People
) -> None:
    """The worker's own connections are well: it is the web host that is cut off."""
    async with proxy_to(int(settings.DATABASES["default"]["PORT"])) as wire:
        server = await start(kind, T2V_DATABASE_URL=through(database_url(), wire.port))
        cookie = await people.cookie(people.alice, server)
        job = (await sync_to_async(worker.submit)(people.alice)).pk
        page, listing = Viewer(server, cookie, job), Viewer(server, cookie, mine=True)
        looking = viewing(page, listing)
        async with looking, pulse(server, cookie, through_postgres=False) as stood_still:
            held = await sync_to_async(worker.claim)()
            for each in (page, listing):
                await each.until(_claimed)
            left = time.monotonic()
            if hangs:
                wire.stall()
            else:
                wire.refuse()
            step = 0
            while time.monotonic() < left + AWAY_SECONDS:
                step += 1
                await sync_to_async(worker.tick)(held, step)
                # What needs no Postgres goes on: the rights were looked up a moment ago.
                await page.until(partial(_shows, job, (held.attempt, step)))
                if step % 3 == 0:
                    held = await sync_to_async(worker.hand_back_and_go_on)(held, step)
                await asyncio.sleep(1.0)
            await sync_to_async(worker.succeed)(held)
            back = time.time()
            stood_still.clear()
            if hangs:
                wire.go()
            else:
                wire.admit()
            for each in (page, listing):
                await each.until(lambda viewer: viewer.snapshots[job]["state"] == "succeeded")
        assert page.facts[job] == await sync_to_async(worker.history)(job)
        within = PROMISE_SECONDS + max(stood_still, default=0.0)
        assert max(page.fact_arrivals.values()) < back + within
        assert (page.opened, listing.opened) == (1, 1)  # the sockets stayed


@pytest.mark.parametrize("kind", KINDS)
async def test_who_cannot_be_checked_for_too_long_gets_nothing_until_it_was_possible(
    kind: str, start: Start, people: People
) -> None:
    """Looked up every second and needed every eight here; every 30 s and every minute otherwise."""
    shorter = ["jobs.sentry.RECHECK_SECONDS=1.0", "jobs.sentry.CLOCK_SECONDS=0.3"]
    async with proxy_to(int(settings.DATABASES["default"]["PORT"])) as wire:
        server = await start(
            kind,
            shorter=[*shorter, f"jobs.viewer.RIGHTS_SECONDS={RIGHTS_SECONDS}"],
            T2V_DATABASE_URL=through(database_url(), wire.port),
        )
        job = (await sync_to_async(worker.submit)(people.alice)).pk
        page = Viewer(server, await people.cookie(people.alice, server), job)
        async with viewing(page):
            held = await sync_to_async(worker.claim)()
            await page.until(_claimed)
            wire.refuse()
            left, sent = time.monotonic(), [0.0]  # when each step was, in seconds after that
            while sent[-1] < RIGHTS_SECONDS + 3.0:
                step = len(sent)
                sent.append(time.monotonic() - left)
                await sync_to_async(worker.tick)(held, step)
                await sync_to_async(worker.preview)(held, step)
                await asyncio.sleep(0.25)
            for shown in (page.ticks, page.previews):
                assert 1.0 < sent[shown[job][1]] < RIGHTS_SECONDS
            wire.admit()
            await page.until(partial(_shows, job, (1, step)))
            await page.until(lambda each: each.previews[job] == (1, step))
        assert page.opened == 1


def _shows(job: UUID, tick: Moment, page: Viewer) -> bool:
    return page.ticks.get(job) == tick


def _claimed(page: Viewer) -> bool:
    return any(job["state"] == "running" for job in page.snapshots.values())


def _succeeded(page: Viewer) -> bool:
    return any(job["state"] == "succeeded" for job in page.snapshots.values())


@pytest.mark.parametrize(
    ("kind", "hangs"), [("daphne", False), ("uvicorn", False), ("uvicorn", True)]
)
async def test_a_program_is_told_to_come_again_and_finds_postgres_back(
    kind: str, hangs: bool, start: Start, people: People
) -> None:
    issued = await sync_to_async(accounts.issue_token)(
        people.alice, name="x", scopes=[Scope.JOBS_WRITE]
    )
    async with proxy_to(int(settings.DATABASES["default"]["PORT"])) as wire:
        server = await start(kind, T2V_DATABASE_URL=through(database_url(), wire.port))
        headers = {"Authorization": f"Bearer {issued[1]}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as program:
            assert (await program.get("/api/v1/jobs")).status_code == 200
            if hangs:
                wire.stall()
            else:
                wire.refuse()
            away = await asyncio.gather(*map(program.get, ("/api/v1/jobs", "/v1/videos")))
            if hangs:
                wire.go()
            else:
                wire.admit()
            assert (await program.get("/api/v1/jobs")).status_code == 200
    assert [answer.status_code for answer in away] == [503, 503]
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in away)
    assert away[0].json()["code"] == away[1].json()["error"]["code"] == "database_unavailable"
