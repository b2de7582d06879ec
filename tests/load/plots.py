"""Four plots of a report's lines, as PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

matplotlib.use("Agg")
WIDTH, HEIGHT, DPI = 9.0, 5.6, 110  # inches, and pixels of each
BINS = 60  # of time
# Told apart also by those who do not see red or green. Source: M. Okabe and K. Ito, 2008.
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
SKY, GREY = "#56b4e9", "#777777"
COLOURS = {
    "web": BLUE, "worker": GREEN, "postgres": ORANGE, "redis": RED, "sweep": PURPLE,
    "webhooks": SKY, "crowd": GREY, "supervisor": "#bbbbbb", "other": "#dddddd",
}  # fmt: skip
OUTCOMES = {"accepted": GREEN, "refused": ORANGE, "broken": RED}


def draw(told: Mapping[str, Any], out: Path) -> None:
    lines, seconds = told["lines"], max(float(told["seconds"]), 1.0)
    _save(_admission(lines, seconds), out / "admission.png")
    _save(_wait(lines), out / "wait.png")
    _save(_latency(lines), out / "latency.png")
    _save(_parts(lines), out / "parts.png")


def _save(figure: Figure, file: Path) -> None:
    figure.savefig(file, dpi=DPI)


def _two(upper: str, lower: str, *, shared: bool = True) -> tuple[Figure, Axes, Axes]:
    """Titles say what is on the axis and its unit."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=shared)
    for axes, title in ((top, upper), (bottom, lower)):
        axes.set_title(title, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
    if shared:
        bottom.set_xlabel("seconds since the begin")
    return figure, top, bottom


def _legend(axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    if handles:
        axes.legend(handles, names, frameon=False, fontsize=8, loc="upper left", ncols=2)


def _columns(rows: Sequence[Sequence[Any]], *which: int) -> list[list[Any]]:
    return [[row[number] for row in rows] for number in which]


def _admission(lines: Mapping[str, Any], seconds: float) -> Figure:
    figure, top, bottom = _two("users, and jobs in the queue", "submits a second")
    if lines["users"]:
        top.step(*_columns(lines["users"], 0, 1), color=GREY, where="post", label="users")
    if lines["queue"]:
        top.plot(*_columns(lines["queue"], 0, 1), color=BLUE, label="queued jobs")
    width = seconds / BINS
    floor = [0.0] * BINS
    for name, colour in OUTCOMES.items():
        counts = [0.0] * BINS
        for at, outcome, _ in lines["submits"]:
            if outcome == name:
                counts[min(BINS - 1, max(0, int(at / width)))] += 1 / width
        places = [(number + 0.5) * width for number in range(BINS)]
        if any(counts):
            bottom.bar(places, counts, width=width * 0.9, bottom=floor, color=colour, label=name)
        floor = [a + b for a, b in zip(floor, counts, strict=True)]
    _legend(top)
    _legend(bottom)
    return figure


def _wait(lines: Mapping[str, Any]) -> Figure:
    figure, top, bottom = _two(
        "wait in the queue over the time of the submit, s",
        "real wait over the promised one, s",
        shared=False,
    )
    rows = [row for row in lines["waits"] if row[1] is not None]
    if rows:
        at, promised, real = _columns(rows, 0, 1, 2)
        top.plot(at, real, ".", color=BLUE, markersize=4, label="real")
        top.plot(at, promised, ".", color=ORANGE, markersize=4, label="promised")
        top.set_xlabel("seconds since the begin")
        most = max(*promised, *real, 1.0)
        bottom.plot([0, most], [0, most], color=GREY, linewidth=0.8, label="as promised")
        bottom.plot(promised, real, ".", color=BLUE, markersize=4, label="a job")
        bottom.set_xlabel("promised, s")
    _legend(top)
    _legend(bottom)
    return figure


def _latency(lines: Mapping[str, Any]) -> Figure:
    figure, top, bottom = _two(
        "submits: ms until they were answered", "share that came within so many ms", shared=False
    )
    for name, colour in OUTCOMES.items():
        rows = [row for row in lines["submits"] if row[1] == name]
        if rows:
            top.plot(*_columns(rows, 0, 2), ".", color=colour, markersize=4, label=name)
    top.set_xlabel("seconds since the begin")
    shown = (
        ("submit", [row[2] for row in lines["submits"]], GREEN),
        ("fact, commit to viewer", [row[1] for row in lines["facts"]], BLUE),
        ("preview, worker to viewer", [row[1] for row in lines["previews"]], PURPLE),
    )
    for name, values, colour in shown:
        if values:
            ordered = sorted(max(0.1, value) for value in values)
            shares = [(number + 1) / len(ordered) for number in range(len(ordered))]
            bottom.step(ordered, shares, color=colour, where="post", label=name)
    for axes in (top, bottom):
        (axes.set_yscale if axes is top else axes.set_xscale)("log")
        _legend(axes)
    bottom.set_xlabel("ms")
    return figure


def _parts(lines: Mapping[str, Any]) -> Figure:
    figure, top, bottom = _two("processor, percent of one core", "memory, MB (shares counted once)")
    for part, colour in COLOURS.items():
        for axes, number in ((top, 1), (bottom, 2)):
            rows = [(row[0], row[number][part]) for row in lines["parts"] if part in row[number]]
            if rows:
                axes.plot(*_columns(rows, 0, 1), color=colour, linewidth=1.2, label=part)
    handles, names = top.get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, fontsize=8, loc="outside right upper")
    return figure
