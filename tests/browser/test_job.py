"""One job's page: the player frame by frame, the story as it is told, and its verbs taken back.

The walk by keys: Space plays at once, and the arrows step; from then on, or after Tab to the
player's buttons, Home and End jump, L, < and >, W, F and ? do as the dialog says that ? opens;
Escape leaves both. Tab goes on to Download, Retry, Remix, Vary and its number, Cancel, the star,
the tags and Delete.
"""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, ViewportSize, expect

from tests.browser.axe import audit
from tests.browser.house import House, house
from tests.browser.person import STATE_MS
from tests.stage import chromium

pytestmark = pytest.mark.whole
AT_FRAME = "frame => Math.floor(document.getElementById('video').currentTime * 12) === frame"
PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("job") / "var") as open_:
        yield open_


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def _visitor(browser: Browser, site: House, who: str = "alice", **more: object) -> BrowserContext:
    context = browser.new_context(base_url=site.url, **more)  # type: ignore[arg-type]
    context.set_default_timeout(30_000)
    context.add_cookies(site.cookies(who))  # type: ignore[arg-type]  # a TypedDict
    return context


@pytest.fixture
def page(browser: Browser, site: House) -> Iterator[Page]:
    """Alice's; what it complains of fails the test."""
    context = _visitor(browser, site)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert complaints == []


# --- The player -----------------------------------------------------------------------------


def test_the_player_steps_frame_by_frame_by_keys_and_remembers_how_it_plays(
    page: Page, site: House
) -> None:
    page.goto(site.at("/jobs/{succeeded}/"))  # 25 frames, 12 a second
    words = page.locator("#frame-words")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()  # a short clip plays by itself
    page.get_by_role("button", name="Pause").press(" ")
    play = page.get_by_role("button", name="Play", exact=True)
    expect(play).to_be_focused()
    for key, frame in (("Home", 1), ("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2)):
        page.keyboard.press(key)
        expect(words).to_contain_text(f"Frame {frame} of 25")
        page.wait_for_function(AT_FRAME, arg=frame - 1)  # the browser, not what the page says
    page.keyboard.press("End")
    expect(words).to_have_text("Frame 25 of 25 · 2.00 s")
    page.keyboard.press("ArrowRight")  # it loops
    expect(words).to_contain_text("Frame 1 of 25")
    scrub = page.get_by_role("slider", name="Frame")
    scrub.press("ArrowRight")
    expect(scrub).to_have_attribute("aria-valuetext", "Frame 2 of 25")
    page.keyboard.press("l")
    page.keyboard.press("<")
    expect(page.get_by_label("Speed")).to_have_value("0.75")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys of the player")
    expect(keys).to_be_visible()
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Leave full screen")).to_be_visible()
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Full screen", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Loop")).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_label("Speed")).to_have_value("0.75")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()  # it ended: once


def test_space_plays_before_anything_has_the_focus_and_letters_do_nothing_then(
    page: Page, site: House
) -> None:
    page.goto(site.at("/jobs/{clip6}/"))
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Loop")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    assert page.evaluate("scrollY") == 0
    expect(page.locator("#stage")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.locator("#frame-words")).to_contain_text("Frame 1 of 25")
    page.get_by_label("Add a tag").press(" ")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_how_it_formed_plays_from_noise_and_again(page: Page, site: House) -> None:
    page.goto(site.at("/jobs/{clip6}/"))
    page.get_by_role("tab", name="How it formed").click()
    slider, panel = page.locator("#formed-step"), page.locator("#formed")
    again = panel.get_by_role("button", name="Play how it formed")
    expect(again).to_be_visible(timeout=STATE_MS)
    last = slider.get_attribute("max")
    assert last is not None
    expect(slider).to_have_value(last)
    slider.press("Home")
    expect(page.get_by_role("slider", name=re.compile("Step 1 of"))).to_be_visible()
    page.keyboard.press(" ")
    expect(slider).to_have_value(last, timeout=STATE_MS)


def test_a_clip_that_does_not_come_says_why_and_comes_when_it_is_asked_for_again(
    page: Page, site: House
) -> None:
    def refuse(status: int) -> None:
        """However often it is asked for: the page asks once more to learn why."""
        page.unroute("**/video.mp4")
        page.route("**/video.mp4", lambda route: route.fulfill(status=status, body=""))

    refuse(404)
    page.goto(site.at("/jobs/{clip1}/"))
    failed = page.locator("#video-failed")
    expect(failed).to_contain_text("gone from storage")
    assert audit(page).violations == []
    refuse(503)
    failed.get_by_role("button", name="Try again").click()
    expect(failed).to_contain_text("does not answer for the moment")
    page.unroute("**/video.mp4")
    failed.get_by_role("button", name="Try again").click()
    expect(failed).to_be_hidden()
    page.wait_for_function("() => document.getElementById('video').readyState >= 2")


