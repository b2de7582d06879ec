"""Server-sent events, from bytes as they come. Pure. Source: WHATWG HTML, 9.2.6."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# The longest message is a snapshot: a prompt of 10,000 characters and its addresses.
MAX_BYTES = 1_000_000
_END = re.compile(rb"\r\n|\n|\r")


class TooLong(Exception):
    """More than MAX_BYTES without an end: this is no stream of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    event: str
    data: str
    id: str  # the last one that was sent, this message's or an earlier one's


class Parser:
    """last_id and retry_seconds outlive a connection, as in a browser's EventSource."""

    def __init__(self) -> None:
        self.last_id = ""
        self.retry_seconds = 2.0
        self.forget()

    def forget(self) -> None:
        """Another connection begins: half a message of the last one is worth nothing."""
        self._left = b""
        self._event, self._data, self._size = "", list[str](), 0
        self._id = self.last_id

    def feed(self, part: bytes) -> Iterator[Message]:
        """The messages that end in this part. Raises TooLong."""
        text = self._left + part
        at = 0
        while (end := _END.search(text, at)) is not None:
            if end.group() == b"\r" and end.end() == len(text):
                break  # its \n may come with the next part
            message = self._line(text[at : end.start()].decode("utf-8", "replace"))
            at = end.end()
            if message is not None:
                yield message
        self._left = text[at:]
        if len(self._left) + self._size > MAX_BYTES:
            raise TooLong

    def _line(self, line: str) -> Message | None:
        if not line:
            return self._message()
        self._size += len(line)
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isdecimal() and len(value) < 7:
                self.retry_seconds = int(value) / 1000
            case _:
                pass  # a comment, or a field of tomorrow
        return None

    def _message(self) -> Message | None:
        event, data = self._event or "message", self._data
        self._event, self._data, self._size = "", [], 0
        self.last_id = self._id
        return Message(event=event, data="\n".join(data), id=self._id) if data else None
