"""What administrators see of people in the console, and what they do to them."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.internal.flows.login import record_authentication
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import actions as accounts
from accounts.errors import LastAdministrator
from accounts.models import ApiToken, AuditEntry, Invitation, Membership, User, Workspace
from accounts.roles import Role, Scope, SiteRole

pytestmark = pytest.mark.django_db

LISTS = ("workspace", "user", "apitoken", "invitation", "auditentry")
WHY = {"reason": "it was asked for"}


def fresh(user: User) -> Client:
    """A browser in which they have just proved who they are once more."""
    client = Client()
    client.force_login(user)
    request: Any = SimpleNamespace(session=client.session, user=user)
    record_authentication(request, user, "password", reauthenticated=True)
    request.session.save()
    return client


@pytest.fixture
def desk(ada: User) -> Client:
    return fresh(ada)


@pytest.fixture
def token(alice: User) -> ApiToken:
    made: ApiToken = accounts.issue_token(alice, name="her program", scopes=[Scope.JOBS_READ])[0]
    return made


@pytest.fixture
def invited(workspace: Workspace) -> Invitation:
    return Invitation.objects.create(
        workspace=workspace,
        email="dana@example.com",
        role=Role.VIEWER,
        digest="d" * 64,
        expires_at="2100-01-01T00:00Z",
    )


@pytest.fixture
def pages(
    alice: User, workspace: Workspace, token: ApiToken, invited: Invitation
) -> dict[str, str]:
    """Every page about people; those that ask end with a verb."""
    member = Membership.objects.get(workspace=workspace, user=alice)
    user, place = f"/admin/accounts/user/{alice.pk}", f"/admin/accounts/workspace/{workspace.pk}"
    asking = {verb: f"{user}/{verb}/" for verb in ("role", "close", "open", "end-sessions")}
    return {
        **{name: f"/admin/accounts/{name}/" for name in LISTS},
        "one user": f"{user}/change/",
        "one workspace": f"{place}/change/",
        **asking,
        "withdraw": f"/admin/accounts/invitation/{invited.pk}/withdraw/",
        "revoke": f"/admin/accounts/apitoken/{alice.pk}/{token.token_key}/revoke/",
        "quotas": f"{place}/quotas/",
        "quotas of one": f"/admin/accounts/workspace/member/{member.pk}/quotas/",
    }


def test_people_are_for_administrators_alone(
    pages: dict[str, str], desk: Client, olga: User, charlie: User
) -> None:
    members = Client()
    members.force_login(charlie)
    for name, where in pages.items():
        assert desk.get(where).status_code == 200, name
        for other in (fresh(olga), members):
            assert other.get(where).status_code == 403, name
            assert other.post(where, WHY).status_code == 403, name
        assert Client().get(where)["Location"].startswith("/admin/login/"), name
    assert not AuditEntry.objects.filter(data__has_key="reason").exists()


def test_there_is_no_way_to_write_a_row_or_to_read_a_secret(
    pages: dict[str, str], desk: Client, alice: User, token: ApiToken
) -> None:
    secrets = (token.digest, alice.password, "d" * 64)
    for name, where in pages.items():
        page = desk.get(where).content.decode()
        assert not any(secret in page for secret in secrets), name
        assert 'name="_save"' not in page, name
    entry = AuditEntry.objects.order_by("pk").first()
    assert entry is not None
    for name, key in (("apitoken", token.pk), ("auditentry", entry.pk), ("invitation", 1)):
        for verb in ("change", "delete"):
            assert desk.get(f"/admin/accounts/{name}/{key}/{verb}/").status_code == 404
    for name in LISTS:
        assert desk.get(f"/admin/accounts/{name}/add/").status_code in {403, 404}
    for name in ("user", "workspace"):
        where = pages[f"one {name}"]
        assert desk.post(where, {"role": "administrator", "email": "x@y.z"}).status_code == 403
        assert desk.post(where.replace("change", "delete"), {"post": "yes"}).status_code == 403
    answer = desk.get(f"/admin/accounts/user/{alice.pk}/password/", follow=True)
    assert b'type="password"' not in answer.content


def test_what_is_done_to_people_needs_a_sign_in_of_the_last_minutes(
    pages: dict[str, str], ada: User, alice: User
) -> None:
    stale = Client()
    stale.force_login(ada)
    for name in sorted(set(pages) - {*LISTS, "one user", "one workspace"}):
        for answer in (stale.get(pages[name]), stale.post(pages[name], WHY)):
            assert answer["Location"].startswith("/accounts/reauthenticate/"), name
    alice.refresh_from_db()
    assert alice.is_active
    assert ApiToken.objects.exists()


def test_nothing_is_done_without_a_reason_and_each_reason_is_audited(
    pages: dict[str, str], desk: Client, ada: User, alice: User, token: ApiToken
) -> None:
    her = Client()
    her.force_login(alice)
    verbs: list[tuple[str, dict[str, Any], str]] = [
        ("withdraw", {}, "invitation.withdrawn"),
        ("role", {"role": "operator"}, "user.role_changed"),
        ("end-sessions", {}, "user.sessions_ended"),
        ("revoke", {}, "token.revoked"),
        ("close", {}, "user.closed"),
        ("open", {}, "user.opened"),
        ("quotas", {"max_running": "2"}, "quota.changed"),
        ("quotas of one", {"max_queued": "7"}, "quota.changed"),
    ]
    for name, data, verb in verbs:
        before = AuditEntry.objects.filter(verb=verb).count()
        assert b"This field is required." in desk.post(pages[name], data).content
        assert AuditEntry.objects.filter(verb=verb).count() == before, name
        assert desk.post(pages[name], data | WHY).status_code == 302, name
        entry = AuditEntry.objects.filter(verb=verb).latest("pk")
        assert (entry.actor_id, entry.data["reason"]) == (ada.pk, WHY["reason"])
        if name == "end-sessions":
            assert her.get("/settings/tokens").status_code == 302
    alice.refresh_from_db()
    assert (alice.role, alice.is_staff, alice.is_active) == (SiteRole.OPERATOR, True, True)
    assert not ApiToken.objects.exists()
    subjects = AuditEntry.objects.filter(verb="quota.changed").order_by("pk")
    member = Membership.objects.select_related("workspace").get(user=alice)
    assert list(subjects.values_list("subject", flat=True)) == [member.workspace.slug, alice.email]
    assert (member.workspace.max_running, member.max_queued) == (2, 7)
    assert (member.workspace.max_queued, member.max_running) == (None, None)


def test_an_administrator_always_remains(desk: Client, ada: User, bob: User) -> None:
    mine = f"/admin/accounts/user/{ada.pk}"
    for verb, data in (("role", {"role": "member"}), ("close", {})):
        assert b"the last administrator" in desk.post(f"{mine}/{verb}/", data | WHY).content
    accounts.set_site_role(bob.pk, SiteRole.ADMINISTRATOR, by=ada, reason="holidays")
    assert desk.post(f"{mine}/role/", {"role": "member"} | WHY).status_code == 302
    assert desk.get("/admin/").status_code == 403
    ada.refresh_from_db()
    assert (ada.role, ada.is_staff) == (SiteRole.MEMBER, False)


@pytest.mark.django_db(transaction=True)
def test_of_two_administrators_who_take_the_role_from_each_other_one_remains(
    ada: User, bob: User
) -> None:
    both = User.objects.filter(pk__in=(ada.pk, bob.pk))
    start = threading.Barrier(2)

    def take(whose: User, by: User) -> bool:
        connection.ensure_connection()
        start.wait(60)
        try:
            accounts.set_site_role(whose.pk, SiteRole.MEMBER, by=by, reason="a quarrel")
        except LastAdministrator:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as threads:
        for _ in range(10):
            both.update(role=SiteRole.ADMINISTRATOR)
            assert sorted(threads.map(take, (ada, bob), (bob, ada))) == [False, True]


def test_sessions_that_were_ended_stay_so_and_a_new_one_is_good(alice: User, ada: User) -> None:
    old = Client()
    old.force_login(alice)
    accounts.end_sessions(alice.pk, by=ada, reason="a lost laptop")
    assert old.get("/settings/tokens").status_code == 302
    alice.refresh_from_db()
    new = Client()
    new.force_login(alice)
    assert new.get("/settings/tokens").status_code == 200


# --- Lists at size --------------------------------------------------------------------------------

MANY = 20_000  # twice what lists count to; with 100,000 it holds as well, and takes 10 s


CROWD = """
INSERT INTO accounts_user
    (password, is_superuser, first_name, last_name, is_staff, is_active, date_joined, email, role)
    SELECT '!', false, '', '', false, true, now(), 'u' || n || '@crowd.test', 'member'
    FROM generate_series(1, %(many)s) AS n;
