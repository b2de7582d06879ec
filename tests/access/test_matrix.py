"""Every address × every method × everybody, as expected.csv says; and what is answered alike."""

import os
from collections.abc import Iterable

import pytest

from tests.access import docs, table
from tests.access.cast import PEOPLE, SIGNED_IN, STRONGEST, World
from tests.access.cells import comparable
from tests.access.routes import METHODS, Route, routes
from tests.access.table import Answers, Cells, Table

AREAS = ("pages", "jobs", "rest", "v1", "allauth", "console")  # so that processes share the work
FOUND: dict[Route, Cells] = {}  # by this process; python -m tests.access writes it down


def asked(everybody: World, route: Route, method: str) -> dict[str, str]:
    """The kind of answer by person."""

    def kinds(people: Iterable[str]) -> dict[str, str]:
        return {who: everybody.ask(route, method, who).kind for who in people}

    if not route.ours:
        return kinds(SIGNED_IN)
    first = kinds(STRONGEST)
    if method == "HEAD" or table.is_closed(first):
        return first
    rest = kinds(who for who in PEOPLE if who not in first)
    return {who: first.get(who) or rest[who] for who in PEOPLE}


def cells(everybody: World, route: Route) -> Cells:
    """Of others' code only by the two methods that do something there."""
    methods = METHODS if route.ours else ("GET", "POST")
    return {method: asked(everybody, route, method) for method in methods}


def differences(route: Route, found: Cells, wanted: Table) -> list[str]:
    """A sentence for each cell that is not as it is to be."""
    said = []
    for method, answers in found.items():
        if method == "HEAD":
            rule: Answers | None = found["GET"]
            wrong = {who: kind for who, kind in answers.items() if kind not in table.REFUSED}
        else:
            rule = table.expected(wanted, route, method)
            wrong = dict(answers) if rule else {}
        if rule is None:
            wrong = {who: kind for who, kind in answers.items() if kind not in table.REFUSED}
        said += [
            f"{route.name} {method} {who}: {kind} instead of {rule.get(who) if rule else 'closed'}"
            for who, kind in wrong.items()
            if rule is None or kind != rule.get(who)
        ]
    return said


@pytest.mark.django_db
@pytest.mark.timeout(600)  # 10 s of a processor that others may want as well
@pytest.mark.parametrize("area", AREAS)
def test_everybody_is_answered_at_every_address_as_the_table_says(
    area: str, everybody: World
) -> None:
    wanted, wrong = table.read(), []
    for route in routes():
        if route.area == area:
            FOUND[route] = cells(everybody, route)
            wrong += differences(route, FOUND[route], wanted)
    assert wrong == [] or "ACCESS_WRITES" in os.environ


# Whose what stands in an address is not.
STRANGERS = {
    "job_id": ("other", "removed", "elsewhere"),
    "video_id": ("removed_token", "elsewhere"),
    "slug": ("other", "removed"),
    **dict.fromkeys(("webhook_id", "prefix"), ("other", "owner", "plain_operator")),
    "hook": ("plain_operator", "owner_token"),  # by the name that an SDK knows it by
}


def strangers(route: Route) -> tuple[str, ...]:
    if not route.ours:
        return ()
    values = [*route.values, "hook" if route.pattern.startswith("v1/webhook_endpoints/") else ""]
    return next((STRANGERS[value] for value in values if value in STRANGERS), ())


@pytest.mark.django_db
@pytest.mark.timeout(600)
def test_what_is_anothers_and_what_is_not_there_are_answered_alike(everybody: World) -> None:
    """In status, headers and bytes, and after as many queries: no clock tells them apart."""
    wanted, wrong, compared = table.read(), [], 0
    for route in routes():
        for method in table.open_methods(wanted, route):
            for who in strangers(route):
                anothers, nobodys = (
                    everybody.ask(route, method, who, missing=missing) for missing in (False, True)
                )
                if anothers.kind == nobodys.kind and anothers.kind in {"login", "again"}:
                    continue  # the place to come back to is the address
                compared += 1
                if comparable(anothers) != comparable(nobodys):
                    wrong.append(f"{route.name} {method} {who}: {anothers}, {nobodys}")
    assert wrong == []
    assert compared > 100


def test_every_route_has_its_line_and_every_line_its_route() -> None:
    known = set(table.read())
    names = {
        route: {route.name} | {table.group_of(route, m) for m in METHODS} for route in routes()
    }
    missing = [route.name for route in routes() if not names[route] & known]
    assert missing == [], "new: python -m tests.access write, and read the difference"
    assert known - set().union(*names.values()) == set(), "gone: python -m tests.access write"


def test_the_page_about_access_says_what_the_table_does() -> None:
    text = docs.PAGE.read_text(encoding="utf-8")
    assert text == docs.written(), "python -m tests.access write"
