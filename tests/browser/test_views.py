"""The list of views: it has every page of the site, and no page asks the database too often."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from allauth.account.models import EmailAddress
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import Resolver404, resolve

from accounts import actions as accounts
from accounts import workspaces
from accounts.models import Membership, User, Workspace
from accounts.roles import Role, Scope
from conftest import sign_in
from jobs.webhooks import endpoints
from tests.access import table
from tests.access.routes import routes
from tests.access.things import KEY, jobs_of, things_of
from tests.browser.scenery import NAMES
from tests.browser.views import VIEWS, View

# Pages that nobody looks at in tests/browser, and why.
ELSEWHERE = {
    "account_logout": "a question for browsers without scripts; its button posts",
    "estimate": "a part of the studio, for its script",
    "unfinished": "a part of the studio, for its script",
    "job_outlook": "a part of a job's page, for its script",
    "job_recipe": "a file",
    "library_cards": "a part of the library, for its script",
    "shelf_tags": "JSON for a script",
    "shelf_zip": "a file",
    "health_live": "a word for machines",
    "health_ready": "a word for machines",
    "metrics": "numbers for machines",
    "job_file": "a file",
    "audit_export": "a file",
    "queue_before": "leads to the page of the queue",
    "second_factors": "leads to the page of security",
    "mfa_index": "leads to the page of security",
    "mfa_authenticate": "only in the middle of a sign-in: tests/browser/test_signin.py",
    "mfa_login_webauthn": "JSON for a script",
    "mfa_list_recovery_codes": "not served",
    "socialaccount_signup": "leads away: strangers sign up by the mail that their provider vouches",
    "usersessions_list": "leads to the page of security",
    "sso_login": "leads to the provider: accounts/tests/test_sso.py",
    "sso_callback": "comes from the provider",
}
ELSEWHERE_LIKE = ("headless:", "admin:", "socialaccount_", "accounts/social/", "mfa_", "admin/")
# At the most, a page's own queries and those of the session, the account and the workspace.
QUERIES = 20
CONSOLE_QUERIES = 30  # of pages that Django's admin and unfold make
ROWS = 5  # more of each kind, which may cost no query


@pytest.fixture(autouse=True)
def _counted(empty_redis: redis.Redis) -> None:
    """Nobody has asked anything yet."""


def _blank() -> dict[str, str]:
    nobody = "00000000-0000-0000-0000-000000000007"
    numbers = dict.fromkeys(("member", "user", "workspace", "invitation"), "1")
    words = {"key": KEY, "slug": "demo-studio", "own": "own", "worker": "gpu-1", "prefix": "t2v_x"}
    return dict.fromkeys(NAMES, nobody) | numbers | words


def _route_of(view: View, values: Mapping[str, str]) -> str | None:
    path = view.path.format(**values).partition("?")[0]
    try:
        found = resolve(path)
    except Resolver404:
        return None
    if found.url_name is None:
        return found.route
    return f"{found.namespace}:{found.url_name}" if found.namespace else found.url_name


def test_every_page_of_the_site_is_among_the_views_or_has_a_reason() -> None:
    known = table.read()
    seen = {_route_of(view, _blank()) for view in VIEWS}
    missing = []
    for route in routes():
        answers = table.expected(known, route, "GET") or {}
        shown = route.area in {"pages", "allauth", "console"} and "ok" in answers.values()
        if not shown or route.name in seen or route.name in ELSEWHERE:
            continue
        if not route.name.startswith(ELSEWHERE_LIKE):
            missing.append(f"{route.name} ({route.pattern})")
    assert missing == []
    names = [view.name for view in VIEWS]
    assert sorted(names) == sorted(set(names))


@dataclass(frozen=True, kw_only=True)
class Small:
    """A site with one of each."""

    names: dict[str, str]
    clients: dict[str, Client]
    alice: User
    folder: Path
    team: Workspace


def _client(user: User) -> Client:
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    client = Client()
    sign_in(client, user)
    return client


@pytest.fixture
def people(alice: User, bob: User, olga: User, ada: User, charlie: User) -> dict[str, User]:
    """bob makes videos in alice's workspace."""
    team = workspaces.current(alice)
    bob.workspace = team
    bob.save(update_fields=["workspace"])
    Membership.objects.create(workspace=team, user=bob, role=Role.CREATOR)
    others = {name: User.objects.create(email=f"{name}@example.com") for name in ("vera", "new")}
    cast = {"alice": alice, "bob": bob, "olga": olga, "ada": ada, "charlie": charlie}
    return cast | {"vera": others["vera"], "newcomer": others["new"]}


@pytest.fixture
def small(people: dict[str, User], media: Path, tmp_path: Path) -> Small:
    alice, bob = people["alice"], people["bob"]
    team = workspaces.current(alice)
    things = things_of(alice, team, tmp_path)
    jobs = {
        name: str(job.pk)
        for names, job in (
            (
                ("running", "queued", "queued2", "delayed", "running2", "mates2"),
                things.jobs.waiting,
            ),
            (("failed", "parked", "cancelled", "expired", "retried"), things.jobs.cancelled),
        )
        for name in names
    }
    names = dict.fromkeys(NAMES, str(things.jobs.video.pk)) | _blank_words() | jobs
    names |= {
        "nobody": _blank()["nobody"],
        "hook": str(things.hook.pk),
        "delivery": str(things.told.pk),
        "prefix": things.token.token_key,
        "slug": team.slug,
        "own": team.slug,
        "workspace": str(team.pk),
        "user": str(bob.pk),
        "member": str(things.member.pk),
        "invitation": str(things.invitation.pk),
    }
    clients = {name: _client(user) for name, user in people.items()} | {"": Client()}
    return Small(names=names, clients=clients, alice=alice, folder=tmp_path, team=team)


def _blank_words() -> dict[str, str]:
    return {name: value for name, value in _blank().items() if not value.startswith("0000")}


def _more(small: Small) -> None:
    for number in range(ROWS):
        jobs_of(small.alice, small.team, small.folder, f"a green star, the {number}th")
        accounts.issue_token(small.alice, name=f"script {number}", scopes=[Scope.JOBS_READ])
        endpoints.create(
            small.alice, url=f"https://example.com/{number}", events=["job.succeeded"]
        )  # the first one has a delivery of each job that succeeds
        user = User.objects.create(email=f"mate-{number}@example.com")
        Membership.objects.create(workspace=small.team, user=user, role=Role.VIEWER)


def _counted_queries(small: Small) -> Iterator[tuple[str, int]]:
    """Of each address, as the person whose view it is; the second time that they come."""
    for who, path in dict.fromkeys((view.who, view.path) for view in VIEWS):
        client, address = small.clients[who], path.format(**small.names)
        client.get(address)
        with CaptureQueriesContext(connection) as seen:
            answer = client.get(address)
        assert answer.status_code < 500, address
        yield f"{path} as {who or 'nobody'}", len(seen)


def test_no_page_asks_the_database_more_often_when_there_is_more(small: Small) -> None:
    before = dict(_counted_queries(small))
    _more(small)
    after = dict(_counted_queries(small))
    grown = {page: (before[page], count) for page, count in after.items() if count > before[page]}
    assert grown == {}
    many = {
        page: count
        for page, count in after.items()
        if count > (CONSOLE_QUERIES if page.startswith("/admin/") else QUERIES)
    }
    assert many == {}
