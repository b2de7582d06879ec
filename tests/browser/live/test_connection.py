"""The connection of a page, with everything between it and the site going wrong."""

import re
import time

import pytest
from playwright.sync_api import BrowserContext, Page, WebSocketRoute, expect

from tests.browser.live.sights import (
    FACTS,
    NO_REGULAR_PINGS,
    STATE,
    count_sent,
    end_the_site,
    is_live,
    open_page,
    open_still,
    open_tab,
    shows_step,
    wait_until,
)
from tests.browser.proxy import Proxy
from tests.browser.stagehand import Stagehand
from tests.browser.tabs import Window
from tests.stage import System

pytestmark = pytest.mark.whole


def test_a_page_that_lost_its_connection_says_so_and_goes_on_where_it_was(
    alice: BrowserContext, net: Proxy, hand: Stagehand
) -> None:
    (job,) = hand.start()
    page = open_still(alice, f"/jobs/{job}/")
    is_live(page)
    expect(page.locator("#history > li")).to_have_count(2)
    net.cut_now()
    hand.restart(job)
    banner = page.locator("#connection")
    expect(banner).to_have_attribute("data-state", "waiting")
    page.clock.run_for(1500)  # no more: it tries again when it is asked to, and not by itself
    expect(banner).to_be_visible()
    expect(banner).to_contain_text(re.compile(r"Reconnecting\s+in [1-9] s"))
    net.mend()
    before = count_sent(page, "sockets")
    page.get_by_role("button", name="Try now").click()
    assert count_sent(page, "sockets") == before + 1, "it tries at once"
    is_live(page)
    expect(page.locator("#history > li")).to_have_text(
        [
            re.compile("Submitted"),
            re.compile("Attempt 1 on"),
            re.compile("Handed back"),
            re.compile("Attempt 2 on"),
        ]
    )


def test_a_blink_of_the_network_shows_no_banner(
    alice: BrowserContext, net: Proxy, hand: Stagehand
) -> None:
    """It lasts as long as a busy machine takes; by the page's own clock half a second."""
    (job,) = hand.start()
    page = open_still(alice, f"/jobs/{job}/")
    is_live(page)
    page.evaluate(
        """() => {
          window.seen = 0;
          const banner = document.getElementById("connection");
          const look = () => (window.seen += !banner.hidden);
          new MutationObserver(look).observe(banner, {attributes: true});
        }"""
    )
    before = count_sent(page, "sockets")
    net.cut_now()
    net.mend()
    expect(page.locator("#connection")).to_have_attribute("data-state", "waiting")
    page.clock.run_for(500)  # ms; its first try comes after 250 to 500
    wait_until(lambda: count_sent(page, "sockets") > before)
    is_live(page)
    page.clock.run_for(5000)
    assert page.evaluate("window.seen") == 0


def test_a_page_without_a_network_says_so_and_does_not_wait_when_it_is_back(
    alice: BrowserContext, net: Proxy, hand: Stagehand
) -> None:
    (job,) = hand.start()
    page = open_still(alice, f"/jobs/{job}/")
    is_live(page)
    alice.set_offline(True)
    net.cut_now()
    banner = page.locator("#connection")
    expect(banner).to_have_attribute("data-state", "offline")
    page.clock.run_for(1500)
    expect(banner).to_contain_text("You are offline")
    expect(banner).to_be_visible()
    hand.restart(job)
    net.mend()
    alice.set_offline(False)
    is_live(page)  # by its own clock at once: the back-off would have been 15 s and more
    expect(page.locator("#history > li")).to_have_count(4)


