"""The library in a real browser: the grid, the place, the keyboard, undo, and two clips as one."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.house import House, house
from tests.stage import chromium

pytestmark = pytest.mark.whole

STATE_MS = 60_000  # two busy cores
LOW = {"width": 1000, "height": 520}  # so that two dozen clips are many
HIGH = {"width": 1000, "height": 2400}  # and so that they are few


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("library") / "var") as open_:
        yield open_


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser: Browser, site: House) -> Iterator[Callable[..., Page]]:
    """Somebody at an address, in a window of their own."""
    opened = []

    def _visit(path: str = "/library", who: str = "alice", **more: Any) -> Page:
        options: dict[str, Any] = {"viewport": LOW} | more
        context = browser.new_context(base_url=site.url, **options)
        context.set_default_timeout(STATE_MS)
        context.add_cookies(site.cookies(who))  # type: ignore[arg-type]  # a TypedDict
        opened.append(context)
        page = context.new_page()
        page.goto(path)
        return page

    yield _visit
    for each in opened:
        each.close()


def _card(page: Page, number: int) -> Locator:
    """The number-th of the list, from 1, if it is in the document."""
    return page.locator(f'#clips > [aria-posinset="{number}"]')


def _ready(page: Page) -> Page:
    expect(page.locator("#clips [data-stop]")).to_be_attached()
    return page


def _id(card: Locator) -> str:
    found = card.get_attribute("data-id")
    assert found is not None
    return found


def test_scrolling_shows_every_clip_with_few_cards_and_coming_back_leads_to_the_same_one(
    visit: Callable[..., Page],
) -> None:
    page = _ready(visit("/library?limit=4"))
    total = int(page.locator("#summary").inner_text().split()[0])
    seen: set[str] = set()
    for number in range(1, total + 1):
        if not _card(page, number).count():  # it comes as the one before it is scrolled to
            _card(page, number - 1).scroll_into_view_if_needed()
        expect(_card(page, number)).to_have_attribute("data-clip", "")
        seen.add(_id(_card(page, number)))
    assert len(seen) == total
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(_card(page, 1)).not_to_be_attached()
    assert page.locator("#clips > *").count() < total
    far = _card(page, total - 5)
    far.scroll_into_view_if_needed()
    opened = _id(far)
    page.wait_for_url("**/library?limit=4&at=*")
    top = far.evaluate("card => card.getBoundingClientRect().top")  # where it is left
    far.locator(".clip-link").click()
    page.wait_for_url(f"**/jobs/{opened}/")
    page.go_back()
    link = page.locator(f'[data-id="{opened}"] .clip-link')
    expect(link).to_be_focused()
    again = link.evaluate("link => link.closest('li').getBoundingClientRect().top")
    assert abs(again - top) < 2  # pixels
    assert page.locator(f'[data-id="{opened}"]').get_attribute("aria-posinset") == str(total - 5)


def test_a_search_is_in_the_address_as_it_is_typed_and_a_chip_takes_it_away(
    visit: Callable[..., Page],
) -> None:
    page = _ready(visit())
    before = page.locator("#summary").inner_text()
    page.keyboard.press("/")
    expect(page.get_by_label("Search the prompts")).to_be_focused()
    page.keyboard.type("red cir")
    page.wait_for_url("**/library?q=red+cir")
    expect(page.locator("#summary")).not_to_have_text(before)
    # Slowly typed, what was found for its beginning shows first.
    prompts = page.locator("#clips .clip-prompt")
    expect(prompts.filter(has_not_text="circle")).to_have_count(0)
    for prompt in prompts.all_inner_texts():
        assert "red" in prompt
        assert "circle" in prompt
    page.keyboard.type("zzz")
    expect(page.get_by_role("heading", name="No clip is about “red cirzzz”")).to_be_visible()
    expect(page.locator("#announce")).to_have_text("0 clips")
    page.get_by_role("link", name="Clear the search").click()
    expect(page.locator("#summary")).to_have_text(before)
    expect(page.get_by_label("Search the prompts")).to_have_value("")
    assert page.url.endswith("/library")
    page.locator("#filters > summary").click()
    page.get_by_label("Which").select_option("undone")
    page.wait_for_url("**/library?state=undone")
    expect(page.locator('#clips > [data-state="failed"]')).to_be_visible()
    page.get_by_role("link", name="Take away: Ended without a clip").click()
    expect(page.locator("#summary")).to_have_text(before)


def test_the_keyboard_selects_marks_deletes_and_takes_it_back(visit: Callable[..., Page]) -> None:
    page = _ready(visit())
    before = page.locator("#summary").inner_text()
    first, second, third = (_id(_card(page, number)) for number in (1, 2, 3))
    _card(page, 1).locator(".clip-link").focus()
    page.keyboard.press("ArrowRight")
    expect(_card(page, 2).locator(".clip-link")).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Space")
    expect(page.locator("#selected")).to_have_text("2 selected")
    page.keyboard.press("f")
    star = page.locator(f'[data-id="{second}"]').get_by_role("button", name="Favourite")
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#toasts")).to_contain_text("Added 2 clips to your favourites.")
    page.keyboard.press("t")
    page.keyboard.type("best of all")
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("Tagged 2 clips “best of all”.")
    expect(page.locator(f'[data-id="{third}"] .clip-tag')).to_have_text("best of all")
    page.keyboard.press("Delete")
    expect(page.locator(f'[data-id="{second}"]')).not_to_be_attached()
    expect(page.locator("#toasts")).to_contain_text("Deleted 2 clips.")
    expect(page.locator("#summary")).not_to_have_text(before)
    expect(page.locator("#clips .clip-link:focus")).to_have_count(1)  # goes on where it was
    page.keyboard.press("Control+z")
    expect(page.locator(f'[data-id="{second}"]')).to_be_attached()
    expect(page.locator("#summary")).to_have_text(before)
    order = [_id(_card(page, number)) for number in (1, 2, 3)]
    assert order == [first, second, third]
    page.goto("/library?tag=best+of+all&favourite=1")
    expect(page.locator("#summary")).to_have_text("2 clips")


def test_what_the_server_refuses_comes_back_and_what_it_does_not_reach_too(
    visit: Callable[..., Page], site: House
) -> None:
    page = _ready(visit(who="bob", viewport=HIGH))  # a creator: deletes his own alone
    own, foreign = site.names["mates"], site.names["clip1"]
    for job in (own, foreign):
        page.locator(f'[data-id="{job}"]').get_by_role("checkbox").check()
    page.locator("#bar").get_by_role("button", name="Delete").click()
    expect(page.locator("#toasts")).to_contain_text("Deleted 1 clip. 1 clip left as before")
    expect(page.locator(f'[data-id="{foreign}"]')).to_be_attached()
    expect(page.locator(f'[data-id="{own}"]')).not_to_be_attached()
    page.keyboard.press("Control+z")
    expect(page.locator(f'[data-id="{own}"]')).to_be_attached()
    star = page.locator(f'[data-id="{own}"]').get_by_role("button", name="Favourite")
    page.context.set_offline(True)
    star.click()
    expect(page.locator("#toasts")).to_contain_text("cannot be reached")
    expect(star).to_have_attribute("aria-pressed", "false")


_PIXELS = "canvas => canvas.toDataURL()"


def test_the_pointers_place_picks_the_frame_and_the_poster_comes_back(
    visit: Callable[..., Page],
) -> None:
    page = _ready(visit(reduced_motion="reduce"))
    stage = _card(page, 1).locator("[data-stage]")
    box = stage.bounding_box()
    assert box is not None
    shown = []
    for at in (0.02, 0.98):
        page.mouse.move(box["x"] + box["width"] * at, box["y"] + box["height"] * 0.6)
        line = stage.locator(".clip-scrub")
        expect(line).to_be_attached()
        page.wait_for_function(
            "([line, at]) => Math.abs(parseFloat(line.style.getPropertyValue('--at')) - at) < 3",
            arg=[line.element_handle(), at * 100],
        )
        shown.append(stage.locator("canvas").evaluate(_PIXELS))
    assert shown[0] != shown[1]
    page.mouse.move(box["x"], box["y"] - 100)
    expect(stage.locator("canvas")).not_to_be_attached()
    # Who asked for less motion has nothing that plays by itself.
    _card(page, 1).locator(".clip-link").focus()
    page.keyboard.press("ArrowRight")
    expect(_card(page, 2).locator("canvas")).not_to_be_attached()


def test_a_clip_that_is_done_meanwhile_waits_behind_a_button(
    visit: Callable[..., Page], site: House
) -> None:
    page = _ready(visit())
    first = _id(_card(page, 1))
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    site.hand.finish(site.names["running"])
    news = page.get_by_role("button", name="1 new clip")
    expect(news).to_be_visible()
    assert _id(_card(page, 1)) == first
    news.click()
    page.get_by_label("Search the prompts").wait_for()
    expect(page.locator(f'[data-id="{site.names["running"]}"]')).to_be_attached()
    expect(news).to_be_hidden()


def test_the_menus_of_the_header_open_over_the_search_and_so_does_what_says_that_it_is_offline(
    visit: Callable[..., Page],
) -> None:
    page = _ready(visit())
    page.locator(".account-menu > summary").click()
    page.locator(".account-menu").get_by_role("link", name="Profile").click(trial=True)
    page.keyboard.press("Escape")
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")  # it hides itself
    page.evaluate("document.getElementById('connection').hidden = false")
    page.locator("#connection").click(trial=True)
    page.get_by_label("Search the prompts").click(trial=True)


def test_whoever_was_signed_out_meanwhile_signs_in_and_is_back_at_the_page(
    visit: Callable[..., Page],
) -> None:
    def star(page: Page) -> None:
        _card(page, 1).locator(".clip-link").focus()
        page.keyboard.press("f")

    def search(page: Page) -> None:
        page.get_by_label("Search the prompts").fill("circle")

    for gesture in (star, search):
        page = _ready(visit("/library?ordering=created_at"))
        page.context.clear_cookies(name=re.compile("^(?!.*csrf)"))
        gesture(page)
        page.wait_for_url(re.compile(r"/accounts/login/\?next=%2Flibrary(%3F[^/]*)?$"))


_TIMES = "() => [...document.querySelectorAll('video')].map((video) => video.currentTime)"


def test_two_clips_of_different_length_and_rate_stand_at_the_same_moment(
    visit: Callable[..., Page], site: House
) -> None:
    page = visit(site.at("/library/compare?a={clip0}&b={wide}"))
    time = page.locator("#time")
    expect(time).to_contain_text("0.00 s")
    frames = int(time.inner_text().split("/")[1].split("·")[0])
    page.keyboard.press("End")
    expect(time).to_contain_text(f"{frames} / {frames}")
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(time).to_contain_text(f"4 / {frames}")
    page.wait_for_function("() => [...document.querySelectorAll('video')].every((v) => !v.seeking)")
    one, other = page.evaluate(_TIMES)
    assert abs(one - other) < 1 / 12  # s: the frame of the slower one that shows then
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => document.querySelector('video').currentTime > 0.6")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_function("() => [...document.querySelectorAll('video')].every((v) => !v.seeking)")
    one, other = page.evaluate(_TIMES)
    ends = page.evaluate("() => document.querySelectorAll('video')[1].duration")
    assert abs(min(one, ends) - other) < 1 / 12  # the shorter one waits at its end for the other
    page.get_by_text("Wipe", exact=True).first.click()
    page.wait_for_url("**mode=wipe")
    page.get_by_role("link", name="Swap").click()
    page.wait_for_url(f"**a={site.names['wide']}&b={site.names['clip0']}&mode=wipe")
    expect(page.locator("#wipe")).to_be_visible()
