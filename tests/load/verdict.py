"""What a run has to keep to. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A sentence, what came of it and what it may come to. hard: the run fails by it."""

    sentence: str
    value: float | None  # None: there was nothing to measure
    limit: float
    hard: bool
    at_least: bool = False  # the limit is a floor

    @property
    def held(self) -> bool:
        if self.value is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def as_dict(self) -> dict[str, Any]:
        return {
            "goal": self.sentence,
            "value": self.value,
            "limit": self.limit,
            "hard": self.hard,
            "held": self.held,
        }


def judge(measured: Mapping[str, Any]) -> list[Goal]:
    """measured: a report, without its verdict."""
    jobs, admission, live = measured["jobs"], measured["admission"], measured["live"]
    bad = jobs["ended_badly"] / jobs["accepted"] if jobs["accepted"] else None
    hard = [
        ("accepted jobs that were lost", len(jobs["lost"]), 0.0),
        ("share of accepted jobs that did not end well", bad, 0.001),
        ("answers of 5xx that are no refusal", measured["errors"]["failed"], 0.0),
        ("requests without an answer", measured["errors"]["no_answer"], 0.0),
        ("refusals that do not say when to come again", admission["without_retry_after"], 0.0),
        ("submits that were neither accepted nor refused", admission["broken"], 0.0),
        ("errors of the run itself", len(measured["run_errors"]), 0.0),
    ]
    soft = [
        ("admission, 99 % within ms", admission["accepted_ms"]["p99"], 1000.0),
        ("refusal, 99 % within ms", admission["refused_ms"]["p99"], 1000.0),
        ("fact at its viewer, 95 % within ms", live["fact_ms"]["p95"], 500.0),
        ("preview at its viewer, 95 % within ms", live["preview_ms"]["p95"], 1000.0),
        ("sockets that broke", live["sockets"]["broken"], 0.0),
        ("wait in the queue, 95 % within s", measured["wait"]["waited_seconds"]["p95"], 120.0),
        ("wait beyond what was promised, 95 % within s", _late(measured), 10.0),
    ]
    fraction = measured["come_back"]["honest"]["fraction"]
    honest = "who came when Retry-After said was let in, share"
    return [
        *(Goal(sentence=s, value=v, limit=most, hard=True) for s, v, most in hard),
        *(Goal(sentence=s, value=v, limit=most, hard=False) for s, v, most in soft),
        Goal(sentence=honest, value=fraction, limit=0.8, hard=False, at_least=True),
    ]


def _late(measured: Mapping[str, Any]) -> float | None:
    late: float | None = measured["wait"]["wait_late_seconds"]["p95"]
    return late


def exit_code(goals: list[Goal]) -> int:
    return int(any(goal.hard and not goal.held for goal in goals))


def lines(goals: list[Goal]) -> list[str]:
    told = []
    for goal in goals:
        word = "kept" if goal.held else ("BROKEN" if goal.hard else "missed")
        value = "–" if goal.value is None else f"{goal.value:,.4g}"
        sign = "≥" if goal.at_least else "≤"
        told.append(f"{word:<7} {goal.sentence:<52}{value:>10}   {sign} {goal.limit:g}")
    return told
