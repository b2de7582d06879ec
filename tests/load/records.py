"""What is written down of a run: by the crowd, a line of JSON each; and about the site."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

Record = dict[str, Any]
# kind: what else stands in it beside `at` (seconds since 1970) and `kind`
KINDS: dict[str, frozenset[str]] = {
    "request": frozenset({"name", "status", "code", "retry_after", "ms"}),  # status 0: no answer
    "submit": frozenset({
        "surface", "wish", "attempt", "impatient", "status", "code", "retry_after", "ms",
        "job", "promised_wait", "promised_eta",
    }),
    "fact": frozenset({"ms"}),  # from Postgres' clock to the viewer
    "preview": frozenset({"ms"}),  # from the worker's clock to the viewer
    "socket": frozenset({"what", "code"}),  # opened, resumed, broken
    "gave_up": frozenset({"wish", "impatient"}),
    "users": frozenset({"count"}),
    "stopped": frozenset({"why"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What the site says of one job. Times: seconds since 1970, of Postgres' clock."""

    job: str  # 32 hexadecimal digits
    state: str
    attempts: int
    submitted: float
    claimed: float | None  # by its newest attempt
    ended: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    at: float  # seconds since 1970
    cpu: dict[str, float]  # by part: percent of one core, since the sample before
    memory_mb: dict[str, float]  # by part: proportional set size
    queued: int
    running: int
    connections: int  # of Postgres
    redis_mb: float
    disk_mb: float
    machine_load: float  # of one minute


class Writer:
    """Appends, flushed line by line; counts its bytes."""

    def __init__(self, out: TextIO) -> None:
        self._out, self.bytes = out, 0

    def note(self, kind: str, *, at: float, **values: Any) -> None:
        assert KINDS[kind] == values.keys(), (kind, values)
        line = json.dumps({"kind": kind, "at": round(at, 4), **values}, separators=(",", ":"))
        self._out.write(line + "\n")
        self._out.flush()
        self.bytes += len(line) + 1


def read(file: Path) -> Iterator[Record]:
    """A last line that was cut off is left out: the crowd was killed there."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)
