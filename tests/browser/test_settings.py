"""What the settings need a browser for: notifications, questions, passwords to look at."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.house import House, house
from tests.stage import PASSWORD, chromium

pytestmark = pytest.mark.whole
SOON_MS = 60_000  # two busy cores
# What the browser would show: a headless one shows nothing.
SPY = """
window.shown = [];
window.Notification = class extends EventTarget {
  static permission = localStorage.getItem("permission") ?? "default";
  static requestPermission() {
    Notification.permission = window.answer ?? "granted";
    localStorage.setItem("permission", Notification.permission);
    return Promise.resolve(Notification.permission);
  }
  constructor(title, options) {
    super();
    window.shown.push({ title, ...options });
    window.last = this;
  }
  close() {}
};
"""
TELL = """async (view) => {
  const { notify } = await import("/static/js/notify.js");
  await notify(view);
  return window.shown;
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("settings") / "var") as opened:
        yield opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def as_(browser: Browser, site: House) -> Iterator[Callable[..., BrowserContext]]:
    """A browser in which somebody is signed in."""
    opened: list[BrowserContext] = []

    def _as(who: str, **options: Any) -> BrowserContext:
        context = browser.new_context(base_url=site.url, **options)
        context.set_default_timeout(SOON_MS)
        context.add_cookies(site.cookies(who))  # type: ignore[arg-type]
        opened.append(context)
        return context

    yield _as
    for context in opened:
        context.close()


def _view(site: House, **changed: str) -> dict[str, str]:
    ended = {"id": site.names["succeeded"], "state": "succeeded", "prompt": "a red circle"}
    return {**ended, "owner": "alice@example.com", **changed}


def test_one_is_told_of_an_end_once_however_many_tabs_and_a_click_opens_the_clip(
    as_: Callable[..., BrowserContext], site: House
) -> None:
    context = as_("alice")
    context.add_init_script(SPY)
    page = context.new_page()
    page.goto("/settings/notifications")
    assert page.evaluate(TELL, _view(site)) == []  # not switched on
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_text("You are told when a clip")).to_be_visible()
    expect(page.get_by_role("button", name="Turn off")).to_be_focused()
    page.get_by_role("button", name="Send a test").click()
    assert [each["title"] for each in page.evaluate("window.shown")] == ["This is how it looks"]

    tabs = [context.new_page() for _ in range(3)]
    for tab in tabs:
        tab.goto("/settings/notifications")
        tab.evaluate("document.hasFocus = () => false")  # the person is somewhere else
    telling = "view => { window.telling = (" + TELL + ")(view); }"
    for tab in tabs:  # at the same time
        tab.evaluate(telling, _view(site))
    told = [each for tab in tabs for each in tab.evaluate("window.telling")]
    assert [(each["title"], each["silent"]) for each in told] == [("Your clip is ready", True)]
    for unwanted in (
        _view(site),  # once more
        _view(site, id=site.names["failed"], owner="bob@example.com"),
        _view(site, id=site.names["cancelled"], state="cancelled"),
    ):
        assert all(len(tab.evaluate(TELL, unwanted)) <= 1 for tab in tabs)
    # Who looks at it is not told, and nobody else is.
    failed = _view(site, id=site.names["failed"], state="failed")
    tabs[0].bring_to_front()
    tabs[0].evaluate("document.hasFocus = () => true")
    before = [len(tab.evaluate("window.shown")) for tab in tabs]
    for tab in tabs:
        tab.evaluate(TELL, failed)
    assert [len(tab.evaluate("window.shown")) for tab in tabs] == before

    teller = next(tab for tab in tabs if tab.evaluate("window.shown.length"))
    teller.evaluate("window.last.dispatchEvent(new Event('click'))")
    teller.wait_for_url(f"**/jobs/{site.names['succeeded']}/")


def test_a_browser_that_refuses_is_explained_and_can_be_asked_again(
    as_: Callable[..., BrowserContext],
) -> None:
    context = as_("alice")
    context.add_init_script(SPY)
    page = context.new_page()
    page.goto("/settings/notifications")
    page.evaluate("window.answer = 'denied'")
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_text("no page can change it")).to_be_visible()
    expect(page.get_by_role("button", name="Turn on")).to_be_hidden()
    page.evaluate("Notification.permission = 'default'; dispatchEvent(new Event('focus'))")
    expect(page.get_by_role("button", name="Turn on")).to_be_visible()


def test_what_cannot_be_undone_is_asked_and_no_is_an_answer(
    as_: Callable[..., BrowserContext], site: House
) -> None:
    page = as_("alice").new_page()
    page.goto("/settings/tokens")
    revoke = page.locator("summary", has_text="Revoke").first
    revoke.focus()
    page.keyboard.press("Enter")
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("This cannot be undone")
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    expect(revoke).to_be_focused()
    assert "/settings/tokens" in page.url
    page.goto(f"/settings/workspaces/{site.names['slug']}/members")
    page.get_by_label("Remove vera@example.com …").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_text("They are out")).to_be_visible()
    expect(page.get_by_label("Role of vera@example.com")).to_have_count(0)


def test_a_zone_and_a_style_are_chosen_and_every_page_is_written_so(
    as_: Callable[..., BrowserContext],
) -> None:
    page = as_("bob", timezone_id="America/New_York", locale="en-US").new_page()
    page.goto("/settings/profile")
    now = page.locator("time").last
    expect(now).to_contain_text("M")  # AM or PM
    page.get_by_label("Time zone").fill("Asia/Kathmandu")
    page.get_by_label("How they are written").select_option("sv-SE")
    page.get_by_label("Name", exact=True).fill("Bob Ngo")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.locator("body")).to_have_attribute("data-time-zone", "Asia/Kathmandu")
    wanted = page.evaluate(
        """() => { const at = new Date(document.querySelectorAll("time")[0].dateTime);
        return new Intl.DateTimeFormat("sv-SE", { dateStyle: "medium", timeStyle: "short",
        timeZone: "Asia/Kathmandu" }).format(at); }"""
    )
    expect(page.locator("time").first).to_have_text(wanted)
    # Wrong in two places: each says so, and the first has the focus.
    page.get_by_label("Name", exact=True).fill("bob@example.com")
    page.get_by_label("Time zone").fill("Mars/Olympus")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#name-error")).to_be_visible()
    expect(page.locator("#zone-error")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()


def test_a_password_can_be_looked_at_and_caps_lock_is_told_of(
    as_: Callable[..., BrowserContext],
) -> None:
    page = as_("").new_page()
    page.goto("/accounts/login/")
    password = page.get_by_label("Password", exact=True)
    password.fill(PASSWORD)
    page.get_by_role("button", name="Show Password").click()
    expect(password).to_have_attribute("type", "text")
    expect(password).to_be_focused()
    password.evaluate(
        """field => field.dispatchEvent(new KeyboardEvent("keydown",
        { key: "A", modifierCapsLock: true }))"""
    )
    expect(page.get_by_text("Caps lock is on.")).to_be_visible()
    page.get_by_label("Email").fill("alice@example.com")
    page.get_by_label("Email").press("Enter")
    expect(page.locator("#composer")).to_be_visible()


def test_the_current_tab_is_in_view_on_a_phone(
    as_: Callable[..., BrowserContext], site: House
) -> None:
    page: Page = as_("alice", viewport={"width": 390, "height": 844}, has_touch=True).new_page()
    for path in ("/settings/profile", "/settings/audit", "/settings/workspaces"):
        page.goto(path)
        expect(page.locator(".settings-nav [aria-current]")).to_be_in_viewport(ratio=1)