INSERT INTO accounts_workspace (name, slug, created_at)
    SELECT 'w', 'w-' || n, now() FROM generate_series(1, %(many)s) AS n;
ANALYZE accounts_user, accounts_workspace;
INSERT INTO accounts_membership (workspace_id, user_id, role, joined_at)
    SELECT w.id, u.id, 'owner', now() FROM accounts_user AS u JOIN accounts_workspace AS w
    ON u.email = 'u' || substr(w.slug, 3) || '@crowd.test';
INSERT INTO accounts_apitoken (digest, token_key, user_id, created, name, scopes)
    SELECT 'x' || n, 't2v_' || n, %(alice)s, now() - n * interval '1 minute', 'x', '{jobs:read}'
    FROM generate_series(1, %(many)s) AS n;
INSERT INTO accounts_invitation (workspace_id, email, role, digest, created_at, expires_at)
    SELECT id, 'i' || substr(slug, 3) || '@crowd.test', 'viewer', md5(id::text), now(), now()
    FROM accounts_workspace WHERE slug LIKE 'w-%%';
INSERT INTO accounts_auditentry
    (at, verb, actor_id, actor, workspace, subject, via, request_id, data)
    SELECT now() - n * interval '1 minute', 'user.closed', n, 'u' || n || '@crowd.test', '',
        's' || n, 'session', '', '{}' FROM generate_series(1, %(many)s) AS n;
