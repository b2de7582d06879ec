"""The operators' pages in a real browser: retry, drain, and a page that stays fresh by itself."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.screenshots import models_file
from tests.stage import PASSWORD, System, chromium, running

pytestmark = pytest.mark.whole

SOON_MS = 30_000  # two busy cores; the page is fresh every 5 s


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Its model "lost" has lost its weights: every attempt fails in passing."""
    folder = tmp_path_factory.mktemp("admin")
    models: Path = folder / "models.toml"
    models.write_text(models_file(), encoding="utf-8")
    with running(folder / "var", T2V_MODELS_FILE=str(models), T2V_MAX_ATTEMPTS="1") as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def _olga(browser: Browser, system: System, *, script: bool) -> Page:
    context = browser.new_context(base_url=system.url, java_script_enabled=script)
    page = context.new_page()
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill("olga@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="What should the video show?")).to_be_visible()
    return page


@pytest.fixture
def olga(browser: Browser, system: System) -> Iterator[Page]:
    page = _olga(browser, system, script=True)
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.context.close()
    assert complaints == []


@pytest.fixture
def plain_olga(browser: Browser, system: System) -> Iterator[Page]:
    """Without JavaScript."""
    page = _olga(browser, system, script=False)
    yield page
    page.context.close()


def _submit(page: Page, *, model: str = "nano", steps: int = 8) -> str:
    """The job's id. Works without JavaScript."""
    page.goto("/")
    page.locator("#options > summary").click()
    page.get_by_label("Model").select_option(model)
    page.get_by_label("Steps").fill(str(steps))
    page.get_by_label("Prompt", exact=True).fill("a green star moving up")
    page.get_by_role("button", name="Make the video").click()
    page.wait_for_url("**/jobs/*/")
    return page.url.rstrip("/").rpartition("/")[2]


def _row(page: Page, part: str, job: str) -> Locator:
    return page.locator(f'[data-key="{part}"] [data-key="{job}"]')


def test_a_choice_and_the_focus_survive_while_the_page_stays_fresh_by_itself(
    olga: Page, browser: Browser, system: System
) -> None:
    other = _olga(browser, system, script=True)
    chosen = _submit(other, model="lost")
    olga.goto("/admin/queue/")
    box = olga.get_by_label(f"Choose job {chosen[:8]}")
    box.check(timeout=SOON_MS)
    later = _submit(other, model="lost")
    expect(_row(olga, "parked", later)).to_be_visible(timeout=SOON_MS)
    rows = olga.locator("[data-key=parked] tbody tr")
    assert rows.nth(0).get_attribute("data-key") == later  # it came in above the chosen one
    expect(box).to_be_checked()
    expect(box).to_be_focused()
    expect(olga.get_by_label(f"Choose job {later[:8]}")).not_to_be_checked()

    olga.get_by_role("button", name="Try the chosen ones again").click()
    told = olga.locator(".messagelist")
    expect(told).to_contain_text(f"One job is tried again: {chosen[:8]} as ")
    expect(_row(olga, "parked", chosen)).to_have_count(0)
    expect(_row(olga, "parked", later)).to_be_visible()
    told.get_by_role("link").last.click()
    expect(olga.locator("#diagnosis")).to_contain_text(f"It tries again what {chosen[:8]}")
    other.context.close()


def test_a_parked_job_is_tried_again_with_one_click_and_without_a_script(plain_olga: Page) -> None:
    page = plain_olga
    job = _submit(page, model="lost")
    row = _row(page, "parked", job)
    until = time.monotonic() + SOON_MS / 1000
    while not row.count():
        assert time.monotonic() < until
        page.goto("/admin/queue/")
    row.get_by_role("button", name="Try again").click()
    expect(page.locator(".messagelist")).to_contain_text(f"One job is tried again: {job[:8]} as ")
    expect(row).to_have_count(0)


def test_a_worker_drains_and_goes_on_by_a_button_and_a_cancel_asks_first(olga: Page) -> None:
    job = _submit(olga, steps=1000)
    olga.goto("/admin/queue/")
    expect(_row(olga, "running", job)).to_be_visible(timeout=SOON_MS)
    olga.get_by_role("button", name="Drain").click()
    expect(olga.locator(".messagelist")).to_contain_text("hands back what it renders")
    expect(_row(olga, "waiting", job)).to_contain_text("drains since", timeout=SOON_MS)
    olga.get_by_role("button", name="Resume").click()
    running = _row(olga, "running", job)
    expect(running).to_contain_text("(1 of 1 spent)", timeout=SOON_MS)  # the drain cost nothing
    expect(running).to_contain_text("went on from step", timeout=SOON_MS)

    running.get_by_role("link").click()
    olga.get_by_role("link", name="Cancel…").click()
    expect(olga.get_by_role("heading", name=f"Cancel job {job[:8]}?")).to_be_visible()
    olga.get_by_role("button", name="Cancel the job").click()
    expect(olga.locator(".messagelist")).to_contain_text("It stops after the step at hand.")
    olga.goto("/admin/queue/")
    expect(running).to_have_count(0, timeout=SOON_MS)
