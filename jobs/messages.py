"""What a viewer may say over its socket (docs/reference/live.md). Pure: no I/O, no framework."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

MAX_BYTES = 4096  # of one message
MAX_SEQ = 2**31 - 1


class TooLarge(ValueError):
    """The message has more than MAX_BYTES bytes."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """To one job, whose facts after that seq the viewer has not; None: to all of one's own."""

    job: UUID | None
    after: int = 0


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    job: UUID | None


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """A preview was drawn, or cannot be: the next one may come."""

    job: UUID
    attempt: int
    step: int


@dataclass(frozen=True, slots=True)
class Ping:
    """A viewer's sign of life, which is answered."""


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to our ping: everything that was sent before it has arrived."""

    number: int


@dataclass(frozen=True, slots=True)
class ShowTicket:
    """The first message of a program's socket."""

    ticket: str


FromViewer = Subscribe | Unsubscribe | Acknowledge | Ping | Pong | ShowTicket


def parse(text: str | None) -> FromViewer:
    """None stands for a binary message. Raises ValueError that says what is wrong; TooLarge."""
    if text is None:
        raise ValueError("a message is JSON text")
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise TooLarge(f"a message has at most {MAX_BYTES} bytes")
    try:
        message = json.loads(text)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
    kind = message.get("type") if isinstance(message, dict) else None
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise ValueError("the message has no known type")
    return reader(message)


def _subscribe(message: dict[str, Any]) -> Subscribe:
    if message.get("mine") is True:
        return Subscribe(None)
    return Subscribe(_job(message), _number(message, "after", 0))


def _unsubscribe(message: dict[str, Any]) -> Unsubscribe:
    return Unsubscribe(None if message.get("mine") is True else _job(message))


def _acknowledge(message: dict[str, Any]) -> Acknowledge:
    return Acknowledge(_job(message), _number(message, "attempt"), _number(message, "step"))


def _show_ticket(message: dict[str, Any]) -> ShowTicket:
    ticket = message.get("ticket")
    if not isinstance(ticket, str):
        raise ValueError("the ticket is a text")  # noqa: TRY004 - one class for every nonsense
    return ShowTicket(ticket)


def _job(message: dict[str, Any]) -> UUID:
    job = message.get("job")
    if not isinstance(job, str) or len(job) != 36:
        raise ValueError("the job is a UUID of 36 characters")
    return UUID(job)


def _number(message: dict[str, Any], name: str, default: int | None = None) -> int:
    number = message.get(name, default)
    if type(number) is not int or not 0 <= number <= MAX_SEQ:  # a bool is none
        raise ValueError(f"{name} is a whole number from 0 to {MAX_SEQ}")
    return number


_READERS: dict[str, Callable[[dict[str, Any]], FromViewer]] = {
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "ack": _acknowledge,
    "ping": lambda message: Ping(),
    "pong": lambda message: Pong(_number(message, "n")),
    "ticket": _show_ticket,
}
