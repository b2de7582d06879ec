"""The audit log as a file: CSV for a spreadsheet, JSON lines for a program."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async

from accounts import audit_list
from accounts.audit_list import Entries
from accounts.models import AuditEntry

MOST = 100_000  # entries of one file
_AT_ONCE = 2000  # of one query: 1 MB of text
KINDS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
COLUMNS = ("at", "verb", "actor", "workspace", "subject", "via", "address", "request_id", "data")
CUT = "There is more: only the newest {} are here. Export an earlier time."
# What a spreadsheet takes for the beginning of a formula, its wide twins too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")


def cell(value: Any) -> str:
    """One cell on one line, and never a formula. Source: OWASP, CSV Injection."""
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    if text.lstrip(" ").startswith(_FORMULA):
        text = f"'{text}"
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _csv(rows: list[tuple[str, ...]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()


def _written(kind: str, entries: list[AuditEntry]) -> bytes:
    shapes = [audit_list.as_dict(entry) for entry in entries]
    if kind == "csv":
        return _csv([tuple(cell(shape[name]) for name in COLUMNS) for shape in shapes])
    return b"".join(json.dumps(shape).encode() + b"\n" for shape in shapes)


async def stream(entries: Entries, kind: str, *, most: int = MOST) -> AsyncIterator[bytes]:
    """Page by page, so that neither memory nor a transaction is held for all of it.

    The last line says so where there was more. kind: one of KINDS.
    """
    if kind == "csv":
        yield _csv([COLUMNS])
    cursor: str | None = ""
    left = most
    while cursor is not None and left > 0:
        rows, cursor = await sync_to_async(audit_list.page)(
            entries, cursor=cursor, limit=min(_AT_ONCE, left)
        )
        left -= len(rows)
        yield _written(kind, rows)
    if cursor is not None:
        words = CUT.format(f"{most:,}")
        yield _csv([(words,)]) if kind == "csv" else json.dumps({"cut": words}).encode() + b"\n"
