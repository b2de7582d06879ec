"""The studio in a real browser: compose, submit and stay, watch the strip, and lose nothing.

The walk by keyboard, from the address bar: Tab to the skip link, Enter, Tab to the prompt; type;
Tab over examples and "Recent" to the model's cards (arrows choose), to "What this model
understands", to "Advanced" (Enter opens it), to "How many" (arrows choose), to the button. Or from
anywhere in the form Ctrl-Enter. Then on through the strip: each card's link, and its cancel button.
"""

import json
import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    FloatRect,
    Locator,
    Page,
    Request,
    Route,
    ViewportSize,
    expect,
)

from tests.browser.person import id_of, send, sign_in, sign_out
from tests.stage import System, chromium, running

pytestmark = pytest.mark.whole

PHONE: ViewportSize = {"width": 390, "height": 844}
ENDS_MS = 60_000  # two busy cores; a render of 4 steps takes about 1 s


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("studio") / "var") as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def context(browser: Browser, system: System) -> Iterator[BrowserContext]:
    opened = browser.new_context(base_url=system.url)
    sign_in(opened.new_page())
    yield opened
    opened.close()


@pytest.fixture
def studio(context: BrowserContext) -> Iterator[Page]:
    """Alice's, with nothing written yet."""
    page = context.new_page()
    page.goto("/")
    page.evaluate("localStorage.clear()")
    page.goto("about:blank")
    page.goto("/")
    yield page
    page.close()


def _prompt(page: Page) -> Locator:
    return page.get_by_label("Prompt", exact=True)


def _quick(page: Page) -> None:
    """As few steps as the model takes."""
    options = page.locator("#options")
    if options.get_attribute("open") is None:
        options.locator("> summary").click()
    page.get_by_label("Steps").fill("4")


def _card(page: Page, job: str) -> Locator:
    return page.locator(f'#strip [data-job-id="{job}"]')


def test_the_first_video_of_somebody_is_an_example_that_becomes_a_clip(studio: Page) -> None:
    first = studio.locator("#first-time")
    expect(first).to_be_visible()
    example = first.get_by_role("button").first
    words = example.inner_text()
    example.click()
    expect(_prompt(studio)).to_have_value(words)
    expect(_prompt(studio)).to_be_focused()
    _quick(studio)
    job = id_of(send(studio))
    assert studio.url.rstrip("/").count("/") == 2  # the page stayed
    expect(studio.locator("#toasts")).to_contain_text("Submitted")
    expect(first).to_be_hidden()
    expect(_prompt(studio)).to_have_value("")
    expect(studio.locator("#made [data-job-id]")).to_have_attribute(
        "data-job-id", job, timeout=ENDS_MS
    )
    card = _card(studio, job)
    expect(card.locator("[data-badge]")).to_have_text("Succeeded")
    expect(card.get_by_role("link")).to_have_text(words)
    card.get_by_role("link").focus()
    studio.keyboard.press("Shift+Tab")
    studio.keyboard.press("Tab")  # a clip plays where the focus came by keyboard
    expect(card.locator("video")).to_be_attached()
    studio.locator("#recent summary").click()
    expect(studio.locator("#recent-prompts button")).to_have_text([words])


def test_several_seeds_show_at_once_and_one_that_waits_can_be_cancelled(studio: Page) -> None:
    _prompt(studio).fill("a red circle moving right")
    studio.locator("#options > summary").click()
    studio.get_by_label("Steps").fill("1000")  # it runs until it is cancelled
    studio.locator(".count label").filter(has_text="3").click()
    button = studio.locator("#submit")
    expect(button).to_have_text("Make 3 videos")
    first = id_of(send(studio))
    making = studio.locator("#making > li")
    expect(making).to_have_count(3)
    running_one = _card(studio, first)
    expect(running_one.locator("[data-badge]")).to_have_text("Running", timeout=ENDS_MS)
    expect(running_one.locator("[data-canvas]")).to_be_visible(timeout=ENDS_MS)  # it moves
    # Told apart from the pictures; a cancel asks first where a step is known.
    expect(running_one.locator("[data-note]")).to_contain_text("Step", timeout=ENDS_MS)
    expect(making.nth(1).locator("[data-note]")).to_contain_text("Next in line")
    expect(making.nth(2).locator("[data-note]")).to_contain_text("1 before you")
    making.nth(2).get_by_role("button", name="Cancel this video").click()
    expect(making).to_have_count(2)
    making.nth(1).get_by_role("button", name="Cancel this video").click()
    expect(making).to_have_count(1)
    running_one.get_by_role("button", name="Cancel this video").click()
    question = studio.get_by_role("dialog", name="Stop this video?")
    question.get_by_role("button", name="Cancel").click()
    expect(running_one.locator("[data-badge]")).to_have_text("Running")
    running_one.get_by_role("button", name="Cancel this video").click()
    question.get_by_role("button", name="Stop it").click()
    expect(making).to_have_count(0, timeout=ENDS_MS)


