"""Many jobs from a file: lines of prompts, or lines of JSON as POST /api/v1/jobs takes it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from t2v_cli.failures import Code, Failure

MOST_AT_ONCE = 500  # of POST /api/v1/jobs/batch
MOST_JOBS = 100_000  # of one file
MAX_LINE_CHARS = 100_000  # a prompt has at most 10,000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    line: int  # of the file, from 1
    body: dict[str, Any]


def read(file: TextIO, name: str, usual: Mapping[str, Any]) -> list[Wish]:
    """Every job of the file; what a line leaves out comes from usual. Raises Failure.

    A line that begins with { is JSON, any other a prompt; empty lines count for nothing.
    """
    wishes = []
    for number, text in _lines(file, name):
        body = _parsed(text, name, number) if text.startswith("{") else {"prompt": text}
        wishes.append(Wish(line=number, body={**usual, **body}))
        if len(wishes) > MOST_JOBS:
            raise Failure(f"{name} has more than {MOST_JOBS} jobs.", Code.USAGE)
    if not wishes:
        raise Failure(f"{name} holds no prompt.", Code.USAGE)
    return wishes


def _lines(file: TextIO, name: str) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        while line := file.readline(MAX_LINE_CHARS + 1):
            number += 1
            if len(line) > MAX_LINE_CHARS:
                raise Failure(f"{name}, line {number} is too long.", Code.USAGE)
            if text := line.strip().removeprefix("\ufeff"):
                yield number, text
    except UnicodeDecodeError as error:
        raise Failure(f"{name}, after line {number}: this is no UTF-8.", Code.USAGE) from error


def _parsed(text: str, name: str, number: int) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{name}, line {number}: this is no JSON ({error}).", Code.USAGE) from error
    assert isinstance(body, dict), "it begins with {"
    return body


def parts(wishes: list[Wish]) -> Iterator[list[Wish]]:
    for start in range(0, len(wishes), MOST_AT_ONCE):
        yield wishes[start : start + MOST_AT_ONCE]


def at_lines(failure: Failure, part: list[Wish], name: str) -> Failure:
    """The same with the file's lines in place of "jobs[17]"."""
    fields = {}
    for field, sentence in failure.fields.items():
        place, closing, rest = field.removeprefix("jobs[").partition("]")
        if field.startswith("jobs[") and closing and place.isdecimal() and int(place) < len(part):
            field = f"{name}, line {part[int(place)].line}{rest.replace('.', ', ', 1)}"  # noqa: PLW2901
        fields[field] = sentence
    return Failure(
        str(failure), failure.code, advice=failure.advice, fields=fields, problem=failure.problem
    )
