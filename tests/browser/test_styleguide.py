"""The design's parts in a real browser: can be read, used by keyboard, and are not lost."""

from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.axe import audit
from tests.browser.person import stop_the_clock
from tests.stage import chromium

pytestmark = pytest.mark.whole
SOON_MS = 60_000  # two busy cores


@pytest.fixture
def guide(settings: LazySettings, live_server: LiveServer) -> Iterator[Page]:
    """The styleguide on a tablet; what is wrong in its console fails the test."""
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = ["localhost"]
    complaints: list[str] = []
    size = {"width": 820, "height": 1180}
    url = live_server.url.replace("127.0.0.1", "localhost")
    looks = {"base_url": url, "viewport": size, "reduced_motion": "reduce"}
    with chromium() as browser, browser.new_context(**looks) as context:  # type: ignore[arg-type]
        context.set_default_timeout(SOON_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type == "error" else None,
        )
        page.goto("/styleguide")
        yield page
    assert [each for each in complaints if "status of 503" not in each] == []


def press(page: Page, name: str) -> None:
    """A button of the guide, by keyboard: no toast is in the way of a key."""
    page.locator("main").get_by_role("button", name=name, exact=True).press("Enter")


def test_every_part_can_be_read_in_both_themes_and_at_every_width(guide: Page) -> None:
    for scheme in ("light", "dark"):
        guide.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert audit(guide).violations == []
    for name in ("Error toast", "Toast with undo", "Banner", "Ask for a reason"):
        press(guide, name)
    assert audit(guide).violations == []
    guide.keyboard.press("Escape")
    for width in (1440, 820, 390):
        guide.set_viewport_size({"width": width, "height": 900})
        assert guide.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_theme_is_kept_for_the_next_page_which_comes_in_it(guide: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    guide.emulate_media(color_scheme="light", reduced_motion="reduce")
    light = guide.evaluate(ground)
    guide.locator("main").get_by_role("radio", name="Dark").check()
    assert guide.evaluate(ground) != light
    guide.goto("/")
    assert guide.locator("html").get_attribute("data-theme") == "dark"
    assert guide.evaluate(ground) != light
    assert guide.evaluate("document.querySelector('meta[data-theme=dark]').media") == "all"
    guide.goto("/styleguide")
    guide.locator("main").get_by_role("radio", name="Auto").check()
    assert guide.evaluate(ground) == light
    assert "theme=" not in guide.evaluate("document.cookie")


def test_a_menu_goes_by_the_keyboard_and_closes_on_escape_and_outside(guide: Page) -> None:
    menu = guide.locator("main details.menu")
    menu.locator("summary").press("Enter")
    guide.keyboard.press("ArrowDown")
    expect(menu.get_by_role("link", name="Remix")).to_be_focused()
    guide.keyboard.press("ArrowUp")
    expect(menu.get_by_role("button", name="Delete")).to_be_focused()
    guide.keyboard.press("Escape")
    expect(menu.locator("summary")).to_be_focused()
    expect(menu.get_by_role("button", name="Delete")).to_be_hidden()
    menu.locator("summary").press("Enter")
    guide.get_by_role("heading", name="Styleguide").click()
    expect(menu.get_by_role("button", name="Delete")).to_be_hidden()


def test_a_question_has_the_safe_answer_in_focus_and_gives_the_focus_back(guide: Page) -> None:
    answer = guide.locator("#demo-answer")
    press(guide, "Ask")
    expect(guide.get_by_role("dialog").get_by_role("button", name="Cancel")).to_be_focused()
    guide.keyboard.press("Enter")
    expect(answer).to_have_text("Answered: false")
    expect(guide.get_by_role("button", name="Ask", exact=True)).to_be_focused()
    press(guide, "Ask for a reason")
    guide.keyboard.type("  ")
    guide.keyboard.press("Enter")  # no reason
    expect(guide.get_by_role("dialog")).to_be_visible()
    guide.keyboard.type("a new driver ")
    guide.keyboard.press("Enter")
    expect(answer).to_have_text("Answered: a new driver")
    expect(guide.get_by_role("dialog")).to_have_count(0)


def test_what_was_done_is_taken_back_by_a_key_and_no_more_than_four_toasts_stand(
    guide: Page,
) -> None:
    toasts = guide.locator("#toasts > .toast")
    stop_the_clock(guide)  # no toast goes by itself
    press(guide, "Toast with undo")
    for _ in range(5):
        press(guide, "Error toast")
    expect(toasts).to_have_count(2)  # the same words stand once
    guide.keyboard.press("Control+z")
    expect(guide.locator("#demo-answer")).to_have_text("Brought back.")
    expect(toasts).to_have_count(1)
    for _ in range(6):
        press(guide, "Toast with undo")
    expect(toasts).to_have_count(4)


def test_an_undo_outlives_the_page_it_came_on(guide: Page) -> None:
    stop_the_clock(guide)  # no toast goes by itself
    guide.evaluate(
        """() => import("/static/js/toast.js").then(({ toast }) =>
          toast("Deleted.", { kind: "success", action: { words: "Undo", url: "/nowhere" } }))"""
    )
    guide.goto("/")
    expect(guide.locator("#toasts")).to_contain_text("Deleted.")
    guide.goto("/styleguide?toast=1")  # and one of the server's
    expect(guide.locator("#toasts .act")).to_have_text(["Undo", "Undo"])


def test_a_page_of_a_closed_site_comes_back_by_itself(guide: Page, settings: LazySettings) -> None:
    settings.T2V_MAINTENANCE = "An upgrade, until about 14:00 UTC."
    guide.context.clear_cookies()
    guide.clock.install()
    answer = guide.goto("/?prompt=kept")
    assert answer is not None
    assert answer.status == 503
    expect(guide.get_by_text("This page tries again by itself")).to_be_visible()
    settings.T2V_MAINTENANCE = ""
    guide.clock.run_for(31_000)
    expect(guide.get_by_role("heading", name="Type a sentence.")).to_be_visible()
    assert guide.url.endswith("/?prompt=kept")
