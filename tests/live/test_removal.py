"""Who is removed from a workspace sees nothing of it from then on, on whatever is open."""

import asyncio
import json
import time
from uuid import UUID

from asgiref.sync import sync_to_async

from accounts import actions as accounts
from accounts import workspaces
from accounts.models import Membership, User, Workspace
from accounts.roles import Role, Scope
from tests.live import worker
from tests.live.programs import Reader, ask, reading
from tests.live.stage import People, Server, until_rights_are_heard
from tests.live.viewer import Viewer, viewing

RIGHTS_CHANGED = 4410
AT_ONCE_SECONDS = 10.0  # a busy machine; what nobody tells of is seen by the look every 30 s


def _let_in(owner: User, user: User) -> Workspace:
    place = workspaces.current(owner)
    Membership.objects.create(workspace=place, user=user, role=Role.CREATOR)
    User.objects.filter(pk=user.pk).update(workspace=place)
    return place


def _remove(owner: User, user: User, place: Workspace) -> None:
    member = Membership.objects.get(workspace=place, user=user).pk
    accounts.remove(owner, workspace=place.pk, member=member)


def _jobs(page: Viewer) -> set[UUID]:
    return set(page.snapshots)


async def test_who_is_removed_is_out_of_page_program_socket_and_stream_at_once(
    server: Server, people: People
) -> None:
    """Also of what they made there themselves; what they made elsewhere goes on."""
    alice, bob = people.alice, people.bob
    elsewhere = (await sync_to_async(worker.submit)(bob)).pk  # in his own workspace
    place = await sync_to_async(_let_in)(alice, bob)
    alices = (await sync_to_async(worker.submit)(alice)).pk
    here = (await sync_to_async(worker.submit)(await User.objects.aget(pk=bob.pk))).pk
    claims = [await sync_to_async(worker.claim)() for _ in range(3)]
    held = {each.job: each for each in claims}
    _, bound = await sync_to_async(accounts.issue_token)(
        await User.objects.aget(pk=bob.pk), name="x", scopes=[Scope.JOBS_READ], workspace=place
    )
    cookie = await people.cookie(bob, server)
    page = Viewer(server, cookie, alices)
    mine = Viewer(server, cookie, mine=True)
    stream = Reader(server, cookie, f"/api/v1/jobs/{alices}/events")
    async with viewing(page, mine), reading(stream):
        await page.until(lambda each: alices in each.snapshots)
        await mine.until(lambda each: _jobs(mine) == {elsewhere, here})
        await stream.until(lambda each: each.seq(alices) == 2)
        await until_rights_are_heard()
        before = mine.opened
        began = time.monotonic()
        await sync_to_async(_remove)(alice, bob, place)
        assert await page.until_closed() == RIGHTS_CHANGED
        assert await mine.until_closed() == RIGHTS_CHANGED
        assert await stream.until_over(AT_ONCE_SECONDS) == 404
        assert time.monotonic() - began < AT_ONCE_SECONDS
        # The pages come back, and hear of nothing that happens there.
        await page.until(lambda each: each.refused)
        await mine.until(lambda each: each.opened > before)
        await mine.until(lambda each: each.heard and each.heard[-1]["type"] == "snapshot")
        heard = len(mine.heard)
        await sync_to_async(worker.tick)(held[here], 7)
        await sync_to_async(worker.succeed)(held[here])
        await sync_to_async(worker.succeed)(held[elsewhere])  # told of after the other one
        await mine.until(lambda each: each.snapshots[elsewhere]["state"] == "succeeded")
        assert str(here) not in json.dumps(mine.heard[heard:])
    for job in (alices, here):
        for path in (f"/api/v1/jobs/{job}", f"/jobs/{job}/", f"/jobs/{job}/1/video.mp4"):
            assert (await ask(server, "GET", path, cookie=cookie)).status == 404
    assert (await ask(server, "GET", f"/api/v1/jobs/{elsewhere}", cookie=cookie)).status == 200
    headers = {"Authorization": f"Bearer {bound}"}
    assert (await ask(server, "GET", "/api/v1/jobs", headers=headers)).status == 401


async def test_what_one_makes_in_a_new_workspace_is_followed_without_opening_the_page_again(
    server: Server, people: People
) -> None:
    mine = Viewer(server, await people.cookie(people.bob, server), mine=True)
    async with viewing(mine):
        await mine.until_live()
        await until_rights_are_heard()
        await sync_to_async(_let_in)(people.alice, people.bob)
        bob = await User.objects.aget(pk=people.bob.pk)
        deadline = time.monotonic() + AT_ONCE_SECONDS
        while not mine.snapshots and time.monotonic() < deadline:
            await sync_to_async(worker.submit)(bob)  # the look at rights may come after one
            await asyncio.sleep(0.2)
        assert mine.snapshots
