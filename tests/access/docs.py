"""The tables of docs/reference/access.md, made of expected.csv."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from django.conf import settings

from tests.access import table
from tests.access.routes import Route, routes
from tests.access.table import Table

PAGE = Path(settings.BASE_DIR) / "docs/reference/access.md"
BEGIN, END = "<!-- made by python -m tests.access write -->", "<!-- end of what is made -->"
WORDS = {"ok": "✓", "away": "✓", "bad": "✓", "login": "sign in", "no": "told no"}
SESSIONS = {
    "anonymous": "not signed in",
    "viewer": "viewer",
    "creator": "creator",
    "maker": "its maker",
    "manager": "manager",
    "owner": "owner",
    "other": "outsider",
    "operator": "operator",
    "administrator": "administrator",
}
TOKENS = {
    "anonymous": "none",
    "reads": "maker's `jobs:read`",
    "writes": "maker's `jobs:write`",
    "elsewhere": "maker's, of another workspace",
    "owner_token": "owner's, every scope",
    "plain_operator": "operator's, without `admin`",
    "admin_only": "operator's, `admin` alone",
}


def block() -> str:
    """Between the marks of the page."""
    known = table.read()
    ours = [route for route in routes() if route.ours]
    others = sorted(name for name in known if name.endswith("*") and "OPTIONS" not in known[name])
    parts = [
        "### By session",
        *_table(SESSIONS, _rows(known, (r for r in ours if r.area != "v1"), SESSIONS)),
        *_table(SESSIONS, _groups(known, others)),
        "### By token",
        *_table(
            TOKENS, _rows(known, (r for r in ours if r.area in {"jobs", "rest", "v1"}), TOKENS)
        ),
    ]
    return "\n".join([BEGIN, "", *parts, END])


def _table(columns: dict[str, str], rows: Iterator[str]) -> list[str]:
    heads = ["address", "name", "methods", *columns.values()]
    return ["", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *rows, ""]


def _rows(known: Table, which: Iterable[Route], columns: dict[str, str]) -> Iterator[str]:
    for route in which:
        own = {route.name: {m: a for m, a in known.get(route.name, {}).items() if m != "OPTIONS"}}
        for name, methods, answers in table.lines(own):
            yield _line(f"`/{route.pattern}`", name, methods, answers, columns)


def _groups(known: Table, names: list[str]) -> Iterator[str]:
    for name, methods, answers in table.lines({name: known[name] for name in names}):
        yield _line("–", name, methods, answers, SESSIONS)


def _line(
    address: str, name: str, methods: str, answers: table.Answers, columns: dict[str, str]
) -> str:
    said = [WORDS.get(answers.get(who, ""), answers.get(who, "–")) for who in columns]
    return f"| {' | '.join([address, f'`{name}`', methods, *said])} |"


def written() -> str:
    """The page as it is to be."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return before + block() + rest.partition(END)[2]


def write() -> None:
    PAGE.write_text(written(), encoding="utf-8")
