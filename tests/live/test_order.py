"""Two senders whose clocks differ, and what arrives late: nothing that is shown goes back."""

from asgiref.sync import sync_to_async

from jobs import stream
from jobs.actions import Claim
from tests.live import worker
from tests.live.stage import People, Server
from tests.live.viewer import Viewer, viewing


async def test_ticks_and_previews_of_two_senders_never_go_backwards(
    server: Server, people: People
) -> None:
    """The first worker was lost and wakes up beside the second, of which some comes twice."""
    cookie = await people.cookie(people.alice, server)
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    page = Viewer(server, cookie, job)
    async with viewing(page):
        late = await sync_to_async(worker.claim)()
        await sync_to_async(worker.tick)(late, 9)
        await sync_to_async(worker.preview)(late, 9)
        await page.until(lambda each: each.ticks.get(job) == each.previews.get(job) == (1, 9))
        held = await sync_to_async(worker.hand_back_and_go_on)(late, 4)
        for step in range(5, 40):
            await sync_to_async(_both)(held, late, step)
        # The late one has the last word under the preview's key, and in the ring.
        await sync_to_async(worker.tick)(held, 40)
        await page.until(lambda each: each.ticks[job] == (2, 40))
        newcomer = Viewer(server, cookie, job)
        async with viewing(newcomer):
            await newcomer.until(lambda each: each.ticks.get(job) == (2, 40))
            await newcomer.until_live()
        await sync_to_async(worker.preview)(held, 41)
        await page.until(lambda each: each.previews[job] == (2, 41))
        await sync_to_async(worker.succeed)(held)
        # After the end as well.
        await page.until(lambda each: each.snapshots[job]["state"] == "succeeded")
        before = page.counts["tick"], page.counts["preview"]
        await sync_to_async(_both)(held, late, 50)
        assert stream.last_preview(job) is not None
        await page.until_live()
        assert (page.counts["tick"], page.counts["preview"]) == before
    assert page.older_after_return == 0


def _both(held: Claim, late: Claim, step: int) -> None:
    """The late one always comes after the other, with more steps; then one of the past."""
    for claim, done in ((held, step), (late, step + 100), (held, step - 2)):
        worker.preview(claim, done)
        worker.tick(claim, done)
