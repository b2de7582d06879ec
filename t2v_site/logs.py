"""How a line of the log looks: no secret in it, no line that a caller's text could forge.

For a terminal (Lines) or for a program, as JSON (Json): docs/howto/logs.md.
"""

import json
import logging
import logging.config
import re
import sys
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from structlog.processors import TimeStamper
from structlog.stdlib import ProcessorFormatter, add_log_level, add_logger_name
from structlog.tracebacks import ExceptionDictTransformer

from jobs import telling

# What would open something to whoever reads the log. Each keeps enough to be known again.
_SECRETS = (
    (re.compile(r"\bt2vt?_[\w-]{8,}"), "t2v_[hidden]"),
    (re.compile(r"\bwhsec_[\w+/=-]{8,}"), "whsec_[hidden]"),
    (re.compile(r"\b(Bearer|Basic|Digest)\s+[^\s,;\"']+", re.IGNORECASE), r"\1 [hidden]"),
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]+\.[\w-]*"), "[hidden JWT]"),
    (
        re.compile(r"\b(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\"']+", re.IGNORECASE),
        r"\1[hidden]",
    ),
    (re.compile(r"((?:__Host-)?t2v[\w-]*=)[\w.:-]{16,}"), r"\1[hidden]"),  # cookies
    (re.compile(r"(\b[a-z][a-z0-9+]*://[^\s:/@]*:)[^\s/@]+@"), r"\1[hidden]@"),
    # Postgres repeats the row that it refuses: a prompt, an address.
    (re.compile(r"(Failing row contains )\(.*?\)\.(?=\n|\Z)", re.DOTALL), r"\1([hidden])."),
    (re.compile(r"(\bKey \([^)\n]*\)=)\(.*?\)(?= |\n|\Z)", re.DOTALL), r"\1([hidden])"),
)
# All that a terminal or a reader of lines takes for more than a character; the last ones turn the
# direction in which the rest of a line is shown.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_CONTROL |= {
    code: f"\\u{code:04x}"
    for code in (0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
_WITHIN = {code: words for code, words in _CONTROL.items() if code not in (0x09, 0x0A)}
_ON_A_TERMINAL = ("request", "job", "attempt")  # of telling.FIELDS; the first always
MOST = 4000  # characters of one text in a line of JSON
FRAMES = 20  # of one exception there
CHAINED = 5  # exceptions of one line


def redacted(text: str) -> str:
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def _about(record: logging.LogRecord) -> dict[str, Any]:
    """What the line is about, as telling.FIELDS has it."""
    known = telling.now()
    # Django tells of an answer that has left all middleware already, with its request.
    asked = getattr(getattr(record, "request", None), "request_id", "")
    return known if not asked or "request" in known else {"request": asked, **known}


class Lines(logging.Formatter):
    """A message is one line, with its request's id; what follows (a traceback) is indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record).translate(_CONTROL)
        known = _about(record)
        told = "".join(
            f" {name}={known[name]}"
            for name in _ON_A_TERMINAL
            if name in known and (name == "request" or str(known.get("job")) not in line)
        )
        return line + told

    def format(self, record: logging.LogRecord) -> str:
        text = redacted(super().format(record)).translate(_WITHIN)
        return text.replace("\n", "\n    ")


class Json(ProcessorFormatter):
    """A line is one JSON object in ASCII: timestamp, level, logger, event, what it is about, and
    an exception as data. No text of a caller can end it or add a field."""

    def __init__(self) -> None:
        stamp: Any = TimeStamper(fmt="iso", utc=True)
        super().__init__(
            foreign_pre_chain=[stamp, add_log_level, add_logger_name, _with_what_it_is_about],
            processors=[_with_the_exception, self.remove_processors_meta, _line],
        )


def _with_what_it_is_about(_: Any, __: str, event: Any) -> Any:
    return event | _about(event["_record"])


_as_data = ExceptionDictTransformer(show_locals=False, use_rich=False, max_frames=FRAMES)


def _with_the_exception(_: Any, __: str, event: Any) -> Any:
    """The locals of its frames stay out of it: they are prompts and tokens."""
    raised = event.pop("exc_info", None)
    if raised and raised[0] is not None:
        event["exception"] = [
            {
                "type": each["exc_type"],
                "message": each["exc_value"],
                "cause": each["is_cause"],  # of the one before it here
                "frames": [
                    f"{at['filename']}:{at['lineno']} {at['name']}" for at in each["frames"]
                ],
            }
            for each in _as_data(raised)[:CHAINED]
        ]
    return event


def _line(_: Any, __: str, event: Mapping[str, Any]) -> str:
    told = json.dumps(_safe(dict(event)), ensure_ascii=True, default=repr)
    return told.replace("\x7f", "\\u007f")  # the one that is ASCII and no character


def _safe(value: Any) -> Any:
    """Without secrets, and bounded."""
    match value:
        case str():
            # Before it is cut, or half of a secret would not be known as one.
            text = redacted(value)
            return text if len(text) <= MOST else f"{text[:MOST]}… ({len(text)} characters)"
        case dict():
            return {name: _safe(each) for name, each in value.items()}
        case list() | tuple():
            return [_safe(each) for each in value]
        case None | bool() | int() | float():
            return value
        case _:
            return _safe(str(value))


def configure(logging_settings: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG. As JSON, what Python itself would print becomes lines as well."""
    logging.config.dictConfig(logging_settings)
    if logging_settings["handlers"]["stderr"]["formatter"] == "json":
        logging.captureWarnings(True)
        sys.excepthook = _uncaught
        threading.excepthook = _uncaught_in_a_thread


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("t2v_site").critical("uncaught", exc_info=(kind, error, trace))


def _uncaught_in_a_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        name = args.thread.name if args.thread is not None else "a thread"
        raised = (args.exc_type, args.exc_value, args.exc_traceback)
        logging.getLogger("t2v_site").critical("uncaught in %s", name, exc_info=raised)


def of_our_own(*names: str) -> Callable[..., None]:
    """For Celery's signals: loggers that it gave a look of its own have ours again."""

    def take_back(**_: Any) -> None:
        for logger in map(logging.getLogger, names):
            logger.handlers.clear()
            logger.propagate = True

    return take_back
