"""The pages in a real browser: live, on a phone, by keyboard, and when the server goes away."""

import base64
import io
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, ViewportSize, expect

from gpu_worker.nano import landing
from jobs import catalog
from jobs.events import PreviewHeader
from tests.browser.live.sights import end_the_site
from tests.browser.person import sign_in, sign_out, submit
from tests.stage import System, chromium, running

pytestmark = pytest.mark.whole

PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("pages") / "var") as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def visitor(browser: Browser, system: System) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=system.url)
    yield context
    context.close()


@pytest.fixture
def alice(visitor: BrowserContext) -> Page:
    return sign_in(visitor.new_page())


def test_a_page_reconnects_by_itself_and_misses_nothing(alice: Page, system: System) -> None:
    submit(alice, "a red circle moving right", steps=400, key="Control+Enter")
    expect(alice.locator("#step")).to_contain_text(re.compile(r"[1-9]\d* of 400"), timeout=30_000)
    with alice.expect_websocket(timeout=60_000):
        end_the_site(system)
    expect(alice.locator("#connection")).to_be_hidden(timeout=60_000)
    # A busy core needs a minute for so many steps; fewer would be done before the site is back.
    expect(alice.locator("#video")).to_be_visible(timeout=180_000)
    expect(alice.locator("#history > li")).to_have_text(
        [re.compile("Submitted"), re.compile("Attempt 1 on"), re.compile("Video ready")]
    )


def test_a_page_that_was_signed_out_elsewhere_goes_to_the_sign_in(
    alice: Page, visitor: BrowserContext
) -> None:
    other = visitor.new_page()
    other.goto("/")
    sign_out(other)
    expect(other.get_by_role("link", name="Create an account")).to_be_visible()
    alice.bring_to_front()
    alice.wait_for_url("**/accounts/login/?next=*", timeout=45_000)  # rights: every 30 s


def test_the_quality_is_asked_for_only_where_the_chosen_model_has_several(alice: Page) -> None:
    options = alice.locator("#options > summary")
    options.click()
    expect(alice.get_by_label("Quality")).to_be_visible()

    def exact_only(route: Route) -> None:
        answer = route.fetch()
        one = '"qualities": [{"name": "exact", "title": "Exact"}]'
        route.fulfill(response=answer, body=re.sub(r'"qualities": \[.*?\]', one, answer.text()))

    alice.route("**/", exact_only)
    alice.goto("/")
    options.click()
    expect(alice.get_by_label("Guidance")).to_be_visible()
    expect(alice.get_by_label("Quality")).to_be_hidden()
    expect(alice.locator("#id_quality")).to_have_value("exact")


def test_trying_again_starts_from_the_same_values(alice: Page) -> None:
    submit(alice, "a yellow square shrinking", steps=9)
    expect(alice.locator("#video")).to_be_visible(timeout=60_000)
    recipe = alice.locator("#recipe > div").filter(has_text="Seed")
    seed = recipe.locator("dd").inner_text()
    alice.get_by_role("link", name="Remix").click()
    expect(alice.get_by_label("Prompt", exact=True)).to_have_value("a yellow square shrinking")
    expect(alice.locator("#id_steps")).to_have_value("9")
    expect(alice.locator("#id_seed")).to_have_value(seed)


