"""The console in a browser: its policy, its frame with scripts and without."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.person import sign_in
from tests.stage import System, chromium, running

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("admin") / "var") as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def _olga(browser: Browser, system: System, *, script: bool, who: str = "olga") -> Page:
    context = browser.new_context(base_url=system.url, java_script_enabled=script)
    page = context.new_page()
    return sign_in(page, f"{who}@example.com")


@pytest.fixture
def plain_olga(browser: Browser, system: System) -> Iterator[Page]:
    """Without JavaScript."""
    page = _olga(browser, system, script=False)
    yield page
    page.context.close()


PAGES = (
    *("", "jobs/job/", "jobs/job/?state=left", "jobs/worker/", "models/", "models/nano/"),
    *("accounts/workspace/", "accounts/workspace/1/change/", "accounts/workspace/1/quotas/"),
    *("accounts/user/?q=alice@example.com", "accounts/user/1/change/", "accounts/user/1/role/"),
    *("accounts/apitoken/", "accounts/invitation/", "accounts/auditentry/", "accounts/"),
)


def test_no_page_of_the_console_asks_for_more_than_the_sites_policy_allows(
    browser: Browser, system: System
) -> None:
    """No eval, no inline script, no inline style: the browser would complain of each."""
    ada = _olga(browser, system, script=True, who="ada")
    complaints: list[str] = []
    ada.on("console", lambda m: complaints.append(f"{ada.url} {m.text}"))
    ada.on("pageerror", lambda error: complaints.append(f"{ada.url} {error}"))
    for path in PAGES:
        answer = ada.goto(f"/admin/{path}")
        assert answer is not None
        assert answer.status == 200, path
        assert "unsafe" not in answer.headers["content-security-policy"]
        expect(ada.locator("html")).to_have_class("scripted")

    # What the frame does by itself works all the same.
    ada.goto("/admin/jobs/job/")
    expect(ada.get_by_role("link", name="Parked, not tried again")).to_be_hidden()
    ada.get_by_role("button", name="Filters").click()
    expect(ada.get_by_role("link", name="Parked, not tried again")).to_be_visible()
    ada.keyboard.press("Escape")
    expect(ada.get_by_role("link", name="Parked, not tried again")).to_be_hidden()
    ada.keyboard.press("/")
    expect(ada.get_by_placeholder("An id, its beginning")).to_be_focused()
    ada.locator("summary").filter(has_text="ada@example.com").press("Enter")
    ada.get_by_role("button", name="Dark").press("Enter")
    expect(ada.locator("html")).to_have_class("scripted dark")
    ada.set_viewport_size({"width": 390, "height": 844})
    ada.goto("/admin/")
    expect(ada.locator("html")).to_have_class("scripted dark")
    expect(ada.locator("#nav-sidebar")).to_be_hidden()
    ada.get_by_role("button", name="Menu", exact=True).press("Enter")
    expect(ada.locator("#nav-sidebar").get_by_role("link", name="Audit log")).to_be_visible()
    ada.context.close()
    assert complaints == []


def test_the_menu_and_the_filters_stand_there_without_a_script(plain_olga: Page) -> None:
    for width in (1440, 390):
        plain_olga.set_viewport_size({"width": width, "height": 844})
        plain_olga.goto("/admin/jobs/job/")
        menu = plain_olga.locator("#nav-sidebar").get_by_role("link", name="Workers")
        expect(menu).to_be_visible()
        expect(plain_olga.get_by_role("link", name="Parked, not tried again")).to_be_visible()
        menu.click()
        expect(plain_olga.get_by_role("heading", name="Workers", level=1)).to_be_visible()
