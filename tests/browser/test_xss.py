"""Nothing that somebody typed is a script on anybody's page: every page, in a real browser."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from allauth.account.models import EmailAddress
from django.db import connections
from django.db.models.functions import Now
from playwright.sync_api import Page, expect

from accounts import workspaces
from accounts.models import User, Workspace
from accounts.roles import SiteRole
from jobs import actions
from jobs.actions import Claim
from jobs.models import Job
from tests.access import table
from tests.access.cast import signed_in
from tests.access.routes import routes
from tests.access.things import Things, things_of
from tests.live import worker
from tests.live.stage import Server, serving
from tests.stage import chromium

pytestmark = pytest.mark.whole

# Each calls hit() where a page takes it for more than text; SIGN marks what it makes of it.
SIGN = "xss"
PAYLOADS = (
    "<script xss>hit(1)</script>",
    "</script><script xss>hit(2)</script>",
    '"><img xss src=x onerror=hit(3)>',
    "'><svg xss onload=hit(4)>",
    '" xss autofocus onfocus=hit(5) x="',
    "`xss onmouseover=hit(6)`",
    "javascript:hit(7)//<a xss href=javascript:hit(8)>a</a>",
    "<iframe xss srcdoc='<script>top.hit(9)</script>'></iframe>",
    "</textarea></title></style><xss onclick=hit(10)>",
    "{{7*7}}{% csrf_token %}${hit(11)}<%=7*7%>",
    "<!--<xss>--!><math xss><mtext><xss>&lt;img src=x onerror=hit(12)&gt;",
    "a\u2028<xss>hit(13)\u2029b\u202ec\u0085d",
    "=HYPERLINK(\"https://evil.example\")<xss>+cmd|' /C calc'!A0",
)
HALVES = (PAYLOADS[:7], PAYLOADS[7:])  # a prompt has 300 characters
FIRST, SECOND = ("\n".join(half) for half in HALVES)
ALL = f"{FIRST}\n{SECOND}"
SHORT = '"><img xss src=x onerror=hit(20)>'  # where few characters fit
LOCAL = '"<img/xss/src=x/onerror=hit(21)>"'  # what is before the @: no spaces there
# Before any script of the page's: what ran, and what the policy had to stop, which is too late.
WATCH = """
window.hits = [];
window.hit = (which) => { window.hits.push(which); };
for (const name of ['alert', 'confirm', 'prompt']) {
  window[name] = () => { window.hits.push(name); };
}
document.addEventListener('securitypolicyviolation', (event) => {
  if (event.disposition === 'enforce') {
    window.hits.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
  }
});
"""
TAKEN_FOR_MORE = """
() => [...document.querySelectorAll('xss, [xss], [onerror], [onload], [onfocus], [onclick]')]
  .map((element) => element.outerHTML)
  .concat([...document.querySelectorAll('a, form, iframe')]
    .map((each) => each.href || each.action || each.src || '')
    .filter((address) => /^\\s*(javascript|data|vbscript):/i.test(address)))
