"""A quota is one for all replicas: Postgres counts, and so does Redis where it is there."""

import asyncio
from collections import Counter

import httpx
from asgiref.sync import sync_to_async

from accounts import actions as accounts
from accounts import workspaces
from accounts.models import Membership, User
from accounts.roles import Role, Scope
from jobs.models import Job
from tests.live.stage import KINDS, People, Server, Start

RED = {"prompt": "a red circle moving right"}
AT_ONCE = 10


async def _key(user: User) -> dict[str, str]:
    _, token = await sync_to_async(accounts.issue_token)(
        user, name="a program", scopes=[Scope.JOBS_WRITE]
    )
    return {"Authorization": f"Bearer {token}"}


async def _post(servers: list[Server], key: dict[str, str], times: int) -> list[httpx.Response]:
    """So many at once, half of them to each."""
    gate = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(headers=key, timeout=60) as client:

        async def post(number: int) -> httpx.Response:
            async with gate:
                server = servers[number % len(servers)]
                return await client.post(f"{server.url}/api/v1/jobs", json=RED)

        return await asyncio.gather(*(post(number) for number in range(times)))


async def test_of_a_hundred_posts_to_two_replicas_a_quota_of_five_lets_five_in(
    start: Start, people: People
) -> None:
    """Of alice and bob together, whose workspace it is; and two of the five have a place to run."""
    workspace = await sync_to_async(workspaces.current)(people.alice)
    await Membership.objects.acreate(workspace=workspace, user=people.bob, role=Role.CREATOR)
    await User.objects.filter(pk=people.bob.pk).aupdate(workspace=workspace)
    await sync_to_async(accounts.set_quota)(workspace, actor=None, max_queued=5, max_running=2)
    servers = [await start(kind, T2V_RATE_WRITES="1000/minute") for kind in KINDS]
    keys = [await _key(user) for user in (people.alice, people.bob)]
    found = await asyncio.gather(*(_post(servers, key, 50) for key in keys))
    answers = [answer for each in found for answer in each]
    assert Counter(answer.status_code for answer in answers) == {201: 5, 429: 95}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert "Your workspace has 5 unfinished jobs" in refused.json()["detail"]
    assert await Job.objects.filter(workspace=workspace).acount() == 5
    assert await Job.objects.filter(workspace=workspace, over_quota=False).acount() == 2


async def test_a_rate_is_one_for_both_replicas(start: Start, people: People) -> None:
    patient = ["jobs.rates.TIMEOUT=5"]  # a test machine may stop for a moment
    servers = [await start(kind, shorter=patient, T2V_RATE_WRITES="10/hour") for kind in KINDS]
    answers = await _post(servers, await _key(people.alice), 30)
    assert Counter(answer.status_code for answer in answers) == {201: 10, 429: 20}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "rate_limited"
    assert 3000 < int(refused.headers["Retry-After"]) <= 3600
