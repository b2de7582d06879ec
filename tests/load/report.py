"""The report of a run: report.json, four plots, and a page that shows them together."""

import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from tests.load import measures, page, plots, verdict
from tests.load.options import Options
from tests.load.records import Ending, Record, Sample
from tests.stage import ROOT

FORMAT = 1  # of report.json: report.schema.json
RESULTS = ROOT / "benchmarks" / "results"
POINTS = 120  # of a line in the report: more than a screen shows


def measure(
    *,
    records: Sequence[Record],
    endings: Sequence[Ending],
    samples: Sequence[Sample],
    options: Options,
    began: datetime,
    seconds: float,
    cancelled: int,
    loads: tuple[float, float],
    run_errors: Sequence[str],
) -> dict[str, Any]:
    """report.json. seconds: of the crowd. loads: the machine's, before and after."""
    submits = [record for record in records if record["kind"] == "submit"]
    asked = [record for record in records if record["kind"] == "request"]
    gave_up = [record for record in records if record["kind"] == "gave_up"]
    known = {ending.job: ending for ending in endings}
    found: dict[str, Any] = {
        "format": FORMAT,
        "began": began.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "asked": _asked(options),
        "machine": _machine(loads),
        "versions": {name: version(name) for name in ("django", "daphne", "locust")},
        "stopped_by": next((r["why"] for r in records if r["kind"] == "stopped"), "the hard stop"),
        "run_errors": list(run_errors),
        "admission": measures.admission(submits),
        "come_back": measures.come_back(submits, gave_up),
        "wait": measures.waits(submits, known),
        "live": measures.live(records),
        "errors": measures.errors(asked),
        "requests": measures.requests(asked),
        "jobs": measures.jobs(submits, known, cancelled),
        "parts": measures.parts(samples),
        "services": measures.services(samples),
        "lines": _lines(records, known, samples, began.timestamp()),
    }
    goals = verdict.judge(found)
    return found | {"verdict": [goal.as_dict() for goal in goals]}


def exit_code(measured: dict[str, Any]) -> int:
    return verdict.exit_code(verdict.judge(measured))


def write(measured: dict[str, Any], out: Path, *, options: Options) -> Iterator[str]:
    """What to say about it, line by line."""
    text = json.dumps(measured, indent=1)
    (out / "report.json").write_text(text + "\n", encoding="utf-8")
    plots.draw(measured, out)
    (out / "report.md").write_text(page.written(measured), encoding="utf-8")
    if options.write:
        _keep(measured)
    yield from page.table(measured)
    yield f"\n{out / 'report.md'}"


def _keep(measured: dict[str, Any]) -> None:
    """The newest run of each shape, without its lines, in benchmarks/results."""
    file = RESULTS / "load.json"
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    small = {name: value for name, value in measured.items() if name != "lines"}
    kept = dict(sorted((kept | {measured["asked"]["shape"]: small}).items()))
    file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    tables = ["\n".join(page.table(each)) for each in kept.values()]
    (RESULTS / "load.txt").write_text("\n\n\n".join(tables) + "\n", encoding="utf-8")


def _asked(options: Options) -> dict[str, Any]:
    """Without folders: they are this machine's."""
    told = asdict(options)
    for name in ("token_file", "out", "write"):
        del told[name]
    return told


def _machine(loads: tuple[float, float]) -> dict[str, Any]:
    return {
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": platform.python_version(),
        "load_before": round(loads[0], 2),
        "load_after": round(loads[1], 2),
    }


def _lines(
    records: Sequence[Record], endings: dict[str, Ending], samples: Sequence[Sample], began: float
) -> dict[str, Any]:
    """What the plots show, over seconds since the begin."""

    def since(moment: float) -> float:
        return round(moment - began, 1)

    thin = samples[:: max(1, len(samples) // POINTS)]
    submits = [record for record in records if record["kind"] == "submit"]
    users = [record for record in records if record["kind"] == "users"]
    return {
        "users": [[since(r["at"]), r["count"]] for r in users[:: max(1, len(users) // POINTS)]],
        "submits": [[since(r["at"]), measures.outcome(r), r["ms"]] for r in submits],
        "waits": [
            [since(ending.submitted), submit["promised_wait"], ending.claimed - ending.submitted]
            for submit in submits
            if (ending := endings.get(submit["job"])) and ending.claimed is not None
        ],
        "facts": [[since(r["at"]), r["ms"]] for r in records if r["kind"] == "fact"],
        "previews": [[since(r["at"]), r["ms"]] for r in records if r["kind"] == "preview"],
        "parts": [[since(s.at), s.cpu, s.memory_mb] for s in thin],
        "queue": [[since(s.at), s.queued, s.running] for s in thin],
    }
