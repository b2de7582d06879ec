"""The interactive page of the API, in a real browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, Request, expect

from accounts.models import User
from jobs.models import Job
from tests.live.stage import Server, serving
from tests.stage import chromium

pytestmark = pytest.mark.whole


@pytest.fixture
def site(transactional_db: None, tmp_path: Path) -> Iterator[Server]:
    with serving(Server("daphne", tmp_path / "web.log")) as server:
        yield server


@contextmanager
def reading(site: Server, session: str = "") -> Iterator[Page]:
    """Nothing in the console, and nothing from another host. Django's database stays outside:
    Playwright has a loop of its own in this thread."""
    complaints: list[str] = []

    def heard(request: Request) -> None:
        if not request.url.startswith((site.url, "data:", "blob:")):
            complaints.append(request.url)

    with chromium() as browser:
        context = browser.new_context(base_url=site.url)
        if session:
            context.add_cookies([{"name": site.cookie_name, "value": session, "url": site.url}])
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", heard)
        yield page
        context.close()
    assert complaints == []
    assert site.errors() == ""


def test_everybody_reads_the_docs_without_a_word_from_the_console(site: Server) -> None:
    with reading(site) as page:
        page.goto("/api/docs")
        expect(page.get_by_role("heading", name="Text-to-Video Orchestrator")).to_be_visible()
        for name in ("webhooks-createWebhook", "videos-createVideo", "you-createToken"):
            expect(page.locator(f"#operations-{name}")).to_be_visible()
        operation = page.locator("#operations-jobs-createJob")
        operation.locator(".opblock-summary-control").click()
        expect(operation.get_by_text("Idempotency-Key").first).to_be_visible()


def test_who_is_signed_in_tries_an_operation_out(site: Server, alice: User) -> None:
    client = Client()
    client.force_login(alice)
    with reading(site, client.cookies[settings.SESSION_COOKIE_NAME].value) as page:
        page.goto("/api/docs")
        operation = page.locator("#operations-jobs-createJob")
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Try it out").click()
        with page.expect_response("**/api/v1/jobs") as answer:
            operation.get_by_role("button", name="Execute").click()
        assert answer.value.status == 201
    assert Job.objects.get().owner_id == alice.pk
