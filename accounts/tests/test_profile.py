"""A person's profile: how they appear, and in whose time the server writes."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import actions, zones
from accounts.agents import agent_words
from accounts.errors import BadFields
from accounts.models import AuditEntry, User
from accounts.roles import Role
from accounts.tests.conftest import Team

PAGE = "/settings/profile"
GOOD = {"name": "Alice Ng", "time_zone": "Asia/Kathmandu", "date_style": "sv-SE"}

pytestmark = pytest.mark.django_db


def fresh(user: User) -> User:
    return User.objects.get(pk=user.pk)


def test_a_name_stands_where_people_are_listed_and_the_address_beside_it(
    team: Team, client: Client
) -> None:
    team.join(team.bob, Role.VIEWER)
    client.force_login(team.alice)
    assert client.get("/settings/").url == PAGE  # type: ignore[attr-defined]
    assert client.post(PAGE, GOOD).status_code == 302
    me = client.get("/api/v1/me").json()
    assert (me["name"], me["email"]) == ("Alice Ng", "alice@example.com")
    entry = AuditEntry.objects.get(verb="profile.changed")
    assert entry.data == {"was": "", "name": "Alice Ng"}
    client.post(PAGE, {**GOOD, "time_zone": ""})
    assert AuditEntry.objects.filter(verb="profile.changed").count() == 1  # the same name
    client.force_login(team.bob)
    page = client.get(f"/settings/workspaces/{team.workspace.slug}/members").content.decode()
    assert '<strong title="alice@example.com">Alice Ng</strong>' in page
    assert '<strong title="bob@example.com">bob@example.com</strong>' in page


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"name": "bob@example.com"}, "name", "no @"),  # passes for nobody else
        ({"name": "two\nlines"}, "name", "in one line"),
        ({"name": "\u202ecila"}, "name", "in one line"),
        ({"name": "x" * 81}, "name", "at most 80"),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "from the list"),
        ({"time_zone": "localtime"}, "time_zone", "from the list"),
        ({"date_style": "tlh"}, "date_style", "not one of"),
    ],
)
def test_nonsense_is_refused_at_its_field_and_changes_nothing(
    change: dict[str, str], field: str, words: str, alice: User, client: Client
) -> None:
    client.force_login(alice)
    answer = client.post(PAGE, GOOD | change)
    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == [field]
    assert words in answer.content.decode()
    assert (fresh(alice).name, fresh(alice).time_zone) == ("", "")


def test_an_action_refuses_what_no_form_lets_through(alice: User) -> None:
    with pytest.raises(BadFields) as refused:
        actions.set_profile(alice, name="Al", time_zone="GB", date_style="tlh")
    assert set(refused.value.fields) == {"time_zone", "date_style"}


def test_pages_are_written_in_the_viewers_zone_and_programs_read_utc(
    alice: User, bob: User, client: Client
) -> None:
    seen: list[str] = []

    def answer(request: Any) -> Any:
        seen.append(timezone.get_current_timezone_name())

    asked = zones.ViewersZone(answer)
    actions.set_profile(alice, **GOOD)
    for user, path in ((alice, PAGE), (bob, PAGE), (alice, "/api/v1/me"), (alice, "/admin/")):
        request = client.get("/healthz/live").wsgi_request
        request.path, request.user = path, user
        asked(request)
    assert seen == ["Asia/Kathmandu", "UTC", "UTC", "UTC"]
    assert timezone.get_current_timezone_name() == "UTC"
    # A zone that went out of the database is none, and no error.
    User.objects.filter(pk=alice.pk).update(time_zone="Gone/Away")
    client.force_login(alice)
    assert client.get(PAGE).status_code == 200


def test_a_time_in_a_filter_of_the_audit_log_is_the_viewers(alice: User, client: Client) -> None:
    actions.set_profile(alice, **GOOD)
    client.force_login(alice)
    page = client.get("/settings/audit", {"since": "2026-01-01T05:45"})
    assert "(Asia/Kathmandu)" in page.content.decode()
    assert page.context["exported"]["since"] == "2026-01-01T05:45:00"
    client.post("/settings/audit/export", {**page.context["exported"], "kind": "csv"})
    entry = AuditEntry.objects.get(verb="audit.exported")
    assert entry.data["of_since"] == "2026-01-01T00:00:00"  # UTC: others read it


def test_the_settings_are_one_place_and_say_where_one_is(team: Team, client: Client) -> None:
    team.join(team.bob, Role.VIEWER)

    def ways(path: str) -> tuple[list[str], list[str]]:
        groups = client.get(path).context["groups"]
        links = [link for group in groups for link in group.links]
        return [link.words for link in links], [link.words for link in links if link.current]

    client.force_login(team.alice)
    personal = ["Profile", "Security", "Notifications", "Tokens", "Webhooks"]
    common = ["General", "Members", "Usage and quotas"]
    place = f"/settings/workspaces/{team.workspace.slug}"
    for path, current in {
        PAGE: "Profile",
        "/settings/notifications": "Notifications",
        "/settings/security": "Security",
        "/accounts/email/": "Security",
        "/settings/tokens": "Tokens",
        "/settings/webhooks": "Webhooks",
        place: "General",
        f"{place}/members": "Members",
        "/settings/usage": "Usage and quotas",
        "/settings/audit": "Audit",
        "/settings/workspaces": "All workspaces",
    }.items():
        found = ways(path)
        assert found == ([*personal, *common, "Audit", "All workspaces"], [current]), path
    client.force_login(team.bob)
    assert ways(PAGE)[0] == [*personal, *common, "All workspaces"]


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge on Windows",
        ),
        ("curl/8.5.0", "curl"),
        ("my own <b>thing</b>", "my own <b>thing</b>"),
        ("", "An unknown program"),
    ],
)
def test_a_session_is_told_by_its_browser_and_system(agent: str, words: str) -> None:
    assert agent_words(agent) == words
