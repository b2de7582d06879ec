"""The main job, end to end, as a person sees it: the real parts, the bundled model, a browser.

One `make run` with an S3 server serves all tests of this file.
"""

import io
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import pytest
import urllib3
from playwright.sync_api import Browser, BrowserContext, Page, expect

from gpu_worker.nano.adherence import analyse
from tests.browser.person import compose, sign_in, submit
from tests.stage import System, chromium, running, s3_server

pytestmark = pytest.mark.whole
http = urllib3.PoolManager(retries=False, timeout=20)
# A minute of an idle core: beyond half of it a cancel would ask first.
LONG: dict[str, Any] = {"steps": 1000, "length": 49, "size": "80x80"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("acceptance")
    with s3_server(folder / "s3") as s3, running(folder / "var", **s3) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@dataclass
class Person:
    page: Page
    context: BrowserContext
    complaints: list[str]

    def cookies(self) -> str:
        return "; ".join(f"{c.get('name')}={c.get('value')}" for c in self.context.cookies())

    def get(self, url: str, **headers: str) -> urllib3.BaseHTTPResponse:
        """As this person's browser would, without following a redirect."""
        all_headers = {"Cookie": self.cookies(), **headers}
        return http.request("GET", url, headers=all_headers, redirect=False)


def _sign_in(browser: Browser, system: System, name: str) -> Person:
    context = browser.new_context(base_url=system.url)
    page = context.new_page()
    person = Person(page=page, context=context, complaints=[])
    page.on("console", lambda m: person.complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: person.complaints.append(str(error)))
    sign_in(page, f"{name}@example.com")
    return person


@pytest.fixture
def alice(browser: Browser, system: System) -> Iterator[Person]:
    person = _sign_in(browser, system, "alice")
    yield person
    person.context.close()


# What a viewer sees while it renders, taken down by the page itself at every animation frame.
_WATCH = """() => {
  window.seen = {previews: new Set(), steps: []};
  const canvas = document.getElementById("preview");
  const look = () => {
    const words = document.getElementById("step").textContent.match(/(\\d+) of/);
    const steps = window.seen.steps;
    if (words && steps.at(-1) !== Number(words[1])) steps.push(Number(words[1]));
    if (!canvas.hidden) window.seen.previews.add(canvas.toDataURL());
    if (document.getElementById("video").hidden) requestAnimationFrame(look);
  };
  look();
}"""


def test_a_prompt_becomes_a_video_that_is_seen_forming_and_plays(
    alice: Person, system: System
) -> None:
    page = alice.page
    with system.still_worker():  # until somebody looks
        job_url = submit(page, "a red circle moving right", steps=300, seed=7)
        page.evaluate(_WATCH)
    video = page.locator("#video")
    expect(video).to_be_visible(timeout=60_000)

    seen = page.evaluate("({previews: window.seen.previews.size, steps: window.seen.steps})")
    assert seen["previews"] >= 3
    counted = [step for step in seen["steps"] if 0 < step < 300]
    assert len(counted) >= 3
    assert counted == sorted(counted)

    _play_and_seek(page)
    recipe = page.locator("#recipe").inner_text()
    for value in ("a red circle moving right", "nano", "300", "4.5", "7"):
        assert value in recipe
    page.reload()
    expect(video).to_be_visible()
    assert page.url == job_url
    assert alice.complaints == []


def _play_and_seek(page: Page) -> None:
    """The page's own policy forbids eval, so the waiting is done by the video's events."""
    landed = page.evaluate(
        """async () => {
          const video = document.getElementById("video");
          const happens = (name) =>
            new Promise(go => video.addEventListener(name, go, {once: true}));
          const before = video.currentTime;
          await happens("timeupdate");
          while (video.currentTime === before) await happens("timeupdate");
          video.pause();
          const done = happens("seeked");
          video.currentTime = video.duration / 2;
          await done;
          return Math.abs(video.currentTime - video.duration / 2);
        }"""
    )
    assert landed < 0.1


def _file_link(person: Person, job_url: str) -> str:
    path = person.page.locator("#download").get_attribute("href")
    assert path is not None
    return job_url.partition("/jobs/")[0] + path


def test_the_file_is_what_was_asked_for_and_shows_it(alice: Person, system: System) -> None:
    job_url = submit(alice.page, "a red circle moving right", steps=32, seed=11)
    expect(alice.page.locator("#video")).to_be_visible(timeout=60_000)
    answer = alice.get(_file_link(alice, job_url))
    assert answer.status == 302, "with S3 the file comes over a signed link"
    signed = answer.headers["Location"]
    body = http.request("GET", signed).data
    with av.open(io.BytesIO(body), mode="r") as clip:
        stream = clip.streams.video[0]
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in clip.decode(stream)])
        assert frames.shape == (25, 64, 64, 3)
        assert stream.average_rate == 12
        assert stream.codec_context.pix_fmt == "yuv420p"
    found = analyse(frames).things[0]
    assert (found.colour, found.motion) == ("red", "right")


