"""Every page in every state that has a name: at three widths, in both themes, as WCAG 2.2 asks."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.axe import CONTRAST, LAYOUT, audit
from tests.browser.house import House, house
from tests.browser.keys import Keys
from tests.browser.onlooker import SHIFT, Onlooker
from tests.browser.person import stop_the_clock
from tests.browser.views import CONSOLE, VIEWS, WIDTHS, View
from tests.stage import chromium

pytestmark = [pytest.mark.whole, pytest.mark.timeout(400)]

STATE_MS = 60_000  # two busy cores
MOST_KB = {"js": 100, "css": 40}  # compressed, of one page
# Django's admin and unfold: 25 KB of scripts on a page, 112 on a list, and 43 KB of CSS.
HEAVY = {"api-docs"}  # the reader of the API's schema, 431 KB of it: one page for programmers
CONSOLE_KB = {"js": 115, "css": 45}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house") / "var") as open_:
        yield open_


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def onlooker(browser: Browser, site: House) -> Iterator[Callable[[str], Onlooker]]:
    known: dict[str, Onlooker] = {}

    def _onlooker(who: str) -> Onlooker:
        """Nothing moves that need not: what axe measures in the middle of a change is no colour."""
        if who not in known:
            known[who] = Onlooker(browser, site, who, reduced_motion="reduce")
            known[who].context.set_default_timeout(STATE_MS)
        return known[who]

    yield _onlooker
    for each in known.values():
        each.context.close()


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_page_is_fit_to_be_seen(view: View, onlooker: Callable[[str], Onlooker]) -> None:
    """Whoever comes, on whatever they have."""
    eyes = onlooker(view.who)
    page = eyes.look(view)
    console = view in CONSOLE  # whose lists move by themselves when unfold's script has come
    wrong = [] if console else [f"{by:.3f} of it moved: {what}" for by, what in eyes.shifted()]
    wrong += [f"wide, light: {each}" for each in audit(page).violations]
    for kind, size in eyes.fetched().items():
        if view.name not in HEAVY and size > (CONSOLE_KB if console else MOST_KB)[kind]:
            wrong.append(f"{size:.1f} KB of {kind}")
    page.emulate_media(color_scheme="dark")
    wrong += [f"wide, dark: {each}" for each in audit(page, CONTRAST).violations]
    for width in WIDTHS:
        eyes.size(width)
        if (over := eyes.overhang()) > 0:
            wrong.append(f"{over} pixels too wide for {width}")
    wrong += [f"narrow, dark: {each}" for each in audit(page, LAYOUT).violations]
    wrong += eyes.complaints
    eyes.leave()
    assert "\n".join(wrong) == ""


def test_from_the_prompt_to_the_undone_deletion_without_a_mouse(
    onlooker: Callable[[str], Onlooker], site: House
) -> None:
    """Submit, watch, library, job, compare, delete, undo; the focus is seen all the way."""
    page = onlooker("alice").context.new_page()
    keys = Keys(page)
    page.goto("/")
    keys.go_to(page.get_by_label("Prompt", exact=True))
    page.keyboard.type("a red circle moving right, slowly")
    with page.expect_response("**/") as answer:
        keys.press("Control+Enter")
    job = answer.value.json()["jobs"][0]["id"]
    card = page.locator(f'[data-job-id="{job}"]')
    expect(card).to_be_visible()

    keys.use(card.get_by_role("link").first)
    page.wait_for_url(f"**/jobs/{job}/")
    site.hand.take(job)
    expect(page.locator("#badge")).to_have_text("Running")
    site.hand.form(job, step=8)
    expect(page.locator("#preview")).to_be_visible()
    site.hand.finish(job)
    expect(page.locator("#badge")).to_have_text("Succeeded")
    expect(page.locator("#video")).to_be_visible()
    assert float(page.evaluate("window.shifts.reduce((sum, each) => sum + each.value, 0)")) <= SHIFT

    keys.use(page.get_by_role("navigation", name="Main").get_by_role("link", name="Library"))
    page.wait_for_url("**/library")
    first = page.locator(f'[data-clip][data-id="{job}"]')
    expect(page.locator("#clips [data-stop]")).to_be_attached()
    keys.go_to(page.locator("#clips [data-stop] .clip-link"))
    keys.press("Home")
    keys.press("Space")
    expect(first.get_by_role("checkbox")).to_be_checked()
    keys.press("ArrowRight")
    keys.press("Space")
    keys.press("c")
    page.wait_for_url("**/library/compare?*")
    expect(page.locator("video").first).to_be_visible()

    page.go_back()
    keys.go_to(page.locator("#clips [data-stop] .clip-link"))
    keys.press("Home")
    keys.press("Enter")
    page.wait_for_url(f"**/jobs/{job}/")
    stop_the_clock(page)  # no toast goes before Tab gets there
    keys.use(page.get_by_role("button", name="Delete", exact=True))
    undo = page.locator("#toasts").get_by_role("button", name="Undo")
    expect(undo).to_be_visible()
    keys.use(undo)
    expect(page.locator("#toasts")).not_to_contain_text("Undo")
    page.goto(f"/jobs/{job}/")
    expect(page.locator("#badge")).to_have_text("Succeeded")
    page.clock.resume()  # the window is hers in other tests, too
    page.close()
