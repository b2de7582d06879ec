"""Signing in by a passkey, in a real browser with an authenticator of its own."""

from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from conftest import PASSWORD
from tests.browser.person import sign_in, sign_out
from tests.stage import chromium

pytestmark = pytest.mark.whole
SOON_MS = 60_000  # two busy cores


@pytest.fixture
def site(settings: LazySettings, olga: User, live_server: LiveServer) -> str:
    """At localhost, the one host whose passkeys a browser knows over http."""
    settings.T2V_REQUIRE_MFA = True
    settings.ALLOWED_HOSTS = ["localhost"]
    url: str = live_server.url
    return url.replace("127.0.0.1", "localhost")


@pytest.fixture
def complaints() -> list[str]:
    """Of the browser, as of a script that the policy forbids."""
    return []


@pytest.fixture
def page(site: str, complaints: list[str]) -> Iterator[Page]:
    with chromium() as browser, browser.new_context(base_url=site) as context:
        context.set_default_timeout(SOON_MS)
        opened = context.new_page()
        # This server has no sockets and streams no events: one that answers keeps pages content.
        opened.route_web_socket(
            "**/ws/", lambda socket: socket.on_message(lambda _: socket.send('{"type": "pong"}'))
        )
        opened.on(
            "console",
            lambda said: complaints.append(said.text) if said.type == "error" else None,
        )
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        devtools = context.new_cdp_session(opened)
        devtools.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        yield opened


def test_a_passkey_opens_the_console_and_signs_in_by_itself(
    page: Page, complaints: list[str]
) -> None:
    sign_in(page, "olga@example.com", password=PASSWORD)

    page.goto("/admin/")
    expect(page.get_by_role("alert")).to_contain_text("needs a second factor")
    page.get_by_role("link", name="Add passkeys").click()
    page.wait_for_url("**/webauthn/add/**")  # with its script
    page.get_by_label("A name for it").fill("my laptop")
    expect(page.get_by_label("signs me in without a password")).to_be_checked()
    page.locator("#mfa_webauthn_add").click()
    expect(page.locator("main")).to_contain_text("ecovery codes")
    page.goto("/settings/security")
    expect(page.locator("main")).to_contain_text("my laptop")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.goto("/queue")
    expect(page.locator("[data-key=waiting]")).to_be_visible()

    page.goto("/settings/security")
    sign_out(page)
    page.goto("/accounts/login/?next=/queue")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/queue")
    expect(page.locator("[data-key=waiting]")).to_be_visible()
    assert complaints == []
