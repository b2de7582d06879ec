"""Pictures of every page, to look at: wide and narrow, light and dark.

`python -m tests.browser.screenshots FOLDER` (or `make screenshots`) starts a site of its own with
real jobs in every state that a page shows, and writes PAGE-WIDTH-SCHEME.png. The failures are
real too: the models file of this site has an entry that no size fits, and one with lost weights.
"""

import re
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, Page, expect

from jobs import catalog
from tests.stage import PASSWORD, ROOT, chromium, running

LONG_MAIL = "a.person.with.a.remarkably.long.address@a-department.of-some-university.example.com"
LONG_WORD = "averylongwordwithoutaspace" * 11
STATE_MS = 60_000  # two busy cores; a render takes about 2 s
SIZES = {"1440": {"width": 1440, "height": 900}, "390": {"width": 390, "height": 844}}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

Act = Callable[[Page], None]


class Studio:
    """One person in four browsers: two widths, two colour schemes."""

    def __init__(self, browser: Browser, url: str, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.pages: dict[str, Page] = {}
        for width, size in SIZES.items():
            for scheme in SCHEMES:
                context: BrowserContext = browser.new_context(
                    base_url=url,
                    viewport={"width": size["width"], "height": size["height"]},
                    color_scheme=scheme,
                    is_mobile=width == "390",
                    has_touch=width == "390",
                )
                stack.callback(context.close)
                context.set_default_timeout(STATE_MS)
                self.pages[f"{width}-{scheme}"] = context.new_page()

    def shoot(self, name: str, path: str, act: Act | None = None) -> None:
        """The page at path, after act on it, in all four. Refuses one that is too wide."""
        for variant, page in self.pages.items():
            page.goto(path)
            if act:
                act(page)
            page.evaluate("document.fonts.ready")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= int(variant.partition("-")[0]), f"{name} at {variant}: {wide} pixels"
            page.screenshot(
                path=self.folder / f"{name}-{variant}.png", full_page=True, animations="disabled"
            )

    def sign_in(self, email: str) -> None:
        for page in self.pages.values():
            page.context.clear_cookies()
            page.goto("/accounts/login/")
            page.get_by_label("Email").fill(email)
            page.get_by_label("Password").fill(PASSWORD)
            page.locator("main").get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("heading", name="What should the video show?")).to_be_visible()

    def submit(self, prompt: str, *, steps: int = 32, model: str = "nano", until: str = "") -> str:
        """The job's path; waits for the state that its page then shows."""
        page = next(iter(self.pages.values()))
        page.goto("/")
        page.locator("#options > summary").click()
        page.get_by_label("Model").select_option(model)
        page.get_by_label("Steps").fill(str(steps))
        page.get_by_label("Prompt", exact=True).fill(prompt)
        page.get_by_role("button", name="Make the video").click()
        page.wait_for_url("**/jobs/*/")
        if until:
            _has_state(until)(page)
        return page.url


def _has_state(state: str) -> Act:
    return lambda page: expect(page.locator("#badge")).to_have_text(state, timeout=STATE_MS)


def _forming(page: Page) -> None:
    _has_state("Running")(page)
    expect(page.locator("#preview")).to_be_visible()
    step = page.locator("#step")
    expect(step).to_contain_text(re.compile(r"[1-9]\d* of 1000"))
    expect(step).not_to_have_text(step.inner_text())  # the bar has begun to move too


def _refused(page: Page) -> None:
    page.locator("#composer").evaluate("form => { form.noValidate = true; }")
    page.get_by_label("Prompt", exact=True).fill("a red circle moving right")
    page.locator("#options > summary").click()
    page.get_by_label("Steps").fill("1")
    page.get_by_label("Seed").fill("-7")
    page.get_by_role("button", name="Make the video").click()
    expect(page.locator(".errorlist").first).to_be_visible()


def _finished_clip(page: Page) -> None:
    expect(page.locator("#demo-step")).to_have_text("Step 32 of 32", timeout=STATE_MS)


def _reset_sent(page: Page) -> None:
    page.get_by_label("Email").fill("nobody@example.com")
    page.locator("main button[type=submit]").click()
    page.wait_for_url("**/password/reset/done/")


def _wrong_password(page: Page) -> None:
    page.get_by_label("Email").fill("alice@example.com")
    page.get_by_label("Password").fill("not the password")
    page.locator("main").get_by_role("button", name="Sign in").click()
    expect(page.locator(".note.error")).to_be_visible()


def shoot_entrance(studio: Studio) -> None:
    studio.shoot("landing", "/", _finished_clip)
    studio.shoot("login", "/accounts/login/")
    studio.shoot("login-refused", "/accounts/login/", _wrong_password)
    studio.shoot("signup", "/accounts/signup/")
    studio.shoot("password-reset", "/accounts/password/reset/")
    studio.shoot("password-reset-sent", "/accounts/password/reset/", _reset_sent)
    studio.shoot("404", "/jobs/00000000-0000-0000-0000-000000000000/nothing")


