"""The soak itself: it would find a leak, a hole in the facts, and a picture that goes back."""

import json
import random
from typing import Any
from uuid import UUID

import pytest

from jobs.events import PreviewHeader
from tests.soak.report import log_kinds
from tests.soak.samples import Series, least_squares
from tests.soak.viewers import Page, Person

JOB = "489248ac-4571-4b01-8e2b-7da3d7bfdd13"


def _memory(*, growth: float) -> Series:
    """An hour of samples with a noise of ±2 MB, and a start that fills caches."""
    chance, series = random.Random(1), Series(name="web", unit="KB", limit=1024)
    for second in range(0, 3600, 15):
        warm = 8000 * min(1.0, second / 600)
        series.at.append(second)
        series.values.append(
            90_000 + warm + growth * second / 3600 + chance.uniform(-2000.0, 2000.0)
        )
    return series


def test_a_line_has_its_slope_and_no_error() -> None:
    slope, error = least_squares([(0.0, 5.0), (1.0, 8.0), (2.0, 11.0), (4.0, 17.0)])
    assert slope == pytest.approx(3.0)
    assert error == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("growth", "flat"), [(0.0, True), (4096.0, False)])
def test_a_leak_is_told_from_noise_and_from_caches_that_fill(growth: float, flat: bool) -> None:
    trend = _memory(growth=growth).trend(since=900)
    assert trend.flat is flat
    assert trend.slope == pytest.approx(growth, abs=3 * trend.error)


def _fact(seq: int, kind: str = "claimed") -> str:
    fact: dict[str, Any] = {"type": "fact", "job": JOB, "seq": seq, "kind": kind}
    return json.dumps(fact | {"state": "running", "attempt": 1, "at": "", "data": {}})


def _preview(step: int) -> bytes:
    header = PreviewHeader(
        job=UUID(JOB), attempt=1, step=step, steps=9, frames=1, tile_width=8, tile_height=8,
        server_us=0, codec="jpeg", size=0,
    )  # fmt: skip
    return header.pack()


def test_a_fact_that_is_missed_or_told_twice_is_found() -> None:
    for seqs in ((1, 3), (1, 2, 2)):
        person = Person(url="", cookie="")
        for seq in seqs:
            Page(person=person).take(_fact(seq))
        assert len(person.wrong) == 1, seqs


def test_what_goes_back_on_one_connection_is_found_and_a_new_one_may_begin_again() -> None:
    person = Person(url="", cookie="")
    page = Page(person=person)
    page.take(_preview(4))
    page.take(_preview(5))
    assert person.wrong == []
    Page(person=person).take(_preview(3))
    assert person.wrong == []
    page.take(_preview(4))
    assert len(person.wrong) == 1


def test_a_preview_beyond_the_credit_is_found() -> None:
    person = Person(url="", cookie="")
    page = Page(person=person, acknowledges=False)
    for step in (1, 2):
        assert page.take(_preview(step)) is None
    assert person.wrong == []
    page.take(_preview(3))
    assert len(person.wrong) == 1


def test_lines_of_the_log_are_counted_by_what_they_say() -> None:
    lines = [
        f"12:00:01 web    | WARNING jobs.feeds: job {JOB} took 12 s",
        "12:00:02 web    | WARNING jobs.feeds: job 489248ac-0000-4b01-8e2b-7da3d7bfdd13 took 7 s",
        "12:00:03 web    | INFO jobs.feeds: all is well",
    ]
    assert list(log_kinds(lines).values()) == [2]
