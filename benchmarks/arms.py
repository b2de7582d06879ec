"""Arms that run in turn, the clients that run them, and one arm beside another as a row."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.stage import ROOT

T = TypeVar("T")
_CLIENT = (
    "import django; django.setup(); from benchmarks import queue_client; "
    "queue_client.serve({number}, {clients})"
)


class Clients:
    """Processes that wait for orders; see queue_client.py."""

    def __init__(self, count: int, **env: str) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-c", _CLIENT.format(number=number, clients=count)],
                cwd=ROOT,
                env=os.environ | {"DJANGO_SETTINGS_MODULE": "t2v_site.settings"} | env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(count)
        ]

    def ask(self, do: str, *, clients: int = 1, **values: Any) -> list[Any]:
        """The answers of the first so many."""
        chosen = self._processes[:clients]
        for process in chosen:
            assert process.stdin is not None
            process.stdin.write(json.dumps({"do": do, **values}) + "\n")
            process.stdin.flush()
        answers = []
        for process in chosen:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"a client ended at {do}"
            answers.append(json.loads(line))
        return answers

    def speed(self, what: str, seconds: float, clients: int) -> "Speed":
        """All of them together."""
        answers = self.ask("repeat", clients=clients, what=what, seconds=seconds, count=1)
        return Speed(
            rate=sum(answer["done"] / answer["seconds"] for answer in answers),
            cpu=statistics.mean(answer["cpu"] for answer in answers) * 1e6,
        )

    def close(self) -> None:
        for process in self._processes:
            process.communicate(timeout=20)  # the end of its input


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    rate: float  # a second
    cpu: float  # µs for one, of the client and of its Postgres process


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One arm beside the arm that it is measured against."""

    what: str
    median: float
    best: float
    against: str = ""
    ratio: float | None = None
    best_ratio: float | None = None
    goal: str = ""
    unit: str = "/s"

    def as_dict(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}


def interleave(arms: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """A B B A …; a first pass that does not count warms each up."""
    found: dict[str, list[T]] = {name: [] for name in arms}
    for arm in arms.values():
        arm()
    for number in range(rounds):
        for name in list(arms)[:: -1 if number % 2 else 1]:
            found[name].append(arms[name]())
    return found


def rows_of(
    found: dict[str, list[float]],
    baseline: str,
    *,
    label: str,
    goals: dict[str, str],
    best: Callable[..., float] = max,
    unit: str = "/s",
) -> list[Row]:
    base, base_best = statistics.median(found[baseline]), best(found[baseline])
    return [
        Row(
            what=f"{name}, {label}",
            median=statistics.median(values),
            best=best(values),
            against="" if name == baseline else baseline,
            ratio=None if name == baseline else statistics.median(values) / base,
            best_ratio=None if name == baseline else best(values) / base_best,
            goal=goals.get(name, ""),
            unit=unit,
        )
        for name, values in found.items()
    ]


def speeds(
    found: dict[str, list[Speed]], baseline: str, *, label: str, goals: dict[str, str]
) -> list[Row]:
    rates = {name: [speed.rate for speed in values] for name, values in found.items()}
    cpu = {name: [speed.cpu for speed in values] for name, values in found.items()}
    rows = rows_of(rates, baseline, label=label, goals=goals)
    return rows + rows_of(cpu, baseline, label=label, goals={}, best=min, unit=" µs CPU")


def print_rows(title: str, rows: list[Row]) -> None:
    print(f"\n{title:<60}{'median':>12}{'best':>12}{'ratio':>8}{'best':>8}  goal")
    for row in rows:
        numbers = f"{row.median:>12,.2f}{row.best:>12,.2f}"
        if row.ratio is not None and row.best_ratio is not None:
            numbers += f"{row.ratio:>8.3f}{row.best_ratio:>8.3f}  {row.goal}"
        print(f"  {row.what + ' (' + row.unit.strip() + ')':<58}{numbers}", flush=True)