def shoot_studio(studio: Studio) -> None:
    studio.sign_in("alice@example.com")
    studio.shoot("studio-empty", "/")
    studio.shoot("studio-options", "/", lambda page: page.locator("#options > summary").click())
    studio.shoot(
        "studio-understands", "/", lambda page: page.locator(".understands summary").click()
    )
    studio.shoot("studio-refused", "/", _refused)
    studio.shoot("password-change", "/accounts/password/change/")
    studio.shoot("email", "/accounts/email/")


def shoot_jobs(studio: Studio) -> None:
    failed = studio.submit("a blue square growing", model="odd", until="Failed")
    parked = studio.submit("a green star moving up", model="lost", until="Parked")
    long = studio.submit(LONG_WORD, steps=8, until="Succeeded")
    succeeded = studio.submit("a red circle moving right", until="Succeeded")
    studio.submit("a large yellow star moving up on a black background", until="Succeeded")
    studio.shoot("job-succeeded", succeeded, _has_state("Succeeded"))
    studio.shoot("job-long-prompt", long)
    studio.shoot("job-failed", failed)
    studio.shoot("job-parked", parked)
    running = studio.submit("a cyan triangle moving in a circle", steps=1000)
    cancelled = studio.submit("a white circle shrinking", steps=1000)
    page = next(iter(studio.pages.values()))
    page.get_by_role("button", name="Cancel", exact=True).click()
    _has_state("Cancelled")(page)
    waiting = studio.submit("a purple square moving left on a navy background")
    studio.shoot("job-running", running, _forming)
    studio.shoot("job-queued", waiting, _has_state("Queued"))
    studio.shoot("studio", "/", _shows_a_preview)
    studio.shoot("job-cancelled", cancelled)


def _shows_a_preview(page: Page) -> None:
    expect(page.locator('[data-state="running"] [data-canvas]')).to_be_visible()


def shoot_others(studio: Studio) -> None:
    studio.sign_in("olga@example.com")
    studio.shoot("studio-operator", "/")
    shoot_console(studio)
    page = next(iter(studio.pages.values()))
    page.context.clear_cookies()
    page.goto("/accounts/signup/")
    page.get_by_label("Email").fill(LONG_MAIL)
    for name in ("password1", "password2"):
        page.locator(f"[name={name}]").fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    page.wait_for_url("**/")
    studio.sign_in(LONG_MAIL)
    studio.shoot("studio-long-address", "/")
    studio.shoot("email-long-address", "/accounts/email/")


def shoot_console(studio: Studio) -> None:
    """olga is signed in; a job that parked lies there."""
    studio.shoot("admin", "/admin/")
    page = next(iter(studio.pages.values()))
    page.goto("/admin/queue/")
    parked = page.locator("[data-key=parked] tbody th a").first.get_attribute("href")
    assert parked is not None
    studio.shoot("admin-job-parked", parked)
    ids = [
        studio.submit(f"a {colour} star moving up, and a line of words that goes on", steps=1000)
        for colour in ("red", "green", "blue")
    ]
    keys = [url.rstrip("/").rpartition("/")[2] for url in ids]
    studio.shoot("admin-queue", "/admin/queue/", _runs)
    studio.shoot("admin-job-running", f"/admin/jobs/job/{keys[0]}/change/")
    studio.shoot("admin-cancel", f"/admin/jobs/job/{keys[1]}/cancel/")
    page.goto("/admin/queue/")
    page.get_by_role("button", name="Drain").click()
    studio.shoot("admin-queue-drained", "/admin/queue/", _drains)
    page.goto("/admin/queue/")
    page.get_by_role("button", name="Resume").click()
    for key in keys:
        page.goto(f"/admin/jobs/job/{key}/cancel/")
        page.get_by_role("button", name="Cancel the job").click()
    studio.shoot("admin-jobs", "/admin/jobs/job/")
    page.goto("/admin/jobs/job/?state=cancelled")
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("try_again")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("tried again")
    page.screenshot(path=studio.folder / "admin-tried-again.png", full_page=True)


def _runs(page: Page) -> None:
    expect(page.locator("[data-key=running]")).to_contain_text("of 1000", timeout=STATE_MS)


def _drains(page: Page) -> None:
    expect(page.locator("[data-key=running] tbody")).to_be_hidden(timeout=STATE_MS)
    expect(page.locator("[data-key=waiting]")).to_contain_text("drains since")


def models_file() -> str:
    """The site's own models, one that accepts a size it cannot render, and one without weights."""
    text = (ROOT / "deploy" / "models.toml").read_text(encoding="utf-8")
    text = text.partition("[mochi-1]")[0]
    digest = catalog.parse(text)["nano"].files[0].sha256
    odd = text.replace("[nano", "[odd").replace("[64, 64]", "[72, 72]").replace("= 64", "= 72")
    lost = text.replace("[nano", "[lost").replace(digest, "0" * 64)
    return "\n".join([text, odd, lost])


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as var, chromium() as browser, ExitStack() as stack:
        models = Path(var) / "models.toml"
        models.write_text(models_file(), encoding="utf-8")
        system = stack.enter_context(running(Path(var), T2V_MODELS_FILE=str(models)))
        studio = Studio(browser, system.url, folder, stack)
        for part in (shoot_entrance, shoot_studio, shoot_jobs, shoot_others):
            part(studio)
    sys.stdout.write(f"{len(list(folder.glob('*.png')))} pictures in {folder}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
