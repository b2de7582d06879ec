"""Who may read the audit log, what the filters find, and what an export holds."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import AsyncClient, Client

from accounts import actions as accounts
from accounts import audit, audit_export, audit_list
from accounts.audit_list import Wanted
from accounts.errors import BadFields
from accounts.models import AuditEntry, User, Workspace
from accounts.roles import Role, Scope

pytestmark = pytest.mark.django_db
API, PAGE, EXPORT = "/api/v1/audit", "/settings/audit", "/settings/audit/export"


@pytest.fixture
def told(alice: User, workspace: Workspace) -> None:
    """Five entries in alice's workspace, one in no workspace."""
    for number in range(5):
        audit.record("x.done", actor=alice, workspace=workspace, subject=f"s{number}", n=number)
    audit.record("y.done", actor=None, subject="of the site")


@sync_to_async
def told_of(actor: User, workspace: Workspace | None, *, subject: str = "", **data: int) -> None:
    audit.record("x.done", actor=actor, workspace=workspace, subject=subject, **data)


def reader(user: User, *scopes: Scope) -> Client:
    _, token = accounts.issue_token(user, name="x", scopes=scopes or (Scope.ADMIN,))
    return Client(headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def cast(bob: User, charlie: User, olga: User, ada: User) -> list[User]:
    return [bob, charlie, olga, ada]


def test_managers_and_owners_read_their_own_workspace_and_administrators_all(
    told: None,
    alice: User,
    cast: list[User],
    workspace: Workspace,
    join: Callable[[User, Role], None],
) -> None:
    bob, charlie, olga, ada = cast
    hers = f"?workspace={workspace.slug}"
    site = "?scope=site"
    join(bob, Role.CREATOR)
    expected = [
        # (who, address, page, API with the scope admin or None where no such token is made)
        (alice, "", 200),
        (alice, hers, 200),
        (alice, site, 403),
        (bob, hers, 403),
        (charlie, hers, 404),
        (charlie, "?workspace=no-such", 404),
        (olga, hers, 404),
        (olga, site, 403),
        (ada, hers, 200),
        (ada, site, 200),
    ]
    clients: dict[int, tuple[Client, Client]] = {}
    for who, query, status in expected:
        if who.pk not in clients:
            browser = Client()
            browser.force_login(who)
            clients[who.pk] = (browser, reader(who))
        browser, program = clients[who.pk]
        assert browser.get(PAGE + query).status_code == status, (who, query)
        assert program.get(API + query).status_code == status, (who, query)
        given = dict(part.split("=") for part in query.removeprefix("?").split("&") if part)
        if status != 200:
            assert browser.post(EXPORT, given).status_code == status, (who, query)
    assert Client().get(PAGE).status_code == 302
    assert Client().get(API).status_code == 401
    answer = reader(alice, Scope.JOBS_READ).get(API)
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    page = clients[alice.pk][0].get(PAGE).content.decode()
    assert "of the site" not in page
    assert page.count("x.done") == 5
    assert 'href="/settings/audit"' in page
    assert "of the site" in clients[ada.pk][0].get(PAGE + site).content.decode()


def test_the_filters_find_what_they_say_and_refuse_nonsense_at_its_field(
    told: None, alice: User, workspace: Workspace, client: Client
) -> None:
    client.force_login(alice)
    program = reader(alice)

    def subjects(**query: Any) -> list[str]:
        answer = program.get(API, query)
        assert answer.status_code == 200, answer.content
        return [entry["subject"] for entry in answer.json()["results"]]

    everything = subjects()
    assert everything == ["s4", "s3", "s2", "s1", "s0", workspace.name]
    assert subjects(verb="x.done", limit=2) == ["s4", "s3"]
    assert subjects(verb="x") == []
    assert subjects(subject="s3") == ["s3"]
    assert subjects(actor="Alice@Example.com ") == everything
    assert subjects(actor="bob@example.com") == []
    assert subjects(since="2000-01-01T00:00") == everything
    assert subjects(until="2000-01-01T00:00+02:00") == []
    assert subjects(since="9999-12-31T23:59:59Z") == []
    assert subjects(request_id="req_nothing") == []
    key = client.post(EXPORT, {"kind": "csv"})["X-Request-ID"]
    assert subjects(request_id=key) == subjects(request_id=f"req_{key}") == ["csv"]
    for name, value in (
        ("since", "yesterday"),
        ("until", "2026-13-01"),
        ("verb", "x" * 300),
        ("actor", "\x00"),
        ("cursor", "nonsense"),
        ("cursor", "bm9uc2Vuc2U"),
    ):
        answer = program.get(API, {name: value})
        assert answer.status_code == 400, (name, value)
        assert list(answer.json()["fields"]) == [name]
        page = client.get(PAGE, {name: value})
        assert page.status_code == 400
        assert answer.json()["fields"][name] in page.content.decode()
    for query in ({"limit": "0"}, {"limit": "x"}, {"scope": "all"}, {"page": "2"}):
        assert program.get(API, query).status_code == 400
    assert program.get(API, {"limit": "9999"}).status_code == 200


def test_pages_hold_each_entry_once_also_while_others_are_written(
    alice: User, workspace: Workspace
) -> None:
    with connection.cursor() as cursor:  # all at the same moment
        cursor.execute(
            "INSERT INTO accounts_auditentry"
            " (verb, actor, workspace_id, workspace, subject, via, request_id, data)"
            " SELECT 'x.done', '', %s, '', n, '', '', '{}' FROM generate_series(0, 6) n",
            [workspace.pk],
        )
    program, seen = reader(alice), list[str]()
    where: str | None = f"{API}?verb=x.done&limit=3"
    while where is not None:
        answer = program.get(where).json()
        seen += [entry["subject"] for entry in answer["results"]]
        where = answer["next"]
        audit.record("x.done", actor=alice, workspace=workspace, subject="late")
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    wanted = Wanted.read({"since": "2026-11-26T07:00+02:00", "until": "2026-11-26T05:00:01"})
    assert wanted.since == datetime(2026, 11, 26, 5, tzinfo=UTC)
    assert Wanted.read(wanted.as_query()) == wanted
    with pytest.raises(BadFields):
        Wanted.read({"since": "0001-01-01T00:00+10:00"})


@pytest.mark.parametrize(
    "nasty",
    [
        '=HYPERLINK("http://x","y")',
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "  =1+1",
        "|cmd",
        "＝1+1",
    ],
)
def test_no_cell_is_a_formula_and_each_entry_is_one_line(nasty: str) -> None:
    written = audit_export.cell(nasty)
    assert written.startswith("'")
    assert "\r" not in written
    assert audit_export.cell("a\r\nb\nc") == "a\\r\\nb\\nc"
    assert audit_export.cell("a@b") == "a@b"
    assert audit_export.cell(None) == ""


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_an_export_holds_what_the_page_shows_and_is_recorded_itself(
    async_db: None, kind: str, alice: User, workspace: Workspace
) -> None:
    subject = '=1+1\r\n"quoted", x'
    for number in range(3):
        await told_of(alice, workspace, subject=subject, n=number)
    await told_of(alice, None, subject="foreign")
    browser = AsyncClient()
    await browser.aforce_login(alice)
    asked = {"kind": kind, "verb": "x.done", "workspace": workspace.slug}
    answer: Any = await browser.post(EXPORT, asked)
    text = b"".join([part async for part in answer.streaming_content]).decode()
    assert answer.status_code == 200
    assert re.fullmatch(
        rf'attachment; filename="audit-{workspace.slug}-\d{{4}}-\d\d-\d\d\.{kind}"',
        answer["Content-Disposition"],
    )
    assert "no-store" in answer["Cache-Control"]
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(text.splitlines()) == 4
        assert {row["subject"] for row in rows} == {"'" + subject.replace("\r\n", "\\r\\n")}
        assert [json.loads(row["data"]) for row in rows] == [{"n": 2}, {"n": 1}, {"n": 0}]
    else:
        lines = [json.loads(line) for line in text.splitlines()]
        assert [(line["subject"], line["data"]) for line in lines] == [
            (subject, {"n": 2}),
            (subject, {"n": 1}),
            (subject, {"n": 0}),
        ]
    assert "foreign" not in text
    entry = await AuditEntry.objects.aget(verb="audit.exported")
    assert (entry.actor, entry.subject, entry.data) == (alice.email, kind, {"of_verb": "x.done"})


async def test_an_export_ends_at_its_bound_and_says_so(
    async_db: None, alice: User, workspace: Workspace
) -> None:
    for number in range(5):
        await told_of(alice, workspace, n=number)
    entries = Wanted(verb="x.done").among(AuditEntry.objects.all())

    async def lines(most: int) -> list[str]:
        parts = [part async for part in audit_export.stream(entries, "jsonl", most=most)]
        return b"".join(parts).decode().splitlines()

    cut, whole = await lines(3), await lines(5)
    assert (len(cut), list(json.loads(cut[-1]))) == (4, ["cut"])
    assert len(whole) == 5


def test_an_export_is_asked_for_by_a_form_with_the_pages_own_token(alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.get(EXPORT).status_code == 405
    assert strict.post(EXPORT, {"kind": "csv"}).status_code == 403
    plain = Client()
    plain.force_login(alice)
    assert plain.post(EXPORT, {"kind": "exe"}).status_code == 400
    assert plain.post(EXPORT, {"since": "x"}).status_code == 400


FILTERS: dict[str, dict[str, str]] = {
    "all": {},
    "verb": {"verb": "z.rare"},
    "actor": {"actor": "p77@example.com"},
    "subject": {"subject": "s777"},
    "request": {"request_id": "r777"},
    "time": {"since": "2026-01-02", "until": "2026-01-02T06:00"},
    "verb and time": {"verb": "z.often", "until": "2026-01-02T06:00"},
}


def test_a_page_reads_a_few_rows_of_fifty_thousand(workspace: Workspace) -> None:
    """Whatever is asked for, of a workspace or of the site, and deep in the list. (At 200,000 rows
    it was 204 blocks at the most, for one person's entries in one workspace.)"""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_auditentry"
            " (at, verb, actor, workspace_id, workspace, subject, via, request_id, data)"
            " SELECT timestamptz '2026-01-01' + n * interval '30 s',"
            " CASE WHEN n %% 5000 = 0 THEN 'z.rare' ELSE 'z.often' END,"
            " 'p' || n %% 1000 || '@example.com', CASE WHEN n %% 4 = 0 THEN %s END, '',"
            " 's' || n, 'session', 'r' || n, '{}' FROM generate_series(1, 50000) n",
            [workspace.pk],
        )
        cursor.execute("ANALYZE accounts_auditentry")
    middle = audit_list.place_of(AuditEntry.objects.get(subject="s25000"))
    for among in (AuditEntry.objects.all(), AuditEntry.objects.filter(workspace_id=workspace.pk)):
        for name, given in FILTERS.items():
            wanted = Wanted.read(given).among(among)
            for cursor_text in ("", middle):
                if cursor_text and name == "request":
                    continue
                entries = audit_list.after(wanted, cursor_text)[: audit_list.USUAL + 1]
                plan = json.loads(entries.explain(format="json", analyze=True, buffers=True))[0]
                blocks = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
                assert blocks < 300, (name, cursor_text, blocks)  # 8 kB each
                assert "Seq Scan" not in str(plan), name
