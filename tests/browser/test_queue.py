"""The operators' page of the queue in a browser: fresh by itself, live, and what is done there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.person import sign_in
from tests.browser.screenshots import models_file
from tests.stage import Caller, System, chromium, running

pytestmark = pytest.mark.whole

SOON_MS = 60_000  # two busy cores; the page is looked at again every 4 s


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Its model "lost" has lost its weights: every attempt fails in passing."""
    folder = tmp_path_factory.mktemp("queue")
    models: Path = folder / "models.toml"
    models.write_text(models_file(), encoding="utf-8")
    with running(folder / "var", T2V_MODELS_FILE=str(models), T2V_MAX_ATTEMPTS="1") as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def alice(system: System) -> Caller:
    return Caller(system.url)


@pytest.fixture
def olga(browser: Browser, system: System) -> Iterator[Page]:
    page = browser.new_context(base_url=system.url).new_page()
    complaints: list[str] = []
    page.on(
        "console",
        lambda m: complaints.append(f"{m.location} {m.text}") if m.type == "error" else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in(page, "olga@example.com")
    yield page
    page.context.close()
    assert complaints == []


def _row(page: Page, part: str, job: str) -> Locator:
    return page.locator(f'section[data-key="{part}"] [data-key="{job}"]')


def _toast(page: Page, words: str) -> Locator:
    return page.locator("#toasts .toast").filter(has_text=words)


def _give_reason(page: Page, button: str, reason: str) -> None:
    """In the dialog, which wants one."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=button).click()  # the browser asks for the reason
    expect(dialog).to_be_visible()
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name=button).click()
    expect(dialog).to_have_count(0)


def test_a_choice_and_the_focus_survive_while_the_page_stays_fresh_by_itself(
    olga: Page, alice: Caller
) -> None:
    chosen = alice.submit(model="lost")
    olga.goto("/queue")
    box = _row(olga, "parked", chosen).get_by_role("checkbox")
    box.check(timeout=SOON_MS)
    later = alice.submit(model="lost")
    expect(_row(olga, "parked", later)).to_be_visible(timeout=SOON_MS)
    rows = olga.locator("section[data-key=parked] tbody tr")
    assert rows.nth(0).get_attribute("data-key") == later  # it came in above the chosen one
    expect(box).to_be_checked()
    expect(box).to_be_focused()
    expect(_row(olga, "parked", later).get_by_role("checkbox")).not_to_be_checked()

    olga.get_by_role("button", name="Try the chosen ones again").click()
    expect(_toast(olga, "One job is tried again.")).to_be_visible()
    expect(_row(olga, "parked", chosen)).to_have_count(0, timeout=SOON_MS)
    expect(_row(olga, "parked", later)).to_be_visible()
    again = olga.locator("[data-key=again]").get_by_text(chosen[:8])
    expect(again).to_be_visible(timeout=SOON_MS)
    expect(olga.get_by_role("button", name="Try all 2 again")).to_be_visible(timeout=SOON_MS)
    olga.get_by_role("button", name="Try all 2 again").click()
    olga.get_by_role("dialog").get_by_role("button", name="Try 2 jobs again").click()
    expect(_toast(olga, "2 jobs tried again.")).to_be_visible(timeout=SOON_MS)


def test_rows_stand_still_under_the_pointer_and_move_when_it_leaves(
    olga: Page, alice: Caller
) -> None:
    """Drained, so that who is submitted waits; what comes meanwhile comes after the pointer."""
    first = alice.submit(steps=1000, frames=49, size="80x80")  # it runs until it is cancelled
    olga.goto("/queue")
    olga.get_by_role("button", name="Drain…").first.click()
    _give_reason(olga, "Drain it", "a new card")
    undo = _toast(olga, "hands back what it renders").get_by_role("button", name="Undo")
    undo.focus()  # by which it stays: it would go after 10 s
    waits = _row(olga, "waiting", first)
    expect(waits).to_contain_text("drains since", timeout=SOON_MS)
    waits.hover()
    second = alice.submit(steps=1000)
    with olga.expect_response(lambda answer: "part=1" in answer.url and answer.status == 200):
        with olga.expect_request(lambda asked: "part=1" in asked.url):
            pass
        waits.hover(position={"x": 9, "y": 9})  # now: a pointer that lay still for 10 s holds none
    expect(_row(olga, "waiting", second)).to_have_count(0)
    olga.mouse.move(1, 1)
    expect(_row(olga, "waiting", second)).to_be_visible(timeout=SOON_MS)

    # Resumed by the toast's Undo. A preview comes over the socket alone.
    undo.click()
    runs = _row(olga, "running", first)
    expect(runs).to_contain_text("(1 of 1 spent)", timeout=SOON_MS)  # the drain cost nothing
    peek = runs.get_by_role("button", name=f"Preview of job {first[:8]}")
    peek.click()
    expect(peek).to_have_attribute("data-peeks", "shown", timeout=SOON_MS)
    expect(peek).to_have_attribute("aria-pressed", "true")

    # It waits as long as the first one runs: a row that moves to another list is chosen no more.
    _row(olga, "waiting", second).get_by_role("checkbox").check(timeout=SOON_MS)
    olga.get_by_role("button", name="Cancel the chosen ones…").click()
    _give_reason(olga, "Cancel the job", "nobody needs it")
    expect(olga.locator(f'tr[data-key="{second}"]')).to_have_count(0, timeout=SOON_MS)
    runs.get_by_role("button", name=f"Cancel… job {first[:8]}").click()
    _give_reason(olga, "Cancel the job", "nor this one")
    expect(_toast(olga, "One stops after the step at hand.")).to_be_visible()
    expect(runs).to_have_count(0, timeout=SOON_MS)


def test_without_a_script_everything_is_asked_on_a_page_of_its_own(
    browser: Browser, system: System, alice: Caller
) -> None:
    page = browser.new_context(base_url=system.url, java_script_enabled=False).new_page()
    sign_in(page, "olga@example.com")
    job = alice.submit(model="lost")
    alice.wait_for(job, "parked")
    page.goto("/queue")
    _row(page, "parked", job).get_by_role("button", name="again").click()
    expect(page.locator("#toasts")).to_contain_text(f"One job is tried again: {job[:8]} as ")
    page.get_by_role("button", name="Drain…").first.click()
    page.get_by_label("Reason").fill("a new card")
    page.get_by_role("button", name="Drain it").click()
    expect(page.locator("#toasts")).to_contain_text("hands back what it renders")
    waits = alice.submit()
    page.goto("/queue")
    _row(page, "waiting", waits).get_by_role("button", name="Cancel").click()
    page.get_by_label("Reason").fill("a trial")
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.locator("#toasts")).to_contain_text("One job is cancelled.")
    page.get_by_role("button", name="Resume").first.click()
    expect(page.locator("#toasts")).to_contain_text("takes jobs again")
    page.context.close()
