"""expected.csv: who is answered how. One line for the methods of a route that answer alike.

A method without a line is closed: nobody is answered anything but a refusal. A name with a star
holds for all routes whose name begins so and that have no line of their own for that method.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.access.routes import Route

# HEAD is no line: it gives nobody more than GET does.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
FILE = Path(__file__).with_name("expected.csv")
REFUSED = frozenset({"login", "again", "no", "401", "403", "404", "405"})
# Of others' code, which answers alike all over; of ours only OPTIONS does.
GROUPS = ("admin:", "admin/", "headless:", "account_", "mfa_", "socialaccount_", "usersessions_")
OUR_GROUPS = ("api_", "v1_")

Answers = Mapping[str, str]  # kind of answer by person
Cells = dict[str, dict[str, str]]  # kind of answer by method and person
Table = dict[str, dict[str, Answers]]  # by the route's name or a group's, then by method


def is_closed(answers: Answers) -> bool:
    return set(answers.values()) <= REFUSED


def group_of(route: Route, method: str) -> str:
    """The rule that this method may fall under; empty where there is none."""
    if route.ours and method != "OPTIONS":
        return ""
    known = OUR_GROUPS if route.ours else GROUPS
    return next((f"{each}*" for each in known if route.name.startswith(each)), "")


def expected(table: Table, route: Route, method: str) -> Answers | None:
    """None where it is to be closed, by whatever refusal."""
    own = table.get(route.name, {}).get(method)
    found = table.get(group_of(route, method), {}).get(method) if own is None else own
    return None if found is None or is_closed(found) else found


def open_methods(table: Table, route: Route) -> list[str]:
    """Those that give somebody something."""
    return [method for method in METHODS if expected(table, route, method) is not None]


def brought_together(found: Mapping[Route, Mapping[str, Answers]]) -> Table:
    """found without what it goes without saying: what is closed, and what its group says."""
    votes: dict[tuple[str, str], list[Answers]] = {}
    for route, cells in found.items():
        for method, answers in cells.items():
            votes.setdefault((group_of(route, method), method), []).append(answers)
    table: Table = {}
    for (group, method), given in votes.items():
        if group:
            table.setdefault(group, {})[method] = max(given, key=given.count)
    for route, cells in found.items():
        for method, answers in cells.items():
            rule = table.get(group_of(route, method), {}).get(method)
            if answers != rule and not (is_closed(answers) and is_closed(rule or {})):
                table.setdefault(route.name, {})[method] = answers
        if route.name not in table and group_of(route, "GET") not in table:
            table[route.name] = {"GET": cells["GET"]}  # closed, but known
    return table


def lines(table: Table) -> Iterable[tuple[str, str, Answers]]:
    """Name, methods that answer alike, and how."""
    for name in sorted(table):
        together: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for method in METHODS:
            if method in table[name]:
                together.setdefault(tuple(table[name][method].items()), []).append(method)
        for answers, methods in together.items():
            yield name, " ".join(methods), dict(answers)


def write(table: Table, people: Iterable[str]) -> None:
    """An empty field: nobody asks so."""
    names = list(people)
    with FILE.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["route", "methods", *names])
        for name, methods, answers in lines(table):
            out.writerow([name, methods, *(answers.get(who, "") for who in names)])


def read() -> Table:
    table: Table = {}
    with FILE.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            name, methods = line.pop("route"), line.pop("methods")
            answers = {who: kind for who, kind in line.items() if kind}
            for method in methods.split():
                table.setdefault(name, {})[method] = answers
    return table
