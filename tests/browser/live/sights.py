"""What the tests of the live page do and look at again and again."""

import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.tabs import Tab, Window
from tests.stage import SHOWN_MS

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


def open_tab(tabs: Window, url: str) -> Tab:
    tab = tabs.open(url, script=SPY)
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


def wait_until(true: Callable[[], Any], *, seconds: float = SHOWN_MS / 1000) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
