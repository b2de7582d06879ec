"""Workspaces over socket and stream: mates see what outsiders do not, while they are in."""

import asyncio
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
AT_ONCE_SECONDS = 10.0  # a busy machine; what nobody tells of is seen within 30 s
AWAY = (401, 404)  # the token is gone, or the place is


def _join(workspace: Workspace, user: User) -> Membership:
    user.__dict__.pop("memberships", None)
    return Membership.objects.create(workspace=workspace, user=user, role=Role.CREATOR)


def _bound_token(user: User, workspace: Workspace) -> str:
    scopes = [Scope.JOBS_READ, Scope.JOBS_WRITE]
    return accounts.issue_token(user, name="x", scopes=scopes, workspace=workspace)[1]


async def _refused(server: Server, job: UUID, headers: dict[str, str]) -> set[int]:
    """The statuses of all that the job has: itself, its stream, its preview, a link to its file."""
    paths = ("", "/events", "/preview", "/artifacts")
    answers = [
        await ask(server, "GET", f"/api/v1/jobs/{job}{path}", headers=headers) for path in paths
    ]
    file = await ask(server, "GET", f"/jobs/{job}/1/video.mp4", headers=headers)
    return {answer.status for answer in (*answers, file)}


async def test_a_mate_sees_what_an_outsider_does_not_and_no_more_once_removed(
    server: Server, people: People
) -> None:
    """Removed from the workspace: session, token, socket, stream and link end, at once."""
    studio = await sync_to_async(workspaces.current)(people.alice)
    row = await sync_to_async(_join)(studio, people.bob)
    token = await sync_to_async(_bound_token)(people.bob, studio)
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    held = await sync_to_async(worker.claim)()
    await sync_to_async(worker.preview)(held, 1)
    bobs = await people.cookie(people.bob, server)
    charlies = await people.cookie(people.charlie, server)
    mate = Viewer(server, bobs, job, comes_back=False)
    outsider = Viewer(server, charlies, job, mine=True)
    stream = Reader(server, bobs, f"/api/v1/jobs/{job}/events")
    async with viewing(mate, outsider), reading(stream):
        await mate.until(lambda each: job in each.snapshots)
        await outsider.until(lambda each: each.refused)
        await stream.until(lambda each: each.seq(job) == 2)
        await sync_to_async(worker.tick)(held, 2)
        await mate.until(lambda each: each.counts["tick"])
        await until_rights_are_heard()
        await sync_to_async(accounts.remove)(people.alice, workspace=studio.pk, member=row.pk)
        async with asyncio.timeout(AT_ONCE_SECONDS):
            assert await mate.until_closed() == RIGHTS_CHANGED
            assert await stream.until_over(AT_ONCE_SECONDS) == 404
        await sync_to_async(worker.tick)(held, 3)
        await outsider.until_live()
    assert outsider.snapshots == {}
    assert outsider.counts["tick"] == 0
    assert await _refused(server, job, {"Cookie": bobs}) == {404}
    assert await _refused(server, job, {"Authorization": f"Bearer {token}"}) <= set(AWAY)