def test_a_bad_value_is_told_at_its_field_which_unfolds_and_has_the_focus(studio: Page) -> None:
    summary = studio.locator("#options > summary")
    studio.locator("#submit").click()
    expect(_prompt(studio)).to_be_focused()
    expect(studio.locator("#id_prompt_error")).to_have_text("Say what the video should show.")
    _prompt(studio).fill("a blue square")
    expect(studio.locator("#id_prompt_error")).to_have_count(0)
    summary.click()
    studio.get_by_label("Seed").fill("-7")  # which only the server knows to be wrong
    summary.click()
    studio.locator("#submit").click()
    seed = studio.get_by_label("Seed")
    expect(seed).to_be_focused()
    expect(seed).to_have_accessible_description(re.compile("From 0 to 4294967295"))
    expect(studio.locator("#making > li")).to_have_count(0)  # what stood in for it is gone
    expect(_prompt(studio)).to_have_value("a blue square")
    studio.get_by_role("button", name="Back to defaults").click()
    expect(seed).to_have_value("")
    expect(studio.locator("#options-summary")).to_contain_text("32 steps")


def test_a_draft_outlives_a_cut_network_and_a_reload_and_is_made_once(
    studio: Page, context: BrowserContext
) -> None:
    _prompt(studio).fill("a green triangle bouncing")
    _quick(studio)
    keys: list[str] = []

    def lose_the_answer(route: Route) -> None:
        """The server does it, and nobody hears of it."""
        if route.request.method != "POST":
            route.fallback()
            return
        keys.append(_key(route.request))
        route.fetch()
        route.abort()

    studio.route(re.compile(r"/$"), lose_the_answer)
    studio.locator("#submit").click()
    refusal = studio.locator("#refusal")
    expect(refusal).to_contain_text("cannot be reached")
    expect(refusal).to_be_focused()
    studio.unroute(re.compile(r"/$"))
    studio.reload()
    expect(_prompt(studio)).to_have_value("a green triangle bouncing")
    expect(studio.locator("#id_steps")).to_have_value("4")
    expect(studio.get_by_text("Your draft is back.")).to_be_visible()
    with studio.expect_request(lambda asked: asked.method == "POST") as again:
        send(studio)
    assert keys == [_key(again.value)]
    strip = studio.locator("#strip")
    expect(strip.get_by_text("a green triangle bouncing", exact=True)).to_have_count(1)
    assert studio.evaluate("Object.keys(localStorage).filter((key) => key.includes('draft'))") == []