def test_a_history_that_is_not_continued_is_told_anew(
    alice: BrowserContext, hand: Stagehand
) -> None:
    """As after a restore of the database: the page knows more facts than there are."""
    (job,) = hand.start()
    page = alice.new_page()

    def knows_more(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        route.on_message(lambda text: server.send(str(text).replace('"after":2', '"after":900')))

    page.route_web_socket("**/ws/", knows_more)
    page.goto(f"/jobs/{job}/")
    is_live(page)
    hand.restart(job)
    facts = page.locator("#history > li")
    expect(facts).to_have_count(4)
    seqs = facts.evaluate_all("items => items.map((item) => Number(item.dataset.seq))")
    assert seqs == [1, 2, 3, 4]


def test_a_page_that_one_comes_back_to_goes_on(tabs: Window, net: Proxy, hand: Stagehand) -> None:
    """No private page is kept by a browser (no-store): it is fetched again, and lives at once."""
    (job,) = hand.start()
    tab = open_tab(tabs, f"{net.url}/jobs/{job}/")
    tab.call("Page.navigate", url=f"{net.url}/accounts/email/")
    tab.wait_for("document.readyState + location.pathname", "complete/accounts/email/")
    hand.restart(job)
    tab.get("history.back()")
    tab.wait_for("document.readyState + location.pathname", f"complete/jobs/{job}/")
    tab.wait_for(FACTS, 4)
    tab.wait_for(STATE, "live")


def test_a_frozen_tab_lets_go_of_its_socket_and_catches_up_when_it_thaws(
    tabs: Window, net: Proxy, hand: Stagehand
) -> None:
    (job,) = hand.start()
    tab = open_tab(tabs, f"{net.url}/jobs/{job}/")
    tabs.open("about:blank")
    tab.wait_for("document.visibilityState", "hidden")
    tab.freeze()
    hand.restart(job)
    tab.thaw()
    tab.wait_for(FACTS, 4)
    tab.show()
    tab.wait_for(STATE, "live")
    assert tab.get("sent.sockets") == 2


def test_a_laptop_that_slept_notices_its_dead_connection_within_seconds(
    tabs: Window, net: Proxy, hand: Stagehand
) -> None:
    (job,) = hand.start()
    hidden = open_tab(tabs, net.url, script=NO_REGULAR_PINGS)  # that it slept is all it notices
    shown = open_tab(tabs, f"{net.url}/jobs/{job}/", script=NO_REGULAR_PINGS)
    with tabs.asleep():
        net.forget()  # no router keeps a connection for so long
        hand.restart(job)
        time.sleep(14)  # the very thing under test: time goes by without the browser
    shown.wait_for(FACTS, 4)
    for tab in (hidden, shown):
        tab.wait_for("sent.sockets", 2)
        tab.wait_for(STATE, "live")


def opened_another(page: Page, sockets: int) -> None:
    """It has noticed. "live" it is until then, and that is not the state to wait for."""
    wait_until(lambda: count_sent(page, "sockets") > sockets)


def test_two_tabs_find_a_restarted_site_again(
    alice: BrowserContext, system: System, hand: Stagehand
) -> None:
    (job,) = hand.start()
    pages = [open_page(alice, f"/jobs/{job}/"), open_page(alice, f"/jobs/{job}/")]
    before = [count_sent(page, "sockets") for page in pages]
    end_the_site(system)
    hand.restart(job)
    for page, sockets in zip(pages, before, strict=True):
        opened_another(page, sockets)
        is_live(page, seconds=120)  # its start, and the longest back-off
        expect(page.locator("#history > li")).to_have_count(4)
    hand.preview(job, step=3)
    for page in pages:  # each has credit of its own
        shows_step(page, 3)


@pytest.mark.parametrize("switch", ["refuse_upgrades", "swallow_upgrades"])
def test_a_page_behind_a_proxy_without_websockets_uses_events_over_http(
    alice: BrowserContext, net: Proxy, hand: Stagehand, switch: str
) -> None:
    setattr(net, switch, True)
    (job,) = hand.start()
    page, studio = alice.new_page(), alice.new_page()
    page.goto(f"/jobs/{job}/")
    studio.goto("/")
    for each in (page, studio):
        is_live(each, "sse", seconds=90)  # after two sockets, and each may take 10 s
    hand.preview(job, step=3)
    shows_step(page, 3)
    hand.preview(job, step=4)
    shows_step(page, 4)
    hand.tick(job, step=5)
    expect(page.locator("#step")).to_have_text("Step 5 of 1000")
    card = studio.locator(f'[data-job-id="{job}"]')
    expect(card.locator("[data-note]")).to_have_text("Step 5 of 1000")
    hand.restart(job)
    expect(page.locator("#history > li")).to_have_count(4)
    setattr(net, switch, False)
    page.evaluate("dispatchEvent(new Event('online'))")
    is_live(page, "socket")
    hand.fail(job)
    expect(page.locator("#badge")).to_have_text("Failed")
    expect(page.locator("#history > li")).to_have_count(5)
    expect(card.locator("[data-badge]")).to_have_text("Failed")


def test_a_page_on_events_over_http_that_was_silent_for_long_tries_a_socket_when_it_is_online(
    alice: BrowserContext, net: Proxy, hand: Stagehand
) -> None:
    net.refuse_upgrades = True
    (job,) = hand.start()
    page = alice.new_page()
    page.clock.install()
    page.goto(f"/jobs/{job}/")
    is_live(page, "sse")
    net.refuse_upgrades = False
    page.clock.run_for(50_000)
    with page.expect_websocket():
        page.evaluate("dispatchEvent(new Event('online'))")
    is_live(page, "socket")