def test_a_signed_link_is_for_that_file_for_five_minutes_and_the_bucket_is_private(
    alice: Person, system: System
) -> None:
    job_url = submit(alice.page, "a blue square moving up", steps=8)
    expect(alice.page.locator("#video")).to_be_visible(timeout=60_000)
    signed = alice.get(_file_link(alice, job_url)).headers["Location"]
    assert "X-Amz-Expires=300" in signed
    ranged = http.request("GET", signed, headers={"Range": "bytes=0-99"})
    assert len(ranged.data) == 100  # rclone sends the right bytes under a 200, S3 under a 206
    for stranger in (signed.partition("?")[0], signed.replace("video.mp4", "poster.png")):
        assert http.request("GET", stranger).status in {400, 403}  # unsigned; tampered with


def test_a_mate_finds_the_job_and_who_is_in_another_workspace_finds_none_anywhere(
    alice: Person, browser: Browser, system: System
) -> None:
    job_url = submit(alice.page, "a green star growing", steps=8)
    expect(alice.page.locator("#video")).to_be_visible(timeout=60_000)
    file, job = _file_link(alice, job_url), job_url.split("/")[-2]
    for name, status in {"bob": 200, "charlie": 404, "olga": 200}.items():
        person = _sign_in(browser, system, name)
        for url in (job_url, f"{system.url}/api/v1/jobs/{job}"):
            assert person.get(url).status == status, (name, url)
        assert person.get(file).status == (404 if status == 404 else 302)
        assert _ask_the_socket(person.page, job)["type"] == ("refused" if status == 404 else "fact")
        assert (job in person.page.content()) == (name == "bob")  # the list on the first page
        person.context.close()


def _ask_the_socket(page: Page, job: str) -> dict[str, Any]:
    """The first answer to a subscription."""
    answer: dict[str, Any] = page.evaluate(
        """job => new Promise((answer, fail) => {
          const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws/");
          socket.onopen = () => socket.send(JSON.stringify({type: "subscribe", job}));
          socket.onmessage = ({data}) => { answer(JSON.parse(data)); socket.close(); };
          socket.onerror = fail;
        })""",
        job,
    )
    return answer


def test_a_running_render_is_cancelled_and_the_worker_goes_on_with_the_next(
    alice: Person, system: System
) -> None:
    page = alice.page
    running_url = submit(page, "a purple triangle falling", **LONG)
    expect(page.locator("#step")).to_contain_text(re.compile(r"[1-9]\d* of 1000"), timeout=60_000)
    waiting_url = submit(page, "a white circle rising", steps=8)
    expect(page.locator("#place")).to_be_visible()
    page.goto(running_url)
    began = time.monotonic()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#badge")).to_have_text("Cancelled", timeout=10_000)
    assert time.monotonic() - began < 10
    page.goto(waiting_url)
    expect(page.locator("#video")).to_be_visible(timeout=60_000)
    assert alice.complaints == []


def test_a_waiting_job_is_cancelled_at_once(alice: Person, system: System) -> None:
    page = alice.page
    long_url = submit(page, "a purple triangle falling", **LONG)
    submit(page, "a white circle rising", steps=8)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#badge")).to_have_text("Cancelled")
    page.goto(long_url)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#badge")).to_have_text("Cancelled", timeout=10_000)


def test_the_list_is_newest_first_and_lives(alice: Person, system: System) -> None:
    submit(alice.page, "an orange star orbiting", steps=400)
    page = alice.page
    page.goto(system.url)
    first = page.locator("#making > li, #made > li").first
    expect(first).to_contain_text("an orange star orbiting")
    expect(first.locator("[data-badge]")).to_have_text("Succeeded", timeout=60_000)
    expect(first.locator("img")).to_be_visible()


def test_a_bad_value_is_told_at_its_field_and_nothing_is_made(
    alice: Person, system: System
) -> None:
    page = alice.page
    page.goto("/")
    before = page.locator("#making > li, #made > li").count()
    compose(page, "a red circle", steps=100_000)
    page.evaluate("document.getElementById('composer').noValidate = true")
    page.get_by_role("button", name="Make the video").click()
    expect(page.get_by_text("From 4 to 1000.", exact=True)).to_be_visible()
    expect(page.get_by_label("Steps")).to_be_focused()
    page.goto(system.url)
    assert page.locator("#making > li, #made > li").count() == before
