"""What an answer becomes: an exit code, and words."""

from typing import Any

import pytest

from t2v_cli.commands.jobs import expected
from t2v_cli.failures import Code, from_answer
from t2v_cli.screen import plain

SITE = "https://videos.example.com"


def _problem(code: str, status: int, **more: Any) -> dict[str, Any]:
    return {"code": code, "status": status, "detail": f"About {code}.", **more}


@pytest.mark.parametrize(
    ("status", "problem", "code"),
    [
        (400, "bad_spec", Code.USAGE),
        (409, "not_possible", Code.USAGE),
        (413, "too_large", Code.USAGE),
        (401, "not_authenticated", Code.FORBIDDEN),
        (403, "insufficient_scope", Code.FORBIDDEN),
        (404, "not_found", Code.NOT_FOUND),
        (429, "too_many_jobs", Code.LIMITED),
        (500, "error", Code.UNREACHABLE),
        (503, "live_unavailable", Code.UNREACHABLE),
    ],
)
def test_each_kind_of_refusal_has_its_exit_code(status: int, problem: str, code: Code) -> None:
    failure = from_answer(status, _problem(problem, status), site=SITE)
    assert (failure.code, failure.problem) == (code, problem)
    assert str(failure) == f"About {problem}."


def test_bad_fields_are_told_one_by_one() -> None:
    body = _problem("bad_spec", 400, fields={"steps": "From 4 to 1000."})
    failure = from_answer(400, body, site=SITE)
    assert failure.fields == {"steps": "From 4 to 1000."}
    assert "t2v models" in failure.advice


def test_who_is_not_signed_in_is_told_how_to() -> None:
    failure = from_answer(401, _problem("not_authenticated", 401), site=SITE)
    assert f"t2v login --site {SITE}" in failure.advice


@pytest.mark.parametrize("body", [None, [], "x", {"fields": "x"}, {"detail": None}])
@pytest.mark.parametrize("status", [301, 400, 404, 502])
def test_an_answer_of_something_else_is_told_as_well(status: int, body: Any) -> None:
    assert str(from_answer(status, body, site=SITE))


def test_a_prompt_commands_no_terminal() -> None:
    assert plain("a\x1b[2Jb\r\nc\u202ed\x07\x9be") == "a\ufffd[2Jb  c\ufffdd\ufffd\ufffde"
    assert plain("Kreis – [red]é[/red] 🟥") == "Kreis – [red]é[/red] 🟥"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, ""),
        ({"estimate": None}, ""),
        ({"estimate": {"eta_seconds": None}}, ""),
        ({"estimate": {"eta_seconds": 41.5, "wait_seconds": 1.5}}, "in about 42 s"),
    ],
)
def test_what_the_site_expects_is_told_where_it_expects_anything(
    more: dict[str, object], said: str
) -> None:
    assert expected(more) == said
