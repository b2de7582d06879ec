"""What holds of every line of the table, whoever wrote it: no line is agreed to by habit."""

from collections.abc import Callable, Iterator

from tests.access import table
from tests.access.routes import SAFE, Route, routes
from tests.access.table import Answers

TABLE = table.read()
JOBS = {"job_id", "video_id"}
OWN = {"webhook_id", "delivery_id", "prefix"}  # their maker's alone, whatever others' role
PUBLIC = {"home", "api_schema", "api_docs", "health_live", "health_ready", "metrics"}
PUBLIC |= {"invitation", "second_factors"}  # its address is a secret; no more than a redirect
DOOR = (
    *("account_", "headless:", "socialaccount_", "accounts/social/", "sso_", "admin:log"),
    *("mfa_index", "mfa_login", "mfa_authenticate"),
)
# Of those who are in already, though their names begin so.
INSIDE = {"account_email", "account_change_password", "account_set_password"}
INSIDE |= {"account_reauthenticate", "socialaccount_connections"}
# What a token to look may do beside looking: open a socket to look on, and revoke itself.
TO_LOOK = {"api_tickets", "api_token"}
ENDED = ("revoked", "expired", "closed", "closed_token")

Line = tuple[Route, str, Answers]


def lines(which: Callable[[Route, str], bool]) -> Iterator[Line]:
    for route in routes():
        for method in table.METHODS:
            answers = table.expected(TABLE, route, method)
            if answers is not None and which(route, method):
                yield route, method, answers


def who_gets_in(found: Iterator[Line], *people: str) -> list[str]:
    return [
        f"{route.name} {method} {who}"
        for route, method, answers in found
        for who in people
        if answers.get(who, "401") not in table.REFUSED
    ]


def _is_door(route: Route) -> bool:
    return route.name in PUBLIC or (route.name.startswith(DOOR) and route.name not in INSIDE)


def _names(route: Route, values: set[str]) -> bool:
    return route.ours and bool(values & set(route.values))


def test_nobody_gets_anywhere_but_to_the_door() -> None:
    found = who_gets_in(lines(lambda route, _: not _is_door(route)), "anonymous")
    assert not found, found


def test_what_has_ended_opens_nothing() -> None:
    found = who_gets_in(lines(lambda route, _: not _is_door(route)), *ENDED)
    assert not found, found


def test_a_page_of_somebody_elses_changes_nothing_with_the_owners_session() -> None:
    """headless: it takes no cookies."""
    unsafe = lines(lambda r, method: method not in SAFE and not r.name.startswith("headless:"))
    found = who_gets_in(unsafe, "forged")
    assert not found, found


def test_the_api_takes_a_bad_token_for_no_session_that_comes_with_it() -> None:
    api = lines(lambda route, _: route.area in {"jobs", "rest", "v1"} and not _is_door(route))
    found = who_gets_in(api, "unknown")
    assert not found, found


def test_an_sdks_address_takes_no_cookie() -> None:
    sessions = ("viewer", "creator", "maker", "manager", "owner", "operator", "administrator")
    found = who_gets_in(lines(lambda route, _: route.area == "v1"), *sessions)
    assert not found, found


def test_a_token_to_look_changes_nothing() -> None:
    writes = lines(lambda r, method: method not in SAFE and r.name not in TO_LOOK)
    found = who_gets_in(writes, "reads")
    assert not found, found


def test_who_is_not_in_the_workspace_gets_to_no_job_of_it() -> None:
    """Not by a token of somebody who is, either, that was made for another one."""
    jobs = lines(lambda route, method: _names(route, JOBS) and method != "OPTIONS")
    outside = ("other", "removed", "removed_token", "elsewhere", "plain_operator")
    found = who_gets_in(jobs, *outside)
    assert not found, found


def test_a_viewer_changes_no_job_of_the_workspace() -> None:
    """But for remixes: they may not make those either."""
    verbs = lines(lambda route, method: _names(route, JOBS) and method not in SAFE)
    found = who_gets_in(verbs, "viewer")
    assert not found, found


def test_nobody_gets_to_anothers_tokens_and_webhooks() -> None:
    theirs = lines(lambda route, method: _names(route, OWN) and method != "OPTIONS")
    others = ("viewer", "creator", "manager", "owner", "other", "operator", "administrator")
    found = who_gets_in(theirs, *others, "owner_token", "plain_operator", "removed")
    assert not found, found


def test_only_operators_get_into_the_console_and_to_the_workers() -> None:
    theirs = lines(lambda r, _: (r.area == "console" and not _is_door(r)) or "worker" in r.name)
    others = ("viewer", "creator", "maker", "manager", "owner", "other", "owner_token", "writes")
    found = who_gets_in(theirs, *others)
    assert not found, found