def test_a_full_queue_says_when_to_come_again_and_when_it_is_time(
    browser: Browser, system: System, context: BrowserContext
) -> None:
    """In a window of its own, where time goes as it is told: of all its pages, and to the end."""
    alone = browser.new_context(base_url=system.url)
    alone.add_cookies(context.cookies())  # type: ignore[arg-type]  # as they were given
    alone.clock.install()
    alone.clock.pause_at(time.time() + 3600)  # a moment that is still to come
    studio = alone.new_page()
    studio.goto("/")
    full = {"code": "queue_full", "detail": "The queue is full. Try again in 40 s."}

    def refuse(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(
                status=503,
                headers={"Retry-After": "40", "Content-Type": "application/problem+json"},
                body=json.dumps(full),
            )
        else:
            route.fallback()

    studio.route(re.compile(r"/$"), refuse)
    _prompt(studio).fill("a yellow star growing")
    _quick(studio)
    studio.locator("#submit").click()
    refusal = studio.locator("#refusal")
    expect(refusal).to_contain_text("Try again in 40 s. What you wrote stays here")
    studio.clock.fast_forward(39_000)
    expect(refusal).to_contain_text("Try again in 40 s.")
    studio.clock.fast_forward(2_000)
    expect(refusal).to_have_text(re.compile("There should be room in the queue now"))
    expect(_prompt(studio)).to_have_value("a yellow star growing")
    studio.unroute(re.compile(r"/$"))
    send(studio)
    expect(refusal).to_be_hidden()
    alone.close()


def _key(sent: Request) -> str:
    body = (sent.post_data_buffer or b"").decode()
    found = re.search(r'name="idempotency_key"\r\n\r\n(\w+)', body)
    assert found is not None
    return found[1]


def test_what_is_put_in_place_of_a_prompt_can_be_undone_and_words_go_to_the_cursor(
    studio: Page,
) -> None:
    prompt = _prompt(studio)
    prompt.fill("something of mine")
    example = studio.locator("#examples [data-example]").nth(1)
    example.click()
    expect(prompt).to_have_value(example.inner_text())
    studio.get_by_role("button", name="Undo").click()
    expect(prompt).to_have_value("something of mine")
    studio.locator(".understands summary").click()
    word = studio.locator("#words").get_by_role("button")
    prompt.fill("a circle")
    prompt.evaluate("field => field.setSelectionRange(2, 2)")
    word.get_by_text("red", exact=True).click()
    expect(prompt).to_have_value("a red circle")
    expect(prompt).to_be_focused()
    prompt.press("End")
    right = word.get_by_text("moving right", exact=True)
    right.focus()
    right.press("Enter")
    expect(prompt).to_have_value("a red circle moving right")
    expect(right).to_be_focused()  # where the next word is near
    expect(studio.locator("#prompt-count")).to_have_text("25 / 300")
    prompt.fill("x" * 299)
    right.press("Enter")
    expect(prompt).to_have_value("x" * 299)
    expect(studio.locator("#announce")).to_contain_text("does not fit")


def test_a_job_of_another_window_takes_its_place_and_a_remix_begins_with_its_values(
    studio: Page, context: BrowserContext
) -> None:
    other = context.new_page()
    other.goto("/")
    _prompt(other).fill("a cyan star standing still")
    _quick(other)
    other.get_by_label("Quality").select_option("fast")
    other.get_by_label("Seed").fill("9")
    job = id_of(send(other, key="Control+Enter"))
    other.close()
    card = _card(studio, job)
    expect(card.locator("[data-quality]")).to_have_text("Fast (approximate)")
    expect(card.get_by_role("link")).to_have_attribute("href", f"/jobs/{job}/")
    expect(card.locator("[data-badge]")).to_have_text("Succeeded", timeout=ENDS_MS)
    studio.goto(f"/?from={job}")
    expect(_prompt(studio)).to_have_value("a cyan star standing still")
    expect(_prompt(studio)).to_be_focused()
    expect(studio.locator("#options-summary")).to_contain_text("4 steps")
    expect(studio.locator("#options-summary")).to_contain_text("Fast (approximate) · seed 9")
    _prompt(studio).fill("")
    studio.goto("/")
    expect(studio.locator("#options-summary")).to_contain_text("random seed")


def _box(part: Locator) -> FloatRect:
    found = part.bounding_box()
    assert found is not None
    return found


def test_the_phone_keeps_the_button_in_reach_and_sign_out_forgets_the_draft(
    browser: Browser, system: System
) -> None:
    context = browser.new_context(base_url=system.url, viewport=PHONE, has_touch=True)
    page = sign_in(context.new_page())
    page.wait_for_load_state()  # before its sheets have come it is wider
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    expect(page.locator("#submit")).to_be_in_viewport(ratio=1)
    title, words = page.locator(".single .choice-card > span").all()[:2]
    assert _box(title)["x"] == _box(words)["x"]
    _prompt(page).fill("something of mine")
    page.locator("[data-example]:visible").first.click()
    expect(page.locator("#toasts .toast")).to_be_visible()
    toast, button = _box(page.locator("#toasts")), _box(page.locator("#submit"))
    assert (
        toast["y"] + toast["height"] <= button["y"] or toast["y"] >= button["y"] + button["height"]
    )
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    _prompt(page).fill("nobody else's business")
    page.reload()
    expect(_prompt(page)).to_have_value("nobody else's business")
    sign_out(page)
    expect(page.get_by_role("link", name="Create an account")).to_be_visible()
    assert "business" not in page.evaluate("JSON.stringify(localStorage)")
    context.close()


def test_the_form_makes_a_video_without_scripts(browser: Browser, system: System) -> None:
    context = browser.new_context(base_url=system.url, java_script_enabled=False)
    page = sign_in(context.new_page())
    _prompt(page).fill("a white circle growing")
    page.locator("#submit").click()
    page.wait_for_url("**/jobs/*/")
    context.close()
