"""What happened to a job, told to a person. Pure: no I/O, no framework.

The words are data: the page gets these very tables (`TABLES`), and static/js/history.js fills them
in by the same three rules, so that what is told live reads as after a reload
(tests/browser/test_job.py holds the two together).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.events import Fact

# By kind. A part is said when all that it names is known.
WORDS: dict[str, tuple[str, ...]] = {
    "submitted": ("Submitted",),
    "claimed": ("Attempt {attempt}", " on worker {worker}"),
    "succeeded": ("Video ready",),
    "failed": ("Failed",),
    "requeued": ("Back in the queue",),
    "released": ("Handed back by its worker",),
    "resumed": (
        "Went on from step {step} of attempt {from_attempt}",
        ", on another kind of machine ({differs}): "
        "the video may differ slightly from an undisturbed one",
    ),
    "parked": ("Given up after attempt {attempt}",),
    "cancel_requested": ("Cancel requested",),
    "cancelled": ("Cancelled",),
    "expired": ("Its time ran out",),
}
MESSAGE = ": {message}"  # behind each of them
# What an attempt came to, beside its name; the kinds that end one.
ENDS: dict[str, str] = {
    "succeeded": "ended well after {took}",
    "failed": "failed after {took}",
    "requeued": "broke off after {took}",
    "released": "handed back after {took}",
    "parked": "broke off after {took}",
    "cancelled": "stopped after {took}",
}
FROM = "went on from step {step} of attempt {from_attempt}"
# What to do about an error, by its code, or by the first word of it and "_".
ADVICE: dict[str, str] = {
    "worker_lost": "Retry it: it goes on from where it was last saved.",
    "attempt_broke": "Retry it; if it breaks again, tell whoever runs this site.",
    "disk_full": "Retry it later: whoever runs this site has to make room first.",
    "storage_unavailable": "Retry it later, when the storage is back.",
    "released_too_often": "Retry it when the workers are calmer.",
    "tail_broken": "Retry it; if it breaks again, tell whoever runs this site.",
    "out_of_memory": "Choose a smaller size or a shorter length.",
    "clip_too_large": "Choose a smaller size or a shorter length.",
    "not_finite": "Choose another seed, a lower guidance or more steps.",
    "gpu_": "Retry it: another process takes over.",
    "attention_": "Tell whoever runs this site: the worker is not set up for this model.",
    "model_": "Tell whoever runs this site: the model's files are not in order.",
    "bad_": "Change the prompt or the options; the same values would fail again.",
    "expired": "Retry it when the queue is shorter.",
}
TABLES: dict[str, Any] = {
    "words": WORDS,
    "message": MESSAGE,
    "ends": ENDS,
    "from": FROM,
    "advice": ADVICE,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)  # all that JavaScript's clock knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    seq: int
    kind: str
    attempt: int
    at: datetime
    words: str
    came_to: str = ""  # of an attempt's first line: where it began, and how it ended
    ended: bool = False  # of an attempt's first line
    advice: str = ""  # of an error that ended the job


def said(parts: Iterable[str], values: Mapping[str, Any]) -> str:
    """The parts whose values are all there, filled in."""
    return "".join(filled for part in parts if (filled := _filled(part, values)))


def _filled(part: str, values: Mapping[str, Any]) -> str:
    try:
        return part.format_map({name: value for name, value in values.items() if value})
    except KeyError:
        return ""


def span(seconds: int) -> str:
    """A length of time; its smaller half is left out where nobody would miss it."""
    if seconds < 1:
        return "less than a second"
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def advice(code: str) -> str:
    """Empty where there is none to give."""
    return ADVICE.get(code) or ADVICE.get(code.partition("_")[0] + "_", "")


def words(fact: Fact) -> str:
    parts = WORDS.get(fact.kind, (fact.kind,))
    return said((*parts, MESSAGE), fact.data | {"attempt": fact.attempt})


def came_to(facts: Sequence[Fact]) -> str:
    """Of one attempt, whose facts these are, its claim first."""
    began = _ms(_at(facts[0]))
    told = [said([FROM], fact.data) for fact in facts if fact.kind == "resumed"]
    for fact in facts[1:]:
        if fact.kind in ENDS:
            took = (_ms(_at(fact)) - began) // 1000
            told.append(said([ENDS[fact.kind]], {"took": span(took)}))
            break
    return " · ".join(told)


def tell(facts: Sequence[Fact]) -> list[Line]:
    """A line for each, in their order."""
    lines = []
    for place, fact in enumerate(facts):
        ends = fact.kind in {"failed", "parked", "expired"}
        mine = _attempt(facts[place:]) if fact.kind == "claimed" else []
        lines.append(
            Line(
                seq=fact.seq,
                kind=fact.kind,
                attempt=fact.attempt,
                at=_at(fact),
                words=words(fact),
                came_to=came_to(mine) if mine else "",
                ended=any(each.kind in ENDS for each in mine),
                advice=advice(str(fact.data.get("code", ""))) if ends else "",
            )
        )
    return lines


def _attempt(facts: Sequence[Fact]) -> list[Fact]:
    """Those of the attempt that the first one begins."""
    mine = [facts[0]]
    for fact in facts[1:]:
        if fact.kind == "claimed":
            break
        mine.append(fact)
    return mine


def _at(fact: Fact) -> datetime:
    return datetime.fromisoformat(fact.at)


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // _MS