"""
SHOWN = """
(texts) => {
  const said = document.documentElement.textContent
    + [...document.querySelectorAll('input, textarea')].map((field) => field.value).join(' ')
    + [...document.querySelectorAll('[title], [aria-label]')]
      .map((each) => `${each.title} ${each.getAttribute('aria-label')}`).join(' ');
  return texts.filter((text) => !said.includes(text));
}
"""
# No page: files, programs' addresses, and the end of the session.
SKIPPED = {"job_file", "headless:app:config", "admin:logout", "account_logout"}
SKIPPED |= {"admin:jobs_job_diagnosis", "admin:jobs_job_preview", "job_recipe"}
# Where the words of people are shown, which stand there as they were typed.
SHOWS = {
    "home": PAYLOADS,
    "job": HALVES[0],
    "tokens": (SHORT,),
    "webhooks": (SHORT,),
    "webhook": (SHORT,),
    "workspace": (SHORT,),
    "workspaces": (SHORT,),
    "members": (SHORT, LOCAL),
    "audit": (LOCAL,),
    "queue": (SHORT,),
    "admin:accounts_workspace_changelist": (SHORT,),
    "admin:accounts_apitoken_changelist": (SHORT,),
    "admin:accounts_auditentry_changelist": (LOCAL,),
    "admin:jobs_job_changelist": (PAYLOADS[0],),
    "admin:jobs_job_change": HALVES[0],
    "admin:jobs_worker_changelist": (SHORT,),
    "admin:accounts_user_changelist": (LOCAL,),
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    site: Server
    session: str  # of an administrator who owns the workspace: sees every page
    pages: list[tuple[str, str]]  # name and address of whatever a browser shows
    running: Claim


def _pages(things: Things) -> Iterator[tuple[str, str]]:
    """All that the table of access lets an administrator look at, and an address of nothing."""
    known = table.read()
    for route in routes():
        answers = table.expected(known, route, "GET") or {}
        looked_at = route.area in {"pages", "allauth", "console"} and route.name not in SKIPPED
        if looked_at and answers.get("administrator") in {"ok", "away"}:
            values = things.values(route.name)
            yield route.name, route.address({name: quote(values[name]) for name in values})
    yield "nothing", f"/{quote(SHORT)}?next={quote(SHORT)}"


@pytest.fixture
def stage(transactional_db: None, empty_redis: redis.Redis, tmp_path: Path) -> Iterator[Stage]:
    """Whatever takes text holds a payload."""
    site = Server("daphne", tmp_path / "web.log")
    ada = User.objects.create(
        email=f"{LOCAL}@example.com", role=SiteRole.ADMINISTRATOR, is_staff=True
    )
    EmailAddress.objects.create(user=ada, email=ada.email, verified=True, primary=True)
    studio = workspaces.current(ada)
    Workspace.objects.filter(pk=studio.pk).update(name=SHORT)
    things = things_of(ada, studio, tmp_path, text=SHORT, prompt=FIRST)
    running = _running(ada)
    broken = _running(ada)
    actions.fail(broken, code="bad", message=ALL, permanent=True)
    session = signed_in(ada)
    with serving(site):
        yield Stage(site=site, session=session, pages=list(_pages(things)), running=running)


def _running(owner: User) -> Claim:
    """A new job of theirs, in a worker's hands: whatever waited before has ended."""
    Job.objects.filter(state="queued").update(run_at=Now() + timedelta(days=1))
    worker.submit(owner, SECOND)
    return worker.claim()


@pytest.fixture
def page(stage: Stage) -> Iterator[Page]:
    """Django's database stays outside: Playwright has a loop of its own in this thread."""
    with chromium() as browser:
        context = browser.new_context(base_url=stage.site.url)
        context.add_init_script(WATCH)
        cookie = {"name": stage.site.cookie_name, "value": stage.session, "url": stage.site.url}
        context.add_cookies([cookie])  # type: ignore[list-item]  # a TypedDict
        yield context.new_page()
        context.close()


def _wrong(page: Page, name: str) -> list[str]:
    """What ran or would have, and what is not there as it was typed."""
    found: list[Any] = page.evaluate("window.hits") + page.evaluate(TAKEN_FOR_MORE)
    missing = page.evaluate(SHOWN, SHOWS.get(name, ()))
    return [f"{name}: {each}" for each in [*found, *(f"{each!r} is not shown" for each in missing)]]


def _elsewhere(act: Callable[[], object]) -> None:
    """In a thread without a loop, as Django's database wants it."""

    def run() -> None:
        act()
        connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(run).result()


def test_whatever_people_and_models_say_is_text_on_every_page(stage: Stage, page: Page) -> None:
    wrong, seen = [], 0
    for name, address in stage.pages:
        answer = page.goto(address)
        assert answer is not None
        assert answer.status < 500, address
        wrong += _wrong(page, name)
        seen += answer.status == 200
    assert wrong == []
    assert seen > 30


def test_what_a_worker_says_while_somebody_looks_is_text(stage: Stage, page: Page) -> None:
    page.goto(f"/jobs/{stage.running.job}/")
    _elsewhere(lambda: worker.tick(stage.running, 3, phase=SHORT))
    _elsewhere(lambda: actions.fail(stage.running, code="bad", message=ALL, permanent=True))
    expect(page.locator("#badge")).to_have_text("Failed", timeout=30_000)
    expect(page.locator("main")).to_contain_text(PAYLOADS[0])
    assert _wrong(page, "job") == []
