"""What the tests of the live page do and look at again and again."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.person import stop_the_clock
from tests.browser.tabs import Tab, Window
from tests.stage import SHOWN_MS, System

# Counts what the page sends over its sockets, and how many sockets it opened; keeps the step that
# it acknowledged last.
SPY = """
  window.sent = {sockets: 0};
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (text) {
    const {type, step} = JSON.parse(text);
    window.sent[type] = (window.sent[type] ?? 0) + 1;
    if (type === "ack") window.sent.acknowledged = step;
    return send.call(this, text);
  };
  window.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      window.sent.sockets += 1;
    }
  };
"""

# Before a page's own scripts: no ping of static/js/socket.js but those with a reason.
NO_REGULAR_PINGS = """{
  const every = window.setInterval;
  window.setInterval = (act, ms) => (ms > 20_000 ? 0 : every(act, ms));
}"""

# What tests of tabs look at.
STATE = "document.getElementById('connection')?.dataset.state"
FACTS = "document.querySelectorAll('#history > li').length"
PICTURE = "document.getElementById('liveness').textContent"


def open_page(context: BrowserContext, path: str) -> Page:
    """A page whose connection lives."""
    page = context.new_page()
    page.goto(path)
    is_live(page)
    return page


def open_still(context: BrowserContext, path: str) -> Page:
    """For which no time goes by until page.clock.run_for()."""
    page = context.new_page()
    stop_the_clock(page)
    page.goto(path)
    return page


def open_tab(tabs: Window, url: str, *, script: str = "") -> Tab:
    tab = tabs.open(url, script=SPY + script)
    tab.wait_for(STATE, "live")
    return tab


def is_live(page: Page, over: str = "socket", *, seconds: float = SHOWN_MS / 1000) -> None:
    banner = page.locator("#connection")
    expect(banner).to_have_attribute("data-state", "live", timeout=seconds * 1000)
    expect(banner).to_have_attribute("data-over", over)
    expect(banner).to_be_hidden()


def shows_step(page: Page, step: int) -> None:
    """In the picture on show."""
    expect(page.locator("#liveness")).to_have_text(f"Live · step {step} of 1000")


def count_sent(page: Page, what: str) -> int:
    """How often the page has sent that; "sockets": opened."""
    return int(page.evaluate("what => window.sent[what] ?? 0", what))


def end_the_site(system: System) -> None:
    """The web process dies; its supervisor starts another one."""
    found = []
    for each in system.processes():
        with suppress(psutil.NoSuchProcess):  # Postgres' own come and go
            if "daphne" in each.cmdline():
                found.append(each)
    (site,) = found
    site.kill()


def wait_until(true: Callable[[], Any], *, seconds: float = SHOWN_MS / 1000) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
