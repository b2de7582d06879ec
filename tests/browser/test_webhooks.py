"""The pages of webhooks in a real browser: by keyboard, on a phone, without a script."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from standardwebhooks import Webhook

from jobs.tests.receiver import Receiver, receiving
from tests.browser.person import id_of, sign_in, submit
from tests.stage import System, chromium, running

pytestmark = pytest.mark.whole

SOON_MS = 60_000  # two busy cores
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture(scope="module")
def system(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    var = tmp_path_factory.mktemp("webhooks") / "var"
    with running(var, T2V_WEBHOOK_PRIVATE_HOSTS=receiver.host) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def _alice(browser: Browser, system: System, **context: Any) -> tuple[Page, list[str]]:
    """Signed in; and what the browser complains of, as of a script that the policy forbids."""
    opened = browser.new_context(base_url=system.url, **context)
    opened.set_default_timeout(SOON_MS)
    page = opened.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in(page)
    return page, complaints


def _fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def _reload_until(page: Page, words: str) -> None:
    """In the log; the page is fresh when it is loaded."""
    log = page.locator(".deliveries, #delivery")
    for _ in range(60):
        if any(words in part for part in log.all_inner_texts()):
            return
        page.wait_for_timeout(500)
        page.reload()
    raise AssertionError(page.locator("main").inner_text())


def test_a_webhook_is_made_by_keyboard_tested_and_told_of_a_video(
    browser: Browser, system: System, receiver: Receiver
) -> None:
    page, complaints = _alice(browser, system)
    page.goto("/settings/webhooks")
    page.get_by_label("Where to send it").focus()
    page.keyboard.type(receiver.url("200"))
    page.keyboard.press("Tab")
    page.keyboard.type("the shop")
    page.keyboard.press("Enter")
    secret = page.get_by_label("The secret").input_value()
    assert secret.startswith("whsec_")
    page.get_by_role("link", name="Open the webhook to").click()
    page.get_by_role("button", name="Test").click()
    _reload_until(page, "Delivered")
    page.get_by_role("link", name="Look into the job.succeeded").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#delivery")).to_contain_text("Try 1: 200")
    page.locator("#delivery").get_by_role("button", name="Send again").click()
    _reload_until(page, "Try 2: 200")
    first, second = receiver.wait_for(2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    path = page.url

    job = id_of(submit(page, "a red circle moving right", until="Succeeded"))
    told = receiver.wait_for(3)[2]
    event = Webhook(secret).verify(told.body, told.headers)
    assert (event["type"], event["data"]["id"]) == ("job.succeeded", job)
    page.goto(path)
    _reload_until(page, "its video")

    page.get_by_text("Delete …").click()
    page.get_by_role("button", name="Delete it and its log now").click()
    expect(page.get_by_text("is deleted")).to_be_visible()
    expect(page.get_by_text("None yet")).to_be_visible()
    assert complaints == []


def test_on_a_phone_and_without_a_script_everything_is_there(
    browser: Browser, system: System, receiver: Receiver
) -> None:
    page, complaints = _alice(browser, system, **PHONE)
    page.goto("/settings/webhooks")
    cookies = page.context.cookies()
    bare = browser.new_context(base_url=system.url, java_script_enabled=False, **PHONE)
    bare.add_cookies(cookies)  # type: ignore[arg-type]  # as they were given
    plain = bare.new_page()
    plain.goto("/settings/webhooks")
    plain.get_by_label("Where to send it").fill(f"{receiver.url('500')}?{'long' * 60}")
    plain.get_by_role("button", name="Add the webhook").click()
    expect(plain.get_by_label("The secret")).to_have_value(re.compile("whsec_.+"))
    plain.get_by_role("link", name="Open the webhook to").click()
    plain.get_by_role("button", name="Test").click()
    _reload_until(plain, "Given up")
    plain.get_by_role("link", name="Look into the job.succeeded").click()
    expect(plain.locator("#delivery")).to_contain_text("Answered 500.")
    for path in ("/settings/webhooks", plain.url):
        page.goto(path)
        assert _fits(page)
    plain.get_by_role("button", name="Disable").click()
    expect(plain.get_by_text("Nothing is sent there since")).to_be_visible()
    plain.get_by_role("button", name="Enable").click()
    plain.get_by_text("New secret …").click()
    plain.get_by_role("button", name="Make a new secret now").click()
    expect(plain.get_by_text("with the one before as well")).to_be_visible()
    assert complaints == []