@pytest.mark.parametrize("name", ["wide", "tall", "succeeded"])
def test_the_clip_takes_the_room_that_was_kept_for_it_in_every_shape(
    name: str, browser: Browser, site: House
) -> None:
    context = _visitor(browser, site, viewport=PHONE)
    page = context.new_page()
    page.route("**/video.mp4", lambda route: None)  # never answered
    page.goto(site.at(f"/jobs/{{{name}}}/"))
    before = page.locator(".screen").bounding_box()
    page.unroute_all(behavior="ignoreErrors")
    page.reload()
    page.wait_for_function("() => document.getElementById('video').readyState >= 1")
    after = page.locator(".screen").bounding_box()
    assert before == after
    assert after is not None
    assert after["height"] <= PHONE["height"]
    context.close()


def test_without_scripts_the_browsers_own_controls_show_and_the_verbs_work(
    browser: Browser, site: House
) -> None:
    context = _visitor(browser, site, java_script_enabled=False)
    page = context.new_page()
    page.goto(site.at("/jobs/{clip2}/"))
    expect(page.locator("#video[controls]")).to_be_visible()
    expect(page.locator("#clip")).to_be_hidden()
    expect(page.locator(".stage-bar")).to_be_hidden()  # it would be empty
    page.get_by_role("button", name="Favourite").click()
    expect(page.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Add a tag").fill("by hand")
    page.get_by_role("button", name="Add this tag").click()
    expect(page.locator("#tags")).to_contain_text("by hand")
    page.get_by_role("button", name="Vary").click()
    expect(page.locator("#badge")).to_have_text("Queued")
    context.close()


# --- What it tells --------------------------------------------------------------------------


def _told(page: Page) -> list[str]:
    """The story without its times, and without the machines that only the server knows."""
    lines: list[str] = page.locator("#history > li").evaluate_all(
        """items => items.map((item) => [...item.querySelectorAll("[data-words], p")]
            .map((part) => part.textContent).filter(Boolean).join(" | "))"""
    )
    return [re.sub(r"after .*", "after", line) for line in lines]


def test_a_story_told_live_reads_as_after_a_reload(page: Page, site: House) -> None:
    job = site.names["queued"]
    page.goto(f"/jobs/{job}/")
    expect(page.locator("#place")).to_contain_text(re.compile("before you|Next in line"))
    site.hand.take(job)
    expect(page.locator("#badge")).to_have_text("Running")
    site.hand.restart(job)
    expect(page.locator("#attempt")).to_have_text("Attempt 2")
    site.hand.fail(job)
    expect(page.locator("#badge")).to_have_text("Failed")
    expect(page.locator("#history > li")).to_have_count(5)
    live = _told(page)
    assert live == [
        "Submitted",
        "Attempt 1 on worker gpu-1 | handed back after",
        "Handed back by its worker",
        "Attempt 2 on worker backstage | failed after",
        "Failed: It broke, as asked.",
    ]
    expect(page.get_by_role("link", name="Change and try again")).to_be_visible()
    page.reload()
    assert _told(page) == live


def test_a_video_becomes_a_player_where_its_progress_was(page: Page, site: House) -> None:
    job = site.names["running2"]
    page.goto(f"/jobs/{job}/")
    site.hand.form(job, step=720)
    expect(page.locator("#preview")).to_be_visible()
    screen, foot = page.locator(".screen"), page.locator(".stage-foot")
    before = screen.bounding_box(), foot.bounding_box()
    site.hand.finish(job)
    expect(page.locator("#video")).to_be_visible()
    expect(page.locator("#clip")).to_be_visible()
    assert (screen.bounding_box(), foot.bounding_box()) == before
    expect(page.locator("#file-poster")).to_be_visible()
    page.get_by_role("tab", name="Clip").press("ArrowRight")
    last = page.get_by_role("slider", name=re.compile("Step 1000 of 1000"))
    expect(last).to_be_visible(timeout=STATE_MS)  # it plays from noise
    expect(page.locator("#video")).to_be_hidden()


# --- Its verbs ------------------------------------------------------------------------------


def test_a_cancel_that_fails_is_taken_back_and_a_late_one_asks_first(
    page: Page, site: House
) -> None:
    job = site.names["running"]
    page.goto(f"/jobs/{job}/")
    site.hand.form(job, step=720)
    expect(page.locator("#step")).to_have_text("Step 720 of 1000")
    page.route("**/cancel", lambda route: route.abort())
    page.get_by_role("button", name="Cancel", exact=True).click()
    question = page.get_by_role("dialog", name="Stop this video?")
    expect(question).to_contain_text("72 % of it is done")
    question.get_by_role("button", name="Stop it").click()
    expect(page.locator("#toasts")).to_contain_text("could not be cancelled")
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_enabled()
    page.unroute("**/cancel")
    page.get_by_role("button", name="Cancel", exact=True).click()
    question.get_by_role("button", name="Stop it").click()
    expect(page.get_by_role("button", name="Cancelling…")).to_be_disabled()


def test_a_waiting_job_is_cancelled_and_submitted_again_from_the_toast(
    page: Page, site: House
) -> None:
    page.goto(site.at("/jobs/{queued2}/"))
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator("#badge")).to_have_text("Cancelled")
    page.locator("#toasts").get_by_role("button", name="Submit it again").click()
    expect(page.get_by_role("link", name="Another try of")).to_be_visible()
    expect(page.locator("#badge")).to_have_text("Queued")


