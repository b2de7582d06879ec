"""What Prometheus is asked, by the rules and by the dashboards, as data."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yaml"))
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yaml"))
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
RUNBOOKS = ROOT / "docs/runbooks"
_METRIC = re.compile(r"\bt2v(?:_[a-z0-9_]+|:[A-Za-z0-9_:]+)\b(?!\s*\()")
_SELECTED = re.compile(r"\b(t2v[_:][A-Za-z0-9_:]+)\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
_LISTED = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    where: str  # file and name of the rule, or board and title of the panel
    expression: str
    legend: str = ""  # Grafana's template of a series' name


def tool(name: str) -> str:
    """The path of a program of Debian's package prometheus."""
    found = shutil.which(name)
    assert found, f"no {name} on this machine (Debian: apt-get install prometheus)"
    return found


def promtool(*words: str | Path) -> str:
    """Its output; fails with it when promtool does."""
    done = subprocess.run(
        [tool("promtool"), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@cache
def rules() -> list[dict[str, Any]]:
    return [
        rule
        for file in RULES
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


@cache
def boards() -> list[dict[str, Any]]:
    return [json.loads(file.read_text(encoding="utf-8")) for file in DASHBOARDS]


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Without the rows, which are headings."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries() -> list[Query]:
    return [*_of_rules(), *_of_boards()]


def _of_rules() -> Iterator[Query]:
    for rule in rules():
        yield Query(where=rule.get("alert") or rule["record"], expression=rule["expr"])


def _of_boards() -> Iterator[Query]:
    for board in boards():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Query(
                    where=f"{board['title']} › {panel['title']}",
                    expression=target["expr"],
                    legend=target["legendFormat"],
                )
        for note in board["annotations"]["list"]:
            yield Query(where=f"{board['title']} › {note['name']}", expression=note["expr"])


def metrics_in(expression: str) -> set[str]:
    """Names of ours: t2v_… as scraped, t2v:… as recorded."""
    return set(_METRIC.findall(_without_strings(expression)))


def labels_of(expression: str) -> dict[str, set[str]]:
    """Of each metric, the labels that it is chosen by."""
    chosen: dict[str, set[str]] = {}
    for name, matchers in _SELECTED.findall(expression):
        chosen.setdefault(name, set()).update(_MATCHER.findall(matchers))
    return chosen


def labels_listed(expression: str) -> set[str]:
    """After by, without, on and ignoring."""
    lists = _LISTED.findall(_without_strings(expression))
    return {label.strip() for each in lists for label in each.split(",") if label.strip()}


def _without_strings(expression: str) -> str:
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
