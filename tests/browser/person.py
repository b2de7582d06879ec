"""What everybody does in a browser: sign in, and ask for a video. The one place that knows how."""

import time
from urllib.parse import urljoin

from playwright.sync_api import Page, Response, expect

from tests.stage import PASSWORD

STATE_MS = 60_000  # two busy cores; a render takes about 2 s


def sign_in(page: Page, email: str = "alice@example.com", *, password: str = PASSWORD) -> Page:
    """The same page, at the studio."""
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.locator("main").get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("#composer")).to_be_visible()
    return page


def sign_out(page: Page) -> None:
    """Anywhere on the site; the button may lie in the account's menu."""
    button = page.locator(".site-header").get_by_role("button", name="Sign out", exact=True)
    if not button.is_visible():
        page.locator(".account-menu > summary").click()
    button.click()


def set_option(page: Page, label: str, value: str) -> None:
    """A field of the composer, which may lie in a fold."""
    field = page.locator("#composer").get_by_label(label)
    for fold in (
        page.locator("#composer details:not([open])").filter(has=page.get_by_label(label)).all()
    ):
        fold.locator("> summary").click()
    if field.evaluate("each => each.tagName") == "SELECT":
        field.select_option(value)
    else:
        field.fill(value)


def compose(page: Page, prompt: str, *, model: str = "", **options: str | int) -> None:
    """Opens the studio and fills in; options by the names of their fields, as steps=8."""
    page.goto("/")
    if model:
        page.locator(f'#composer input[name=model][value="{model}"]').check()
    for name, value in options.items():
        set_option(page, name.capitalize(), str(value))
    page.get_by_label("Prompt", exact=True).fill(prompt)


def send(page: Page, *, key: str = "") -> str:
    """What the composer holds, by its button or by a key; the job's address.

    The page stays, or has gone there by itself.
    """
    with page.expect_response(_is_submission) as submission:
        if key:
            page.keyboard.press(key)
        else:
            page.locator("#composer button[type=submit]").click()
    answer = submission.value
    if answer.status == 201:
        return urljoin(page.url, f"/jobs/{answer.json()['jobs'][0]['id']}/")
    assert answer.status == 302, (answer.status, answer.text())
    address = urljoin(page.url, answer.headers["location"])
    page.wait_for_url(address)
    return address


def submit(
    page: Page,
    prompt: str,
    *,
    steps: int = 8,
    model: str = "",
    key: str = "",
    until: str = "",
    **options: str | int,
) -> str:
    """A job, and its page on show; its address. Works without JavaScript.

    until: the state that its page then shows, as "Succeeded".
    """
    compose(page, prompt, model=model, steps=steps, **options)
    address = send(page, key=key)
    if page.url != address:
        page.goto(address)
    if until:
        expect(page.locator("#badge")).to_have_text(until, timeout=STATE_MS)
    return address


def stop_the_clock(page: Page) -> None:
    """Until run_for() or resume() no time goes by for its scripts: no machine is too slow for them.

    Before its first goto, too; of all pages of its context.
    """
    page.clock.install()
    page.clock.pause_at(time.time() + 3600)  # it is set forward only, and this took a moment


def id_of(address: str) -> str:
    """Of the job whose page it is."""
    return address.rstrip("/").rpartition("/")[2]


def _is_submission(answer: Response) -> bool:
    asked = answer.request
    return asked.method == "POST" and urljoin(asked.url, "/") == asked.url.partition("?")[0]