def test_a_deleted_video_is_brought_back_by_its_page_and_by_its_toast(
    page: Page, site: House
) -> None:
    path = site.at("/jobs/{clip3}/")
    page.goto(path)
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url("**/library**")
    expect(page.locator("#toasts")).to_contain_text("The video was deleted.")
    page.goto(path)
    expect(page.get_by_role("heading", name="This video was deleted")).to_be_visible()
    page.get_by_role("button", name="Bring it back").click()
    expect(page.locator("#video")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url("**/library**")
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(page.locator("#toasts")).to_contain_text("The video is back.")
    page.goto(path)
    expect(page.locator("#video")).to_be_visible()


@pytest.mark.parametrize("verb", ["Favourite", "Vary"])
def test_a_verb_on_a_clip_that_another_tab_deleted_leads_to_what_brings_it_back(
    verb: str, page: Page, site: House
) -> None:
    path = site.at("/jobs/{clip7}/")
    page.goto(path)
    expect(page.locator("#clip")).to_be_visible()
    other = page.context.new_page()
    other.goto(path)
    other.get_by_role("button", name="Delete").click()
    other.wait_for_url("**/library**")
    page.get_by_role("button", name=verb).click()
    expect(page.get_by_role("heading", name="This video was deleted")).to_be_visible()
    page.get_by_role("button", name="Bring it back").click()
    expect(page.locator("#video")).to_be_visible()
    other.close()


def test_marks_show_at_once_and_are_taken_back_when_they_are_refused(
    page: Page, site: House
) -> None:
    page.goto(site.at("/jobs/{clip4}/"))
    star = page.get_by_role("button", name="Favourite")
    # What shows at once is on its way: each has arrived before the next one, or a reload, is sent.
    with page.expect_response("**/library/act"):
        star.click()
        expect(star).to_have_attribute("aria-pressed", "true")
    field = page.get_by_label("Add a tag")
    field.fill("night")
    with page.expect_response("**/library/act"):
        field.press("Enter")
        expect(page.locator("#tags > li")).to_have_count(1)
    field.fill("Night")
    field.press("Enter")
    expect(page.locator("#tag-error")).to_have_text("It has this tag already.")
    with page.expect_response("**/library/act"):
        page.get_by_role("button", name="Take the tag night off").click()
        expect(page.locator("#tags > li")).to_have_count(0)
    with page.expect_response("**/library/act"):
        page.locator("#toasts").get_by_role("button", name="Undo").click()
        expect(page.locator("#tags > li")).to_have_count(1)
    page.route("**/library/act", lambda route: route.abort())
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#toasts")).to_contain_text("cannot be reached")
    page.unroute("**/library/act")
    page.reload()
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#tags")).to_contain_text("night")


def test_a_mark_that_is_changed_again_at_once_is_not_overtaken(page: Page, site: House) -> None:
    page.goto(site.at("/jobs/{clip5}/"))
    star = page.get_by_role("button", name="Favourite")
    asked: list[Route] = []

    def hold_the_first(route: Route) -> None:
        asked.append(route)
        if len(asked) > 1:
            route.continue_()

    page.route("**/library/act", hold_the_first)
    with page.expect_request("**/library/act"):
        star.click()
    star.click()
    expect(star).to_have_attribute("aria-pressed", "false")
    assert ["unfavourite" in (each.request.post_data or "") for each in asked] == [False]
    with page.expect_response(lambda answer: "unfavourite" in (answer.request.post_data or "")):
        asked[0].continue_()
    page.reload()
    expect(star).to_have_attribute("aria-pressed", "false")


def test_variations_are_made_from_the_page_which_stays(page: Page, site: House) -> None:
    path = site.at("/jobs/{clip5}/")
    page.goto(path)
    page.get_by_label("How many variations").select_option("3")
    page.get_by_role("button", name="Vary").click()
    expect(page.locator("#toasts")).to_contain_text("3 variations are on their way.")
    assert page.url.endswith(path)
    page.reload()
    expect(page.get_by_role("link", name="Variation")).to_have_count(3)


def test_the_recipe_and_the_link_are_copied(page: Page, site: House) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.clock.install()
    page.goto(site.at("/jobs/{succeeded}/"))
    read = "navigator.clipboard.readText()"
    copies = page.locator("#copy-recipe")
    page.clock.pause_at(time.time() + 3600)  # "Copied" stands for 2 s: they end when it was seen
    for button, part in (
        (copies.get_by_role("button", name="Copy as JSON"), '"seed": 8'),
        (copies.get_by_role("button", name="Copy", exact=True), "Seed: 8"),
        (page.get_by_role("button", name="Copy link"), page.url),
    ):
        button.click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert part in page.evaluate(read)
        page.clock.fast_forward(2_000)
        expect(page.get_by_role("button", name="Copied")).to_be_hidden()
