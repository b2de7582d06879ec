"""The strip of a finished job: "How it formed"."""

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, StorageState, expect

from tests.browser.live.sights import wait_until
from tests.browser.person import submit
from tests.browser.proxy import Proxy
from tests.stage import System

pytestmark = pytest.mark.whole


def _finished(page: Page, prompt: str) -> str:
    """The path of a job of the real worker that succeeded; page shows it."""
    address = submit(page, prompt, steps=12)
    expect(page.locator("#video")).to_be_visible(timeout=60_000)
    return address


def test_how_a_video_formed_can_be_scrubbed_by_keyboard(alice: BrowserContext) -> None:
    page = alice.new_page()
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    path = _finished(page, "a red circle moving right on a white background")
    assert not [url for url in fetched if "strip.jpg" in url], "it loads when it is asked for"
    page.get_by_role("tab", name="How it formed").click()
    slider = page.get_by_role("slider", name="Step 12 of 12")
    expect(slider).to_be_visible()
    canvas = page.locator("#preview")
    expect(canvas).to_be_visible()
    expect(page.locator("#video")).to_be_hidden()
    wait_until(lambda: len(_pictures(page)) > 1)  # it moves
    last = _pictures(page)
    slider.focus()
    steps = page.request.get(f"/api/v1/jobs/{path.split('/')[-2]}").json()["strip"]["steps"]
    slider.press("ArrowLeft")
    expect(page.get_by_role("slider", name=f"Step {steps[-2]} of 12")).to_be_focused()
    slider = page.locator("#formed-step")
    slider.press("Home")
    expect(page.locator("#formed-words")).to_have_text(f"Step {steps[0]} of 12")
    expect(slider).to_have_attribute("aria-valuetext", f"Step {steps[0]} of 12")
    wait_until(lambda: not _pictures(page) & last)
    page.get_by_role("tab", name="Clip").click()
    expect(page.locator("#video")).to_be_visible()
    expect(canvas).to_be_hidden()
    page.emulate_media(reduced_motion="reduce")
    page.goto(path)
    page.get_by_role("tab", name="How it formed").click()
    expect(canvas).to_be_visible()
    assert len(_pictures(page)) == 1, "nothing moves for somebody who asked for less motion"


def _pictures(page: Page) -> set[str]:
    """What the canvas shows within most of a second."""
    seen: list[str] = page.evaluate(
        """async () => {
          const canvas = document.getElementById("preview");
          const seen = [];
          for (let at = 0; at < 8; at += 1) {
            seen.push(canvas.toDataURL());
            await new Promise((go) => setTimeout(go, 100));
          }
          return seen;
        }"""
    )
    return set(seen)


def test_how_a_video_formed_may_lie_on_another_origin_that_shares_no_bytes(
    browser: Browser, net: Proxy, system: System, signed_in: StorageState
) -> None:
    """As with S3: the file's address leads to a link of another host."""
    context = browser.new_context(base_url=net.url, storage_state=signed_in, bypass_csp=True)
    page = context.new_page()

    def elsewhere(route: Route) -> None:
        there = route.request.url.replace(net.url, system.url)
        route.fulfill(status=302, headers={"Location": there})

    page.route(f"{net.url}/**/strip.jpg", elsewhere)
    _finished(page, "a blue star growing on a yellow background")
    page.get_by_role("tab", name="How it formed").click()
    canvas = page.locator("#preview")
    expect(canvas).to_be_visible()
    finished = canvas.screenshot()
    page.locator("#formed-step").press("Home")
    wait_until(lambda: canvas.screenshot() != finished)
    closed = "try { document.getElementById('preview').toDataURL(); false } catch { true }"
    assert page.evaluate(closed), "it was drawn from the other origin"
    context.close()
