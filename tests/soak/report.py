"""What a soak found, as a table and as JSON."""

import json
import os
import platform
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from tests.chaos.verdict import Verdict
from tests.soak.samples import Trend
from tests.stage import ROOT

RESULTS = ROOT / "benchmarks" / "results"
SHORT_MINUTES = 20.0  # below that a slope says nothing
_WORDS = ("WARNING", "ERROR", "CRITICAL", "Traceback", "Warning:")
_DIFFERS = re.compile(r"\x1b\[[\d;]*m|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|0x[0-9a-f]+|\d+")


def log_kinds(lines: Sequence[str]) -> "Counter[str]":
    """Lines that say WARNING or worse, or begin a traceback, without what differs between them."""
    chosen = [line.strip() for line in lines if any(word in line for word in _WORDS)]
    return Counter(_DIFFERS.sub(lambda m: "" if "\x1b" in m[0] else "…", line) for line in chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    minutes: float
    viewers: int
    seed: int
    jobs: int
    facts: int
    warm_minutes: float  # at the begin, which the slopes leave out
    trends: Sequence[Trend]
    seen: Mapping[str, int]  # by the viewers
    logged: "Counter[str]"
    verdict: Verdict
    samples: Mapping[str, Sequence[float]]

    def lines(self) -> Iterator[str]:
        yield f"\n{self.jobs:,} jobs, {self.facts:,} facts in the database; the viewers:"
        for name, count in sorted(self.seen.items()):
            yield f"  {name:<34}{count:>12,}"
        yield (
            "\nfirst, last: medians of the first and the last quarter. Growth an hour by least "
            f"squares since minute {self.warm_minutes:.1f}, ± its standard error;\n"
            "flat: growth less twice its error is below the limit.\n"
        )
        yield f"  {'':<38}{'first':>10}{'last':>10}{'an hour':>12}{'±':>11}{'limit':>9}"
        for trend in self.trends:
            numbers = f"{trend.first:>10,.0f}{trend.last:>10,.0f}{trend.slope:>+12,.1f}"
            numbers += f"{trend.error:>11,.1f}{trend.limit:>9,.0f}"
            name = f"{trend.name}{f', {trend.unit}' if trend.unit else ''}"
            yield f"  {name:<38}{numbers}  {'flat' if trend.flat else 'GROWS'}"
        if self.minutes < SHORT_MINUTES:
            yield "  (too short a run for a verdict on growth)"
        yield "\nlogged, WARNING and worse:" if self.logged else "\nlogged no WARNING or worse"
        for line, count in self.logged.most_common(20):
            yield f"  {count:>6} × {line}"
        yield ""
        yield from self.verdict.lines()

    def as_dict(self) -> dict[str, Any]:
        cores = f"{platform.machine()}, {os.cpu_count()} cores"
        return {
            "date": datetime.now(tz=UTC).date().isoformat(),
            "machine": f"{cores}, Python {platform.python_version()}",
            "minutes": self.minutes,
            "viewers": self.viewers,
            "seed": self.seed,
            "jobs": self.jobs,
            "facts": self.facts,
            "trends": [asdict(trend) | {"flat": trend.flat} for trend in self.trends],
            "seen": dict(self.seen),
            "logged": dict(self.logged),
            "checks": self.verdict.checks,
            "samples": {
                name: [round(value, 1) for value in values] for name, values in self.samples.items()
            },
        }


def write(report: Report, said: Sequence[str]) -> None:
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(report.as_dict())
    (RESULTS / "soak.json").write_text(text + "\n", encoding="utf-8")
    (RESULTS / "soak.txt").write_text("\n".join(said) + "\n", encoding="utf-8")
