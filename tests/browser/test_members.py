"""From an invitation to the last look: two people and one workspace, in a real browser."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.person import sign_in
from tests.stage import PASSWORD, Caller, System, chromium, running

pytestmark = pytest.mark.whole

SOON_MS = 60_000  # two busy cores
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
PROMPT = "a blue square moving up"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("members") / "var") as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def _open(browser: Browser, system: System, **context: Any) -> tuple[Page, list[str]]:
    """And what the browser complains of, as of a script that the policy forbids."""
    opened = browser.new_context(base_url=system.url, **context)
    opened.set_default_timeout(SOON_MS)
    page = opened.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints


def _fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def _joins(dana: Page, link: str, job: str) -> None:
    """She signs up by the link, and sees the team's video."""
    dana.goto(link)
    expect(dana.get_by_role("heading", name="Join")).to_contain_text("Demo studio")
    assert _fits(dana)
    dana.get_by_role("button", name="Create an account").click()
    expect(dana.get_by_label("Email")).to_have_value("dana@example.com")
    dana.get_by_label("Password", exact=True).fill(PASSWORD)
    dana.get_by_label("Password (again)").fill(PASSWORD)
    dana.locator("main").get_by_role("button", name="Create the account").click()
    dana.get_by_role("button", name="Join the workspace").click()
    card = dana.locator(f"[data-job-id='{job}']")
    expect(card).to_contain_text("by alice@example.com")
    card.get_by_role("link").click()
    expect(dana.get_by_role("heading", name=PROMPT)).to_be_visible()
    expect(dana.locator("#cancel")).to_be_hidden()  # a creator cancels nobody else's
    dana.wait_for_load_state()  # before its sheets have come it is wider
    assert _fits(dana)


def _switches(dana: Page, job: str) -> None:
    """To her own workspace with keys alone, and back again."""
    dana.goto("/")
    dana.locator(".switcher > summary").focus()
    dana.keyboard.press("Enter")
    dana.keyboard.press("Tab")
    dana.keyboard.press("Tab")
    dana.keyboard.press("Enter")
    expect(dana.locator(".switcher-name")).to_have_text("dana's workspace")
    expect(dana.locator(f"[data-job-id='{job}']")).to_have_count(0)
    dana.locator(".switcher > summary").click()
    dana.locator(".switcher").get_by_role("button", name="Demo studio").click()
    dana.locator(f"[data-job-id='{job}']").get_by_role("link").click()
    expect(dana.get_by_role("heading", name=PROMPT)).to_be_visible()


def test_somebody_is_invited_signs_up_sees_the_teams_video_and_is_removed(
    browser: Browser, system: System
) -> None:
    job = Caller(system.url).submit(PROMPT, steps=8)
    alice, complaints = _open(browser, system)
    sign_in(alice, "alice@example.com")
    alice.get_by_role("link", name="Settings").click()
    alice.get_by_role("link", name="Members", exact=True).click()
    members = alice.url
    alice.get_by_label("E-mail address").fill("dana@example.com")
    alice.get_by_role("button", name="Send the invitation").press("Enter")
    expect(alice.get_by_text("is on its way to dana@example.com")).to_be_visible()
    found = re.search(r"/invitations/\S+", system.wait_for(r"/invitations/t2vi_", 30))
    assert found is not None

    dana, her_complaints = _open(browser, system, **PHONE)
    _joins(dana, found[0], job)
    _switches(dana, job)

    # A role is changed with keys alone.
    alice.goto(members)
    role = alice.get_by_label("Role of dana@example.com", exact=True)
    role.focus()
    alice.keyboard.press("m")  # as one chooses in a list: manager
    alice.keyboard.press("Tab")
    alice.keyboard.press("Enter")
    expect(alice.get_by_text("The role is changed")).to_be_visible()
    expect(role).to_have_value("manager")
    dana.reload()
    expect(dana.get_by_role("heading", name=PROMPT)).to_be_visible()

    alice.get_by_label("Remove dana@example.com …").click()
    alice.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    expect(alice.get_by_text("They are out")).to_be_visible()
    answer = dana.reload()
    assert answer is not None
    assert answer.status == 404
    dana.goto("/")
    expect(dana.locator(f"[data-job-id='{job}']")).to_have_count(0)
    assert complaints == []
    assert [each for each in her_complaints if "404" not in each] == []


def test_pages_of_workspaces_work_on_a_phone_and_without_a_script(
    browser: Browser, system: System
) -> None:
    page, complaints = _open(browser, system, java_script_enabled=False, **PHONE)
    sign_in(page, "bob@example.com")
    page.goto("/settings/workspaces")
    page.get_by_label("Name").fill(f"The club of {'very ' * 11}long names")
    page.get_by_role("button", name="Make the workspace").click()
    expect(page.get_by_text("is yours.")).to_be_visible()
    page.get_by_role("link", name="About The club").click()
    slug = page.url.rpartition("/")[2]
    for path in ("", f"/{slug}", f"/{slug}/members"):
        page.goto(f"/settings/workspaces{path}")
        assert _bare_fits(browser, system, page), path
    page.goto(f"/settings/workspaces/{slug}")
    page.get_by_text("Leave …").click()
    page.get_by_role("button", name="Leave “The club").click()
    expect(page.get_by_text("A workspace keeps an owner")).to_be_visible()
    page.get_by_text("Delete …").click()
    page.get_by_role("button", name="Delete “The club").click()
    expect(page.get_by_text("is deleted.")).to_be_visible()
    assert complaints == []


def _bare_fits(browser: Browser, system: System, page: Page) -> bool:
    """Measured by a page with scripts, which has the same cookies."""
    other, _ = _open(browser, system, **PHONE)
    other.context.add_cookies(page.context.cookies())  # type: ignore[arg-type]  # as they were given
    other.goto(page.url)
    fits = _fits(other)
    other.context.close()
    return fits
