"""What a log never holds."""

import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from accounts import origin
from jobs import telling
from t2v_site import logs
from t2v_site.logs import Json, Lines, redacted

LOGGING: Any = settings.LOGGING
TOKEN = "t2v_" + "0123456789abcdef" * 4


def test_the_logs_own_lines_are_made_so() -> None:
    assert LOGGING["formatters"]["plain"]["()"] == "t2v_site.logs.Lines"
    root = logging.getLogger()
    assert any(isinstance(handler.formatter, Lines) for handler in root.handlers)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"token {TOKEN} refused", TOKEN[4:]),
        ("ticket t2vt_Zm9vYmFyYmF6cXV4-_x1 is used", "Zm9vYmFy"),
        ("Authorization: Bearer abc.def-ghi", "abc.def"),
        ("{'Authorization': 'Basic dTpw'}", "dTpw"),
        ("GET https://s3/x?X-Amz-Signature=0f0f0f&x=1", "0f0f0f"),
        ("x-amz-credential=AKIA%2F2026 and X-Amz-Security-Token=FwoG", "AKIA"),
        ("x-amz-credential=AKIA%2F2026 and X-Amz-Security-Token=FwoG", "FwoG"),
        ("postgresql://t2v:p%40ss@db/videos cannot be reached", "p%40ss"),
        ("redis://:s3cret@redis:6379/0", "s3cret"),
        ("Cookie: t2v-8000=k3k3k3k3k3k3k3k3k3k3; x=1", "k3k3"),
        ("Cookie: __Host-t2v=k3k3k3k3k3k3k3k3k3k3", "k3k3"),
        ("whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJzdWIi"),
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(text: str, secret: str) -> None:
    assert secret not in redacted(text)
    formatter = Lines(LOGGING["formatters"]["plain"]["format"])
    try:
        raise ValueError(text)
    except ValueError as error:
        told = formatter.format(
            logging.LogRecord("jobs", 40, "f", 1, "%s", (text,), (type(error), error, None))
        )
    assert secret not in told
    assert "[hidden" in told
    as_json = Json().format(
        logging.LogRecord("jobs", 40, "f", 1, "%s", (text,), (ValueError, ValueError(text), None))
    )
    assert secret not in as_json
    assert as_json.count("[hidden") >= 2  # the event and the exception's message


def test_the_row_that_postgres_refused_is_hidden() -> None:
    """It repeats values: of a request the prompt, of a person the address."""
    row = "ERROR: null value violates it\nDETAIL:  Failing row contains (7, a red\ncircle (big).)."
    key = "DETAIL:  Key (email)=(alice@example.com) already exists."
    assert redacted(f"{row}\nCONTEXT: x") == (
        "ERROR: null value violates it\nDETAIL:  Failing row contains ([hidden]).\nCONTEXT: x"
    )
    assert redacted(key) == "DETAIL:  Key (email)=([hidden]) already exists."


def test_words_that_are_no_secret_stay() -> None:
    text = "job 7f3c: t2v_site.jobs claimed by worker/1; see https://example.com:8000/a?b=c"
    assert redacted(text) == text


@pytest.mark.parametrize(
    "end", ["\u202e", "\x7f", "\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\x1b[2J"]
)
def test_no_text_of_a_caller_forges_a_line(end: str) -> None:
    """Neither in a message nor in an error's words."""
    forged = f"a red circle{end}ERROR jobs: all jobs deleted"
    error = ValueError(forged)
    record = logging.LogRecord("jobs", 40, "f", 1, "%s", (forged,), (ValueError, error, None))
    lines = Lines(LOGGING["formatters"]["plain"]["format"]).format(record).splitlines()
    assert [line for line in lines if line.startswith("ERROR")] == [lines[0]]
    assert all(line.startswith("    ") for line in lines[1:])
    assert not {"\x1b", "\u202e"} & set("".join(lines))
    told = Json().format(record)
    assert told.isascii()
    assert told.isprintable()
    assert json.loads(told)["event"] == forged
    assert json.loads(told)["exception"][0]["message"] == forged


def test_a_line_names_its_request() -> None:
    formatter = Lines(LOGGING["formatters"]["plain"]["format"])
    record = logging.LogRecord("jobs", 20, "f", 1, "hello", (), None)
    token = origin.enter(origin.Origin(via="session", request_id="abc12345"))
    try:
        assert formatter.format(record) == "INFO jobs: hello request=abc12345"
    finally:
        origin.leave(token)
    assert formatter.format(record) == "INFO jobs: hello"


