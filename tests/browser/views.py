"""Every page and every state of it that has a name: one list for pictures, axe, widths and more.

A view is looked at in tests/browser/house.py. What its act does must not change what another view
shows: each is looked at again in other widths and colours.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from tests.browser.house import House
from tests.browser.person import STATE_MS, set_option

WIDTHS = {1440: 900, 820: 1180, 390: 844}  # and their heights, in pixels

Act = Callable[[Page, House], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    name: str
    path: str  # with names of the scenery in braces
    who: str = "alice"  # before the @ of their address; nobody, if empty
    act: Act | None = None  # what brings the state about, and waits for it
    status: int = 200
    undo: Act | None = None  # what makes the page, and the net, whole again
    cut: bool = False  # the state is that something fails: the browser may complain
    template: str = ""  # rendered in the address' stead: a page that no visit brings about
    refused: tuple[str, ...] = ()  # addresses that the state itself has the site refuse


def view(name: str, path: str, act: Act | None = None, **more: object) -> View:
    return View(name=name, path=path, act=act, **more)  # type: ignore[arg-type]


# --- Acts ---------------------------------------------------------------------------------------


def opened(selector: str) -> Act:
    """A fold, by its summary."""

    def act(page: Page, _: House) -> None:
        page.locator(selector).first.click()

    return act


def clicked(name: str, *, shows: str) -> Act:
    """A button; what is there then."""

    def act(page: Page, _: House) -> None:
        page.locator("main").get_by_role("button", name=name).first.click()
        expect(page.locator(shows).first).to_be_visible()

    return act


def refused_form(selector: str, button: str, **fields: str) -> Act:
    """Sent with these values, by the names of their fields, though the browser would stop it."""

    def act(page: Page, _: House) -> None:
        form = page.locator(selector).first
        form.evaluate("each => { each.noValidate = true; }")
        for name, value in fields.items():
            form.locator(f"[name={name}]").first.fill(value)
        form.get_by_role("button", name=button).first.click()
        wrong = "main [aria-invalid=true], main [role=alert], main .errorlist, main p.error"
        expect(page.locator(wrong).first).to_be_visible()

    return act


def _forms(page: Page, house: House) -> None:
    house.hand.form(house.names["running"], step=380)
    expect(page.locator("#badge")).to_have_text("Running")
    expect(page.locator("#preview")).to_be_visible(timeout=STATE_MS)


def _strip_forms(page: Page, house: House) -> None:
    for name, step in (("running", 380), ("running2", 720)):
        house.hand.form(house.names[name], step=step)
    first = page.locator('[data-state="running"]').first
    first.scroll_into_view_if_needed()  # those alone move
    expect(first.locator("[data-canvas]")).to_be_visible(timeout=STATE_MS)
    page.evaluate("scrollTo(0, 0)")


def _peeks(page: Page, house: House) -> None:
    house.hand.form(house.names["running"], step=380)
    page.locator("[data-peek]").first.click()
    expect(page.locator("[data-peeks=shown]")).to_be_visible(timeout=STATE_MS)
    page.evaluate("scrollTo(0, 0)")


def _chosen(page: Page, _: House) -> None:
    page.locator("[data-key=waiting] tbody input").first.check()
    expect(page.get_by_role("button", name="Cancel the chosen ones…")).to_be_visible()


def asked(button: str) -> Act:
    """A dialog before what cannot be undone."""

    def act(page: Page, _: House) -> None:
        page.locator("main").get_by_role("button", name=button).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()

    return act


def _queue_moves(page: Page, house: House) -> None:
    for name, step in (("running", 380), ("running2", 720)):
        house.hand.form(house.names[name], step=step)
    expect(page.locator("#queue")).to_contain_text("720 of 1000", timeout=STATE_MS)


def _asks_to_drain(page: Page, _: House) -> None:
    page.get_by_role("button", name="Drain…").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()


def _bad_options(page: Page, _: House) -> None:
    page.locator("#composer").evaluate("form => { form.noValidate = true; }")
    page.get_by_label("Prompt", exact=True).fill("a red circle moving right")
    set_option(page, "Steps", "1")
    page.locator("#composer button[type=submit]").click()
    expect(page.locator("#composer .errorlist").first).to_be_visible()


def _strip_shown(page: Page, _: House) -> None:
    page.get_by_role("tab", name="How it formed").click()
    expect(page.locator("#preview")).to_be_visible()
    page.locator("#formed-step").fill("3")  # where it stands still


def _wrong_password(page: Page, _: House) -> None:
    page.get_by_label("Email").fill("alice@example.com")
    page.get_by_label("Password", exact=True).fill("not the password")
    page.locator("main").get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator(".note.error")).to_be_visible()


def _cuts(page: Page, house: House) -> None:
    _forms(page, house)
    house.net.cut_now()
    expect(page.locator("#connection")).to_contain_text(re.compile(r"in \d+ s"))
    expect(page.get_by_role("button", name="Try now")).to_be_visible()


def _unplugs(page: Page, house: House) -> None:
    _forms(page, house)
    page.context.set_offline(True)
    house.net.cut_now()
    expect(page.locator("#connection")).to_contain_text("You are offline", timeout=STATE_MS)


def _goes_by_http(page: Page, house: House) -> None:
    """As behind a proxy that knows no WebSockets."""
    house.net.refuse_upgrades = True
    page.reload()
    expect(page.locator("#connection[data-over=sse]")).to_be_attached(timeout=STATE_MS)
    _forms(page, house)


def _mends(page: Page, house: House) -> None:
    house.net.mend()
    page.context.set_offline(False)


def _makes_a_token(page: Page, _: House) -> None:
    page.get_by_label("What is it for?").fill("The render script on my desk")
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_role("heading", name="Your new token")).to_be_visible()


def _selects(count: int) -> Act:
    def act(page: Page, _: House) -> None:
        for number in range(count):
            page.locator("#clips .clip-check").nth(number).click()
        expect(page.locator("#selected")).to_have_text(f"{count} selected")

    return act


def _tags(page: Page, house: House) -> None:
    _selects(1)(page, house)
    page.locator("#bar").get_by_role("button", name="Tag").click()
    expect(page.locator("#tagging")).to_be_visible()


def _asks_for_keys(page: Page, _: House) -> None:
    expect(page.locator("#clips [data-stop]")).to_be_attached()  # the scripts are there
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()


# --- The list -----------------------------------------------------------------------------------

ENTRANCE = (
    view("landing", "/", who=""),
    view("login", "/accounts/login/", who=""),
    view("login-refused", "/accounts/login/", _wrong_password, who=""),
    view("signup", "/accounts/signup/", who=""),
    view("password-reset", "/accounts/password/reset/", who=""),
    view("password-reset-sent", "/accounts/password/reset/done/", who=""),
    view("password-reset-bad-link", "/accounts/password/reset/key/1-bad-link/", who=""),
    view("password-reset-done", "/accounts/password/reset/key/done/", who=""),
    view("email-bad-link", "/accounts/confirm-email/bad/", who=""),
    view("email-sent", "/accounts/confirm-email/", who=""),
    view("account-closed", "/accounts/inactive/", who=""),
    view("invitation-signed-out", "/invitations/{key}", who=""),
    view("invitation-for-another", "/invitations/{key}", who="charlie"),
    view("invitation-gone", "/invitations/t2vi_used", who="", status=404),
    view("404", "/nothing/here", who="", status=404),
    view("404-signed-in", "/jobs/{nobody}/", status=404),
    view("403", "/admin/", who="charlie", status=403),
    view("403-csrf", "/csrf", who="", template="403_csrf.html", status=403),
    view("429", "/too-many", who="", template="429.html", status=429),
    view("500", "/broken", who="", template="500.html", status=500),
    view("503", "/closed", who="", template="503.html", status=503),
)
STUDIO = (
    view("studio-new", "/", who="newcomer"),
    view("studio", "/", _strip_forms),
    view("studio-options", "/", opened("#options > summary")),
    view("studio-understands", "/", opened(".understands summary")),
    view("studio-refused", "/", _bad_options, refused=("/",)),
    view("studio-switcher", "/", opened(".switcher > summary")),
    view("studio-from", "/?from={wide}"),
    view("studio-prompt", "/?prompt=a%20red%20star"),
    view("studio-recent", "/", opened("#recent > summary")),
    view("account-menu", "/settings/profile", opened(".account-menu > summary")),
    view("studio-viewer", "/", who="vera"),
    view("studio-operator", "/", who="olga"),
)
JOB = (
    view("job", "/jobs/{succeeded}/"),
    view("job-wide", "/jobs/{wide}/"),
    view("job-tall", "/jobs/{tall}/"),
    view("job-long-prompt", "/jobs/{long}/"),
    view("job-fast", "/jobs/{fast}/"),
    view("job-formed", "/jobs/{wide}/", _strip_shown),
    view("job-resumed", "/jobs/{resumed}/"),
    view("job-running", "/jobs/{running}/", _forms),
    view("job-queued", "/jobs/{queued}/"),
    view("job-delayed", "/jobs/{delayed}/"),
    view("job-failed", "/jobs/{failed}/"),
    view("job-parked", "/jobs/{parked}/"),
    view("job-cancelled", "/jobs/{cancelled}/"),
    view("job-expired", "/jobs/{expired}/"),
    view("job-retried", "/jobs/{retried}/"),
    view("job-mates", "/jobs/{mates}/", who="bob"),
    view("job-viewer", "/jobs/{wide}/", who="vera"),
    view("job-large", "/jobs/{wide}/", clicked("Large", shows="#layout[data-wide]")),
    view("job-keys", "/jobs/{clip6}/", clicked("Keys of the player", shows="#keys")),
    view("job-deleted", "/jobs/{deleted}/"),
    view("job-operator", "/jobs/{parked}/", who="olga"),
)
LIVE = (
    view("live-reconnecting", "/jobs/{running}/", _cuts, undo=_mends, cut=True),
    view("live-offline", "/jobs/{running}/", _unplugs, undo=_mends, cut=True),
    view("live-over-http", "/jobs/{running}/", _goes_by_http, undo=_mends, cut=True),
)
SETTINGS = (
    view("profile", "/settings/profile"),
    view(
        "profile-refused",
        "/settings/profile",
        refused_form("main form", "Save", name="bob@example.com", time_zone="Mars/Olympus"),
        refused=("/settings/profile",),
    ),
    view("notifications", "/settings/notifications"),
    view("members-roles", "/settings/workspaces/{slug}/members", opened(".roles > summary")),
    view(
        "members-refused",
        "/settings/workspaces/{slug}/members",
        refused_form("main form", "Send the invitation", email="no@where"),
        refused=("/settings/workspaces/{slug}/members",),
    ),
    view("member-removing", "/settings/workspaces/{slug}/members", opened(".confirm > summary")),
    view("webhook-failed-alone", "/settings/webhooks/{hook}?result=failed"),
    view("usage-new", "/settings/usage", who="newcomer"),
    view("security", "/settings/security"),
    view("second-factor", "/accounts/2fa/totp/activate/"),
    view("passkeys", "/accounts/2fa/webauthn/"),
    view("passkey-add", "/accounts/2fa/webauthn/add/"),
    view("password-change", "/accounts/password/change/"),
    view("email", "/accounts/email/"),
    view("sessions", "/accounts/sessions/"),
    view("reauthenticate", "/accounts/reauthenticate/"),
    view("tokens", "/settings/tokens"),
    view("tokens-new", "/settings/tokens", _makes_a_token),
    view(
        "tokens-refused",
        "/settings/tokens",
        refused_form("main form:has([name=name])", "Make the token"),
        refused=("/settings/tokens",),
    ),
    view("tokens-revoke", "/settings/tokens", opened("main details > summary")),
    view("tokens-none", "/settings/tokens", who="bob"),
    view("webhooks", "/settings/webhooks"),
    view(
        "webhooks-refused",
        "/settings/webhooks",
        refused_form("main form:has([name=url])", "Add the webhook", url="https://10.0.0.1/hook"),
        refused=("/settings/webhooks",),
    ),
    view("webhooks-none", "/settings/webhooks", who="bob"),
    view("webhook", "/settings/webhooks/{hook}"),
    view("webhook-delivery", "/settings/webhooks/{hook}?delivery={delivery}"),
    view("workspaces", "/settings/workspaces"),
    view("workspace", "/settings/workspaces/{slug}"),
    view("members", "/settings/workspaces/{slug}/members"),
    view("members-creator", "/settings/workspaces/{slug}/members", who="bob"),
    view("usage", "/settings/usage"),
    view("audit", "/settings/audit"),
    view("api-docs", "/api/docs"),
)
LIBRARY = (
    view("library", "/library"),
    view("library-new", "/library", who="newcomer"),
    view("library-deleted", "/library/deleted"),
    view("library-deleted-none", "/library/deleted", who="bob"),
    view("library-nothing-found", "/library?q=elephant"),
    view("library-filtered", "/library?q=circle&state=all&created_after=2026-01-01"),
    view("library-filters", "/library", opened("#filters > summary")),
    view("library-selected", "/library", _selects(2)),
    view("library-tagging", "/library", _tags),
    view("library-keys", "/library", _asks_for_keys),
    view("library-viewer", "/library", who="vera"),
    view("compare", "/library/compare?a={clip0}&b={clip1}"),
    view("compare-wipe", "/library/compare?a={wide}&b={tall}&mode=wipe"),
    view("compare-no-video", "/library/compare?a={clip0}&b={failed}"),
)
CONSOLE = (
    view("admin", "/admin/", who="ada"),
    view("admin-jobs", "/admin/jobs/job/", who="olga"),
    view("admin-job", "/admin/jobs/job/{parked}/change/", who="olga"),
    view("admin-cancel", "/admin/jobs/job/{queued}/cancel/", who="olga"),
    view("admin-workers", "/admin/jobs/worker/", who="olga"),
    view("admin-models", "/admin/models/", who="ada"),
    view("admin-model", "/admin/models/nano/", who="ada"),
    view("admin-users", "/admin/accounts/user/", who="ada"),
    view("admin-user", "/admin/accounts/user/{user}/change/", who="ada"),
    view("admin-workspace", "/admin/accounts/workspace/{workspace}/change/", who="ada"),
    view("admin-quotas", "/admin/accounts/workspace/{workspace}/quotas/", who="ada"),
    view("admin-audit", "/admin/accounts/auditentry/", who="ada"),
)
QUEUE = (
    view("queue", "/queue", _peeks, who="olga"),
    view("queue-live", "/queue", _queue_moves, who="olga"),
    view("queue-drain", "/queue", _asks_to_drain, who="olga"),
    view("queue-filtered", "/queue?model=nano&owner=bob%40example.com", who="olga"),
    view("queue-nobody", "/queue?owner=nobody@example.com&pool=none", who="olga"),
    view("queue-cancel", "/queue", asked("Cancel… job"), who="olga"),
    view("queue-chosen", "/queue", _chosen, who="olga"),
    view("queue-drain-page", "/queue/drain?worker=gpu-1", who="olga"),
)
VIEWS = (*ENTRANCE, *STUDIO, *JOB, *LIVE, *LIBRARY, *SETTINGS, *QUEUE, *CONSOLE)
