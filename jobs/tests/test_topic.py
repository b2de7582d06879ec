"""What a web process holds of a watched job never goes back, and never has a hole."""

from uuid import UUID

import pytest

from jobs.events import Previewed, PreviewHeader, Progressed
from jobs.topic import HELD_FACTS, Topic, receipt_of

JOB = UUID("12345678-1234-5678-1234-567812345678")


@pytest.fixture
def topic() -> Topic:
    return Topic(JOB, owner=1)


def _tick(attempt: int, step: int) -> Progressed:
    return Progressed(
        job=JOB, attempt=attempt, phase="denoising", step=step, steps=9, seconds_left=None
    )


def _preview(attempt: int, step: int) -> bytes:
    header = PreviewHeader(
        job=JOB,
        attempt=attempt,
        step=step,
        steps=9,
        frames=8,
        tile_width=64,
        tile_height=64,
        server_us=0,
        codec="jpeg",
        size=3,
    )
    return header.pack() + b"jpg"


def _becomes(
    topic: Topic, version: int, *facts: int, state: str = "running", attempt: int = 1
) -> bool:
    return topic.becomes(
        version=version,
        state=state,
        attempt=attempt,
        text=f"snapshot {version}",
        facts=[(seq, f"fact {seq}") for seq in facts],
    )


def test_ticks_and_previews_never_go_backwards_in_attempt_and_step(topic: Topic) -> None:
    order = [(1, 3), (1, 2), (1, 4), (2, 1), (1, 9), (2, 0), (2, 2)]
    taken = [moment for moment in order if topic.takes_tick(_tick(*moment), "")]
    assert taken == [(1, 3), (1, 4), (2, 1), (2, 2)]
    assert [each for each in order if topic.takes_preview(_preview(*each))] == taken


def test_another_phase_of_the_same_step_is_news_and_the_same_preview_is_not(topic: Topic) -> None:
    assert topic.takes_tick(_tick(1, 9), "denoising")
    assert topic.takes_tick(_tick(1, 9), "decoding")
    assert topic.tick == "decoding"
    assert topic.takes_preview(_preview(1, 9))
    assert not topic.takes_preview(_preview(1, 9))
    assert not topic.hears_of(Previewed(job=JOB, attempt=1, step=9))


def test_what_is_no_preview_is_refused(topic: Topic) -> None:
    with pytest.raises(ValueError, match="preview"):
        topic.takes_preview(b"TV\x07" + bytes(60))


def test_another_jobs_preview_and_half_a_one_are_refused(topic: Topic) -> None:
    whole = _preview(1, 1)
    for message in (whole[:-1], whole + b"x", whole[:4] + bytes(16) + whole[20:]):
        with pytest.raises(ValueError, match="preview"):
            topic.takes_preview(message)
    assert topic.takes_preview(whole)


def test_an_older_reading_changes_nothing(topic: Topic) -> None:
    assert _becomes(topic, 3, 1, 2, 3)
    assert not _becomes(topic, 2, 1, 2)
    assert (topic.version, topic.snapshot) == (3, "snapshot 3")
    assert topic.facts_after(0) == [(seq, f"fact {seq}") for seq in (1, 2, 3)]


def test_a_viewer_that_is_behind_gets_just_what_it_lacks(topic: Topic) -> None:
    _becomes(topic, 3, 1, 2, 3)
    assert topic.facts_after(2) == [(3, "fact 3")]
    assert topic.facts_after(3) == []
    assert topic.facts_after(7) == []


def test_a_hole_is_never_bridged(topic: Topic) -> None:
    _becomes(topic, 3, 2, 3)  # the first viewer had fact 1 already
    assert topic.facts_after(0) is None
    assert topic.facts_after(1) == [(2, "fact 2"), (3, "fact 3")]
    _becomes(topic, 6)  # read for somebody who gets snapshots only
    assert topic.facts_after(3) is None
    _becomes(topic, 7, 7)
    assert topic.facts_after(3) is None
    assert topic.facts_after(6) == [(7, "fact 7")]


def test_what_is_held_is_bounded(topic: Topic) -> None:
    _becomes(topic, 500, *range(1, 501))
    assert len(topic.facts) == HELD_FACTS
    assert topic.facts_after(10) is None
    assert topic.facts_after(499) == [(500, "fact 500")]


def test_the_end_lets_go_of_what_was_only_live(topic: Topic) -> None:
    topic.takes_tick(_tick(1, 3), "tick")
    topic.takes_preview(_preview(1, 3))
    _becomes(topic, 3, 1, 2, 3, state="succeeded")
    assert (topic.tick, topic.preview, topic.final) == ("", None, True)
    assert not topic.takes_tick(_tick(1, 4), "late")
    assert not topic.takes_preview(_preview(1, 4))
    assert not topic.hears_of(Previewed(job=JOB, attempt=1, step=5))


def test_what_a_late_attempt_says_is_not_shown(topic: Topic) -> None:
    topic.takes_tick(_tick(1, 9), "tick")
    topic.takes_preview(_preview(1, 9))
    _becomes(topic, 4, 4, attempt=2)
    assert (topic.tick, topic.preview) == ("", None)
    assert not topic.takes_tick(_tick(1, 10), "late")
    assert not topic.takes_preview(_preview(1, 10))
    assert not topic.hears_of(Previewed(job=JOB, attempt=1, step=10))
    assert topic.takes_tick(_tick(2, 0), "tick")
    assert topic.takes_preview(_preview(2, 1))


def test_a_tick_that_is_ahead_of_what_is_read_of_its_job_is_kept(topic: Topic) -> None:
    tick = _tick(1, 9)
    assert topic.takes_tick(tick, "1/9")
    _becomes(topic, version=1, state="queued", attempt=0)
    _becomes(topic, version=2, state="running", attempt=1)
    assert topic.tick == "1/9"
    _becomes(topic, version=3, state="queued", attempt=1)  # handed back
    assert topic.tick == ""


def test_a_history_that_went_back_is_forgotten_whole(topic: Topic) -> None:
    _becomes(topic, 3, 1, 2, 3, attempt=2)
    topic.takes_tick(_tick(2, 9), "tick")
    topic.takes_preview(_preview(2, 9))
    topic.forget()
    assert _becomes(topic, 2, 1, 2, attempt=1)
    assert topic.facts_after(0) == [(1, "fact 1"), (2, "fact 2")]
    assert topic.takes_tick(_tick(1, 3), "tick")
    assert topic.takes_preview(_preview(1, 3))


def test_a_place_is_told_when_it_changes(topic: Topic) -> None:
    assert topic.takes_place(3)
    assert not topic.takes_place(3)
    assert topic.takes_place(2)


def test_a_receipt_is_what_a_page_writes() -> None:
    assert receipt_of(JOB, (2, 31)) == (
        '{"type":"ack","job":"12345678-1234-5678-1234-567812345678","attempt":2,"step":31}'
    )
