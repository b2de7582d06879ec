"""Who sees what over socket, events and preview; and that it ends when the right to it ends."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session

from accounts.models import User
from accounts.roles import SiteRole
from jobs import actions
from jobs.actions import Claim
from tests.live import worker
from tests.live.programs import Reader, ask, reading
from tests.live.served import NO_LAYER
from tests.live.stage import KINDS, People, Server, Start, until_rights_are_heard
from tests.live.viewer import Viewer, viewing

SIGNED_OUT, ACCOUNT_CLOSED, RIGHTS_CHANGED = 4401, 4403, 4410
AT_ONCE_SECONDS = 10.0  # a busy machine; what nobody tells of is seen by the look every 30 s
BUSY_SECONDS = 15.0  # what such a machine may add to a look
NO_JOB = UUID(int=1)


async def test_everybody_sees_their_own_and_operators_see_all_whatever_the_way(
    server: Server, people: People
) -> None:
    alices = (await sync_to_async(worker.submit)(people.alice)).pk
    bobs = (await sync_to_async(worker.submit)(people.bob)).pk
    for _ in range(2):
        held = await sync_to_async(worker.claim)()
        await sync_to_async(worker.preview)(held, 1)
    everybody = (people.alice, people.bob, people.olga, people.charlie)
    sees = {people.alice: {alices}, people.bob: {bobs}, people.olga: {alices, bobs}}
    for user in everybody:
        cookie = await people.cookie(user, server)
        page = Viewer(server, cookie, alices, bobs, NO_JOB)
        async with viewing(page):
            await page.until(lambda each: len(each.snapshots) + len(each.refused) == 3)
            assert set(page.snapshots) == sees.get(user, set())
            assert {UUID(each["job"]) for each in page.refused} == {alices, bobs, NO_JOB} - set(
                page.snapshots
            )
            refusals = {(e["code"], e["status"], e["message"]) for e in page.refused}
            assert refusals == {("not_found", 404, page.refused[0]["message"])}
        for job in (alices, bobs, NO_JOB):
            shown = 200 if job in sees.get(user, ()) else 404
            answer = await ask(server, "GET", f"/api/v1/jobs/{job}/preview", cookie=cookie)
            assert answer.status == shown
            reader = Reader(server, cookie, f"/api/v1/jobs/{job}/events")
            async with reading(reader):
                await reader.until(lambda each: each.statuses)
                assert reader.statuses[0] == shown


async def test_who_looks_at_a_job_loses_it_when_it_is_deleted(
    server: Server, people: People
) -> None:
    deleted = (await sync_to_async(worker.submit)(people.alice)).pk
    cookie = await people.cookie(people.alice, server)
    page = Viewer(server, cookie, deleted, comes_back=False)
    async with viewing(page):
        await page.until(lambda each: deleted in each.snapshots)
        await until_rights_are_heard()
        began = time.monotonic()
        await sync_to_async(actions.delete)(deleted)
        assert await page.until_closed() == RIGHTS_CHANGED
        assert time.monotonic() - began < AT_ONCE_SECONDS
    again = Viewer(server, cookie, deleted)
    async with viewing(again):
        await again.until(lambda each: each.refused)
        assert again.snapshots == {}


async def test_a_foreign_job_and_no_job_are_answered_in_the_same_bytes(
    server: Server, people: People
) -> None:
    alices = (await sync_to_async(worker.submit)(people.alice)).pk
    cookie = await people.cookie(people.charlie, server)
    for path in ("events", "preview"):
        answers = [
            await ask(server, "GET", f"/api/v1/jobs/{job}/{path}", cookie=cookie)
            for job in (alices, NO_JOB)
        ]
        assert answers[0].body == answers[1].body
        assert answers[0].status == answers[1].status == 404


async def test_nobody_sees_nothing(server: Server, people: People) -> None:
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    for cookie in ("", f"{server.cookie_name}=forged", f"{server.cookie_name}={32 * 'a'}"):
        page = Viewer(server, cookie, job, mine=True)
        async with viewing(page):
            assert await page.until_closed() == SIGNED_OUT
        assert page.heard == []
        for path in (f"/api/v1/jobs/{job}/events", f"/api/v1/jobs/{job}/preview", "/api/v1/events"):
            answer = await ask(server, "GET", path, headers={"Cookie": cookie})
            assert answer.status in {401, 403}, path


# --- Rights that end -----------------------------------------------------------------------------


async def _signs_out(user: User, server: Server, cookie: str) -> None:
    answer = await ask(server, "POST", "/accounts/logout/", cookie=cookie)
    assert answer.status == 302


async def _session_is_ended(user: User, server: Server, cookie: str) -> None:
    await (await Session.objects.aget(pk=cookie.partition("=")[2])).adelete()


async def _gets_a_new_password(user: User, server: Server, cookie: str) -> None:
    user.set_password("a new and better password")
    await user.asave()


async def _is_deactivated(user: User, server: Server, cookie: str) -> None:
    user.is_active = False
    await user.asave()


async def _is_deleted(user: User, server: Server, cookie: str) -> None:
    await user.adelete()


async def _becomes_a_member(user: User, server: Server, cookie: str) -> None:
    user.role = SiteRole.MEMBER
    await user.asave(update_fields=["role"])


async def _is_deactivated_by_a_query(user: User, server: Server, cookie: str) -> None:
    await User.objects.filter(pk=user.pk).aupdate(is_active=False)


Ending = Callable[[User, Server, str], Awaitable[None]]
TOLD: dict[Ending, int] = {
    _signs_out: SIGNED_OUT,
    _session_is_ended: SIGNED_OUT,
    _gets_a_new_password: SIGNED_OUT,
    _is_deactivated: ACCOUNT_CLOSED,
    _is_deleted: ACCOUNT_CLOSED,
    _becomes_a_member: RIGHTS_CHANGED,
}


async def _operators(people: People, count: int) -> list[User]:
    """So many like olga; each loses their rights in another way."""
    return [
        await User.objects.acreate(
            email=f"olga{number}@example.com", role=SiteRole.OPERATOR, password=people.olga.password
        )
        for number in range(count)
    ]


async def _ticking(held: Claim) -> None:
    for step in range(1_000):
        await sync_to_async(worker.tick)(held, step)
        await asyncio.sleep(0.1)


async def _ends(ending: Ending, page: Viewer, user: User) -> float:
    """Seconds from the end of the right to the close."""
    before = page.counts["tick"]
    await page.until(lambda each: each.counts["tick"] > before)  # it streams
    await ending(user, page.server, page.cookie)
    began = time.monotonic()
    await page.until_closed(40)
    return time.monotonic() - began


async def _end_all(
    server: Server, people: People, endings: dict[Ending, int], *, told: bool = False
) -> list[float]:
    """All of them at the same time, beside two pages that nothing happens to."""
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    held = await sync_to_async(worker.claim)()
    users = await _operators(people, len(endings))
    pages = [
        Viewer(server, await people.cookie(user, server), job, mine=True, comes_back=False)
        for user in users
    ]
    stays = [
        Viewer(server, await people.cookie(user, server), job)
        for user in (people.alice, people.olga)
    ]
    async with viewing(*pages, *stays):
        if told:
            await until_rights_are_heard()
        ticking = asyncio.create_task(_ticking(held))
        took = await asyncio.gather(*map(_ends, endings, pages, users))
        before = stays[0].counts["tick"]
        await stays[0].until(lambda each: each.counts["tick"] > before)
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
    assert [page.codes for page in pages] == [[code] for code in endings.values()]
    if server.kind != "daphne":  # it sends the code and never a reason
        assert all(page.reasons[0] for page in pages)
    assert [page.opened for page in stays] == [1, 1]
    return took


async def test_a_socket_is_closed_at_once_with_its_own_code_when_the_right_to_it_ends(
    server: Server, people: People
) -> None:
    took = await _end_all(server, people, TOLD, told=True)
    print(f"{server.kind}: closed after {max(took):.2f} s at the most")  # noqa: T201 - figures
    assert max(took) < AT_ONCE_SECONDS


@pytest.mark.parametrize("kind", KINDS)
async def test_a_socket_is_closed_by_the_next_look_when_nobody_tells_of_it(
    kind: str, start: Start, people: People
) -> None:
    """The channel layer is dead. The look is due every 2 s here, and every 30 s otherwise."""
    looks = ["jobs.sentry.RECHECK_SECONDS=2.0", "jobs.sentry.CLOCK_SECONDS=0.5"]
    server = await start(kind, shorter=[NO_LAYER, *looks])
    took = await _end_all(server, people, TOLD | {_is_deactivated_by_a_query: ACCOUNT_CLOSED})
    assert max(took) < 2.0 + 0.5 + BUSY_SECONDS


async def test_a_stream_of_events_ends_with_the_right_to_it(server: Server, people: People) -> None:
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    held = await sync_to_async(worker.claim)()
    users = await _operators(people, 3)
    endings = {_signs_out: {401, 403}, _is_deactivated: {401, 403}, _becomes_a_member: {404}}
    cookies = [await people.cookie(user, server) for user in users]
    readers = [Reader(server, cookie, f"/api/v1/jobs/{job}/events") for cookie in cookies]
    async with reading(*readers):
        for reader in readers:
            await reader.until(lambda each: each.seq(job) == 2)
        await until_rights_are_heard()
        for ending, user, cookie in zip(endings, users, cookies, strict=True):
            await ending(user, server, cookie)
        for reader, statuses in zip(readers, endings.values(), strict=True):
            assert await reader.until_over(AT_ONCE_SECONDS) in statuses
        await sync_to_async(worker.succeed)(held)
    assert [reader.seq(job) for reader in readers] == [2, 2, 2]


async def test_a_right_that_has_ended_subscribes_to_nothing_more(
    server: Server, people: People
) -> None:
    """Nobody was told of it, and the next look is half a minute away."""
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    page = Viewer(server, await people.cookie(people.olga, server))
    async with viewing(page):
        await page.until_live()
        await User.objects.filter(pk=people.olga.pk).aupdate(role=SiteRole.MEMBER)
        await page.say({"type": "subscribe", "job": str(job)})
        await page.until(lambda each: each.refused)
    assert page.snapshots == {}
