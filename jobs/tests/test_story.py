"""The story of a job in words. Pure: its facts are written by hand."""

from typing import Any
from uuid import UUID

import pytest

from jobs import story
from jobs.events import FACT_KINDS, Fact

JOB = UUID(int=1)


def _fact(seq: int, kind: str, *, attempt: int = 1, second: float = 0.0, **data: Any) -> Fact:
    at = f"2026-01-01T00:00:{second:09.6f}+00:00"
    return Fact(job=JOB, seq=seq, kind=kind, state="running", attempt=attempt, at=at, data=data)


def test_an_attempt_is_told_where_it_began_and_what_it_came_to() -> None:
    lines = story.tell(
        [
            _fact(1, "submitted", attempt=0),
            _fact(2, "claimed", second=1, worker="gpu-1"),
            _fact(3, "requeued", second=5, code="worker_lost", message="The attempt was lost."),
            _fact(4, "claimed", attempt=2, second=10, worker="gpu-2"),
            _fact(5, "resumed", attempt=2, second=11, step="40", from_attempt="1"),
            _fact(6, "succeeded", attempt=2, second=22.9),
        ]
    )
    assert [line.words for line in lines] == [
        "Submitted",
        "Attempt 1 on worker gpu-1",
        "Back in the queue: The attempt was lost.",
        "Attempt 2 on worker gpu-2",
        "Went on from step 40 of attempt 1",
        "Video ready",
    ]
    assert [line.came_to for line in lines if line.kind == "claimed"] == [
        "broke off after 4 s",
        "went on from step 40 of attempt 1 · ended well after 12 s",
    ]
    assert [line.ended for line in lines if line.kind == "claimed"] == [True, True]


def test_an_attempt_that_goes_on_has_come_to_nothing_yet() -> None:
    (line,) = story.tell([_fact(1, "claimed", worker="gpu-1")])
    assert (line.came_to, line.ended) == ("", False)


def test_a_cancel_in_the_queue_does_not_end_the_attempt_before_it_twice() -> None:
    lines = story.tell(
        [
            _fact(1, "claimed"),
            _fact(2, "released", second=3),
            _fact(3, "cancelled", second=50),
        ]
    )
    assert lines[0].words == "Attempt 1"  # a worker that nobody wrote down
    assert lines[0].came_to == "handed back after 3 s"


def test_every_kind_of_fact_has_words() -> None:
    assert set(story.WORDS) == FACT_KINDS
    assert set(story.ENDS) < FACT_KINDS


@pytest.mark.parametrize(
    ("code", "begins"),
    [
        ("out_of_memory", "Choose a smaller size"),
        ("model_incomplete", "Tell whoever runs this site: the model's files"),
        ("bad_seed", "Change the prompt"),
        ("nothing_known", ""),
        ("", ""),
    ],
)
def test_an_error_that_ended_a_job_says_what_to_do(code: str, begins: str) -> None:
    (line,) = story.tell([_fact(1, "failed", code=code, message="It broke.")])
    assert line.words == "Failed: It broke."
    assert line.advice.startswith(begins) if begins else line.advice == ""


def test_what_goes_on_gets_no_advice() -> None:
    (line,) = story.tell([_fact(1, "requeued", code="worker_lost", message="Lost.")])
    assert line.advice == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a second"),
        (59, "59 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (7380, "2 h 3 min"),
    ],
)
def test_a_length_of_time_is_said_as_people_say_it(seconds: int, words: str) -> None:
    assert story.span(seconds) == words