def test_a_refusal_is_logged_with_its_requests_id(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Denied access is told of by Django, with the address and without a query or a cookie."""
    with caplog.at_level(logging.WARNING):
        answer = client.get("/api/v1/me?x=secret")
    line = Lines(LOGGING["formatters"]["plain"]["format"]).format(caplog.records[-1])
    assert line.startswith("WARNING django.request: Unauthorized: /api/v1/me request=")
    assert line.endswith(answer["X-Request-ID"])


def _record(text: str, **fields: Any) -> logging.LogRecord:
    record = logging.LogRecord("jobs", 20, "f", 1, "%s", (text,), None)
    record.__dict__.update(fields)
    return record


def test_a_line_of_json_names_what_it_is_about_and_nobody_else_adds_a_field() -> None:
    forged = '", "job": "another", "level": "critical"}\n{"event": "deleted"'
    with telling.about(job="7f3c", attempt=2, model="mochi"):
        told = json.loads(Json().format(_record(forged, user="mallory", prompt="a red circle")))
    stamp = told.pop("timestamp")
    assert stamp.endswith("Z")
    assert told == {
        "event": forged,
        "level": "info",
        "logger": "jobs",
        "job": "7f3c",
        "attempt": 2,
        "model": "mochi",
    }
    assert "job" not in json.loads(Json().format(_record("after it")))


def test_a_line_says_who_asks_by_a_number_alone() -> None:
    token = origin.enter(origin.Origin(via="anonymous", request_id="abc12345"))
    try:
        origin.came_by("token t2v_ab", user=7)
        told = json.loads(Json().format(_record("hello")))
    finally:
        origin.leave(token)
    assert (told["request"], told["user"]) == ("abc12345", 7)


def test_a_line_for_a_terminal_names_its_job_where_its_words_do_not() -> None:
    formatter = Lines(LOGGING["formatters"]["plain"]["format"])
    with telling.about(job="7f3c", attempt=2):
        assert formatter.format(_record("storage away")) == (
            "INFO jobs: storage away job=7f3c attempt=2"
        )
        assert formatter.format(_record("job 7f3c: cancelled")) == "INFO jobs: job 7f3c: cancelled"


def test_a_thread_that_is_made_for_a_job_tells_of_it() -> None:
    heard: list[dict[str, Any]] = []
    with telling.about(job="7f3c"):
        of_it = telling.thread(lambda: heard.append(telling.now()), name="lease")
    other = threading.Thread(target=lambda: heard.append(telling.now()))
    for each in (of_it, other):
        each.start()
        each.join()
    assert heard == [{"job": "7f3c"}, {}]


def test_an_exception_is_told_as_data_without_what_its_frames_hold() -> None:
    def breaks(prompt: str) -> None:
        try:
            int("seven")
        except ValueError as error:
            raise KeyError(str(len(prompt))) from error

    try:
        breaks("a marked prompt")
    except KeyError:
        record = _record("it broke", exc_info=sys.exc_info())
    told = Json().format(record)
    assert "marked" not in told.lower()
    key, value = json.loads(told)["exception"]
    assert (key["type"], key["message"], key["cause"]) == ("KeyError", "'15'", False)
    assert (value["type"], value["cause"]) == ("ValueError", True)
    assert key["frames"][-1].endswith(" breaks")


def test_a_line_of_json_is_bounded_and_its_secrets_are_hidden_before_it_is_cut() -> None:
    told = Json().format(_record("x" * (logs.MOST - 10) + " " + TOKEN + "y" * 100_000))
    assert len(told) < 2 * logs.MOST
    assert TOKEN[4:12] not in told


@contextmanager
def _hooks_kept() -> Iterator[None]:
    before = (sys.excepthook, threading.excepthook)
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook = before
        logging.captureWarnings(False)
        logs.configure(LOGGING)


def test_what_nobody_caught_is_a_line_of_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    handler = {**LOGGING["handlers"]["stderr"], "formatter": "json", "stream": sys.stderr}
    with _hooks_kept():
        logs.configure({**LOGGING, "handlers": {"stderr": handler}})
        try:
            raise ValueError(TOKEN)
        except ValueError as error:
            sys.excepthook(ValueError, error, error.__traceback__)
        dying = threading.Thread(target=int, args=("no number",), name="lease")
        dying.start()
        dying.join()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["uncaught", "uncaught in lease"]
    assert lines[0]["exception"][0]["message"] == "t2v_[hidden]"
