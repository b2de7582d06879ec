"""What a page does when the site closes its connection."""

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, WebSocketRoute, expect

from tests.browser.live.sights import SPY, count_sent, is_live, open_still
from tests.browser.person import sign_in, sign_out
from tests.browser.proxy import Proxy
from tests.browser.stagehand import Stagehand
from tests.stage import SHOWN_MS

pytestmark = pytest.mark.whole


@pytest.mark.parametrize(
    ("code", "words", "button"),
    [
        (4400, "This page is out of date. Reload it.", "Reload"),
        (4413, "This page is out of date. Reload it.", "Reload"),
        (4428, r"Reconnecting in (1\d|20) s", "Try now"),
        (4503, r"The site is closed for a while. Trying again in (1\d|20) s", "Try now"),
        (
            4429,
            r"Too many of your pages are open at once. Close some. Trying again in [345]\d s",
            "Try now",
        ),
    ],
)
def test_the_page_says_why_the_site_closed_its_connection(
    alice: BrowserContext, code: int, words: str, button: str
) -> None:

    def close(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        server.on_message(lambda _: route.close(code=code))

    alice.route_web_socket("**/ws/", close)
    page = open_still(alice, "/")  # what it counts down stays in sight
    banner = page.locator("#connection")
    expect(banner).to_have_attribute("data-state", re.compile("waiting|stopped"))
    page.clock.run_for(1500)
    pattern = re.compile(rf"^{words}\s*{button}$".replace(" ", r"\s"))
    expect(banner).to_have_text(pattern, use_inner_text=True)
    expect(banner).to_be_visible()


def test_a_page_whose_rights_changed_opens_another_connection(
    alice: BrowserContext, hand: Stagehand
) -> None:
    (job,) = hand.start()
    page = alice.new_page()
    opened: list[WebSocketRoute] = []

    def first_is_closed(route: WebSocketRoute) -> None:
        opened.append(route)
        server = route.connect_to_server()
        if len(opened) == 1:
            server.on_message(lambda _: route.close(code=4410))

    page.route_web_socket("**/ws/", first_is_closed)
    page.goto(f"/jobs/{job}/")
    is_live(page)
    assert len(opened) == 2


@pytest.mark.parametrize("over", ["socket", "sse"])
def test_a_page_that_was_signed_out_in_another_tab_goes_to_the_sign_in(
    browser: Browser, net: Proxy, over: str
) -> None:
    net.refuse_upgrades = over == "sse"
    context = browser.new_context(base_url=net.url)
    other = sign_in(context.new_page(), "bob@example.com")
    page = context.new_page()
    page.goto("/")
    is_live(page, over)
    sign_out(other)
    page.wait_for_url("**/accounts/login/?next=*", timeout=SHOWN_MS)
    context.close()
    net.mend()


def test_a_page_of_a_closed_account_says_so_and_asks_no_more(
    browser: Browser, net: Proxy, hand: Stagehand
) -> None:
    context = browser.new_context(base_url=net.url)
    context.add_init_script(SPY)
    page = sign_in(context.new_page(), "charlie@example.com")
    is_live(page)
    hand.set_active("charlie@example.com", False)
    banner = page.locator("#connection")
    try:
        expect(banner).to_have_text("This account was closed.", use_inner_text=True)
    finally:
        hand.set_active("charlie@example.com", True)
    page.evaluate("dispatchEvent(new Event('online'))")
    assert count_sent(page, "sockets") == 1
    context.close()
