"""Moving previews: who gets them, when they are called live, and that they leave nothing behind."""

import re

import pytest
from playwright.sync_api import BrowserContext, StorageState, expect

from tests.browser.heap import footprints
from tests.browser.live.sights import PICTURE, count_sent, open_page, open_tab, shows_step
from tests.browser.proxy import Proxy
from tests.browser.stagehand import Stagehand
from tests.browser.tabs import Window

pytestmark = pytest.mark.whole


def test_previews_pause_in_a_hidden_tab_and_the_newest_is_there_when_somebody_looks(
    tabs: Window, net: Proxy, hand: Stagehand
) -> None:
    (job,) = hand.start()
    tab = open_tab(tabs, f"{net.url}/jobs/{job}/")
    hand.preview(job, step=1)
    tab.wait_for(PICTURE, "Live · step 1 of 1000")
    tab.wait_for("sent.ack", 1)
    other = tabs.open("about:blank")
    tab.wait_for("document.visibilityState", "hidden")
    acknowledged = tab.get("sent.ack")
    for step in range(10, 20):
        hand.preview(job, step=step)
    hand.tick(job, step=17)  # events go on
    tab.wait_for("document.getElementById('step').textContent", "Step 17 of 1000")
    hand.preview(job, step=20)
    hand.tick(job, step=20)
    tab.wait_for("document.getElementById('step').textContent", "Step 20 of 1000")
    assert tab.get("sent.ack") == acknowledged
    tab.show()
    tab.wait_for(PICTURE, "Live · step 20 of 1000")
    assert other.get("document.visibilityState") == "hidden"


def test_a_broken_preview_costs_nothing_but_itself(alice: BrowserContext, hand: Stagehand) -> None:
    (job,) = hand.start()
    page = open_page(alice, f"/jobs/{job}/")
    hand.preview(job, step=1)
    shows_step(page, 1)
    for step in range(2, 6):  # without acknowledgements the credit would end after two
        hand.preview(job, step=step, broken=True)
        page.wait_for_function("step => sent.acknowledged === step", arg=step)
    hand.preview(job, step=8)
    shows_step(page, 8)


def test_a_picture_that_is_not_renewed_is_not_called_live(
    alice: BrowserContext, hand: Stagehand
) -> None:
    (job,) = hand.start()
    hand.preview(job, step=5, age_seconds=40)
    page = open_page(alice, f"/jobs/{job}/")
    liveness = page.locator("#liveness")
    expect(liveness).to_have_text(re.compile(r"No new picture for [4-9]\d s · step 5 of 1000"))
    expect(liveness).to_have_attribute("data-live", "false")
    hand.preview(job, step=6)
    shows_step(page, 6)
    expect(liveness).to_have_attribute("data-live", "true")


def test_fifty_running_jobs_move_and_only_those_on_screen_are_pictured(
    alice: BrowserContext, hand: Stagehand
) -> None:
    page = open_page(alice, "/")
    page.set_viewport_size({"width": 1280, "height": 2400})
    jobs = hand.start(50, prompt="one of fifty")
    cards = page.locator('#making > [data-state="running"]')
    expect(cards).to_have_count(50)
    page.evaluate(_COUNT_SHIFTS)
    hand.flood(*jobs, per_second=1)
    try:
        for job in jobs:
            hand.tick(job, step=7)
        expect(cards.get_by_text("Step 7 of 1000")).to_have_count(50)
        canvases = page.locator("#making [data-canvas]:visible")
        expect(canvases).to_have_count(8)
        page.set_viewport_size({"width": 1280, "height": 400})
        last = page.locator("#making > li").nth(49)
        last.scroll_into_view_if_needed()
        expect(last.locator("[data-canvas]")).to_be_visible()
        watched = count_sent(page, "subscribe") - 1 - count_sent(page, "unsubscribe")
        assert 1 <= watched <= 8
    finally:
        hand.stop()
    assert page.evaluate("window.shifts") == []


_COUNT_SHIFTS = """async () => {
  for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
  window.shifts = []; // what moved by itself, once the cards were there
  const add = (list) => {
    for (const { sources } of list.getEntries()) {
      window.shifts.push(...sources.map(({ node }) => node?.outerHTML?.slice(0, 200)));
    }
  };
  new PerformanceObserver(add).observe({ type: "layout-shift" });
}"""


def test_previews_by_the_hundred_leave_nothing_behind(
    net: Proxy, signed_in: StorageState, hand: Stagehand
) -> None:
    kept = list(footprints(net.url, {"alice": signed_in}, hand, 1200))
    for page in zip(*kept, strict=True):
        settled, later = page[3], page[4:]  # from the 480th on
        assert max(each.heap for each in later) - settled.heap < 400_000, page
        assert max(each.private for each in later) - settled.private < 8 << 20, page
        assert max(each.sprites for each in page) <= 2, page
        assert max(each.nodes for each in later) <= settled.nodes + 5, page
        assert max(each.listeners for each in later) <= settled.listeners, page