ANALYZE accounts_user, accounts_workspace, accounts_membership, accounts_apitoken,
    accounts_invitation, accounts_auditentry;
"""


@pytest.fixture
def many(ada: User, alice: User) -> None:
    """So many of each, made by the database."""
    with connection.cursor() as cursor:
        cursor.execute(CROWD, {"many": MANY, "alice": alice.pk})


def _read(queries: CaptureQueriesContext) -> Iterator[tuple[int, str]]:
    """Of each query: how many rows the database looked at, whatever it gave back."""
    for query in list(queries.captured_queries):
        if not query["sql"].startswith("SELECT"):
            continue
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query['sql']}")
            (found,) = cursor.fetchone()
        (plan,) = json.loads(found) if isinstance(found, str) else found
        yield _scanned(plan["Plan"]), query["sql"]


def _scanned(node: dict[str, Any]) -> int:
    """Rows that scans gave or threw away."""
    below = sum(_scanned(each) for each in node.get("Plans", ()))
    if "Scan" not in node["Node Type"] or node["Node Type"].startswith("Bitmap Heap"):
        return below
    gone = node.get("Rows Removed by Filter", 0)
    return below + int((node["Actual Rows"] + gone) * node["Actual Loops"])


SEARCHES = {
    "user": (
        "",
        "?q=U777@crowd.test",
        "?q=u777@",
        "?standing=staff",
        "?standing=closed",
        "?o=2",
        "?p=9",
    ),
    "workspace": ("", "?q=w-777", "?q=u777@crowd.test", "?p=9"),
    "apitoken": ("", "?q=t2v_777", "?q=u777@crowd.test", "?p=9"),
    "invitation": ("", "?q=w-777", "?q=i777@crowd.test"),
    "auditentry": ("", "?q=u777@crowd.test", "?q=s777", "?p=9"),
}


def test_no_list_reads_more_than_it_counts_to(many: None, desk: Client) -> None:
    """A page and the count of up to COUNTED: nothing grows with the table."""
    for name, searches in SEARCHES.items():
        for search in searches:
            with CaptureQueriesContext(connection) as queries:
                answer = desk.get(f"/admin/accounts/{name}/{search}")
            assert answer.status_code == 200, (name, search)
            assert len(queries) <= 8, (name, search)
            most = 10_100 if search in {"", "?p=9", "?o=2"} else 200
            for rows, sql in _read(queries):
                assert rows <= most, (name, search, rows, sql)