def test_no_page_is_wider_than_a_phone_and_none_complains(browser: Browser, system: System) -> None:
    context = browser.new_context(base_url=system.url, viewport=PHONE, color_scheme="dark")
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    entrance = ["/", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/"]
    for path in entrance:
        page.goto(path)
        assert _overhang(page) <= 0, path
    sign_in(page)
    job = submit(page, "a-prompt-that-does-not-break-" * 8)
    for path in ["/", job, "/accounts/email/", "/accounts/password/change/"]:
        page.goto(path)
        assert _overhang(page) <= 0, path
    context.close()
    assert complaints == []


def _overhang(page: Page) -> int:
    """Pixels that the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def _landing_pixels(page: Page) -> str:
    pixels: str = page.evaluate("document.getElementById('demo').toDataURL()")
    return pixels


def test_the_landing_page_plays_what_the_bundled_model_made(visitor: BrowserContext) -> None:
    page = visitor.new_page()
    with page.expect_response("**/landing*.jpg") as answer:
        page.goto("/")
    assert answer.value.status == 200
    picture = Image.open(io.BytesIO(answer.value.body()))
    entry = catalog.load(Path(settings.T2V_MODELS_FILE))["nano"]
    assert picture.info["comment"] == landing.comment(entry), "record it again: new weights"
    player = visitor.request.get("/static/js/landing.js").text()
    assert f"PREVIEWED = {list(landing.PREVIEWED)};" in player
    # For 0.6 s of each round: looked for in every frame, where expect looks once a second.
    early = page.wait_for_function(
        "() => document.getElementById('demo-step').textContent === 'Step 4 of 32'"
        " && document.getElementById('demo').toDataURL()"
    ).json_value()
    expect(page.locator("#demo-step")).to_have_text("Step 32 of 32", timeout=30_000)
    assert _landing_pixels(page) != early
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_the_landing_page_stands_still_for_a_viewer_who_asked_for_less_motion(
    browser: Browser, system: System
) -> None:
    context = browser.new_context(base_url=system.url, reduced_motion="reduce")
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#demo-step")).to_have_text("Step 32 of 32")
    expect(page.locator("#demo-pause")).to_be_hidden()
    context.close()


def test_nothing_moves_for_a_viewer_who_asked_for_less_motion(
    browser: Browser, system: System
) -> None:
    context = browser.new_context(base_url=system.url, reduced_motion="reduce")
    page = sign_in(context.new_page())
    submit(page, "a blue circle moving left")
    expect(page.locator("#video")).to_be_visible(timeout=60_000)
    page.reload()
    expect(page.locator("#video")).to_have_js_property("paused", True)
    context.close()


def _preview(*, attempt: int, step: int, colours: list[str]) -> str:
    """A sprite with one tile of 4 × 4 pixels for each colour, as it comes over the socket."""
    sprite = Image.new("RGB", (4 * len(colours), 4))
    for at, colour in enumerate(colours):
        sprite.paste(colour, (4 * at, 0, 4 * at + 4, 4))
    file = io.BytesIO()
    sprite.save(file, "PNG")
    header = PreviewHeader(
        job=uuid.UUID("12345678-1234-5678-1234-567812345678"),
        attempt=attempt,
        step=step,
        steps=300,
        frames=len(colours),
        tile_width=4,
        tile_height=4,
        server_us=2**53 + 1,
        codec="png",
        size=len(file.getvalue()),
    )
    return base64.b64encode(header.pack() + file.getvalue()).decode()


_SHOW = """async (messages) => {
  const {parsePreview, SpritePlayer} = await import("/static/js/preview.js");
  const canvas = document.createElement("canvas");
  const player = new SpritePlayer(canvas, {clipSeconds: 1});
  const seen = [];
  for (const message of messages) {
    const bytes = Uint8Array.from(atob(message), (letter) => letter.charCodeAt(0));
    const preview = parsePreview(bytes.buffer);
    const drawn = await player.show(preview);
    const pixel = [...canvas.getContext("2d").getImageData(1, 1, 1, 1).data].slice(0, 3);
    const {image, ...header} = preview;
    seen.push({drawn, pixel, header, type: image.type, width: canvas.width});
  }
  player.close();
  return seen;
}"""


def _show(page: Page, *messages: str) -> list[dict[str, Any]]:
    page.goto("/accounts/login/")
    seen: list[dict[str, Any]] = page.evaluate(_SHOW, list(messages))
    return seen


def test_the_page_reads_the_header_that_the_worker_writes(visitor: BrowserContext) -> None:
    (seen,) = _show(visitor.new_page(), _preview(attempt=2, step=7, colours=["red"] * 3))
    assert seen["header"] == {
        "job": "12345678-1234-5678-1234-567812345678",
        "attempt": 2,
        "step": 7,
        "steps": 300,
        "frames": 3,
        "tileWidth": 4,
        "tileHeight": 4,
        "madeAt": (2**53 + 1) // 1000,
    }
    assert (seen["type"], seen["width"], seen["pixel"]) == ("image/png", 4, [255, 0, 0])


def test_what_is_shown_never_goes_backwards(visitor: BrowserContext) -> None:
    seen = _show(
        visitor.new_page(),
        _preview(attempt=1, step=9, colours=["red"] * 2),
        _preview(attempt=1, step=8, colours=["lime"] * 2),
        _preview(attempt=2, step=1, colours=["blue"] * 2),
        _preview(attempt=1, step=10, colours=["lime"] * 2),
    )
    assert [each["drawn"] for each in seen] == [True, False, True, False]
    assert [each["pixel"] for each in seen][1::2] == [[255, 0, 0], [0, 0, 255]]


def test_a_token_is_made_copied_used_and_revoked(alice: Page) -> None:
    alice.context.grant_permissions(["clipboard-read", "clipboard-write"])
    alice.get_by_role("link", name="Settings").click()
    alice.get_by_role("link", name="Tokens").click()
    alice.get_by_label("What is it for?").fill("my script")
    alice.keyboard.press("Enter")
    token = alice.get_by_label("The token").input_value()
    alice.wait_for_load_state()  # the button's script comes after the button
    alice.get_by_role("button", name="Copy").click()
    expect(alice.locator("#toasts")).to_contain_text("Copied.")
    assert alice.evaluate("navigator.clipboard.readText()") == token
    ask = """async token => {
        const headers = { Authorization: `Bearer ${token}` };
        return (await fetch("/api/v1/me", { headers })).status;
    }"""
    assert alice.evaluate(ask, token) == 200
    alice.get_by_text("Revoke …").click()
    alice.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True).click()
    expect(alice.locator("#toasts")).to_contain_text("opens nothing any more")
    assert alice.evaluate(ask, token) == 401
    expect(alice.locator("main")).not_to_contain_text(token)
