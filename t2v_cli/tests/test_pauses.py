"""When the next try comes."""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from t2v_cli.pauses import MOST_SECONDS, Patience, retry_after


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _patience(seconds: float, clock: Clock, dice: float = 1.0) -> Patience:
    return Patience(seconds=seconds, clock=clock, dice=lambda: dice)


def test_pauses_grow_and_end_with_the_patience() -> None:
    clock = Clock()
    patience, pauses = _patience(60, clock), []
    while (pause := patience.next_pause()) is not None:
        pauses.append(pause)
        clock.now += pause
    assert pauses == [0.5, 1, 2, 4, 8, 15, 15]
    assert sum(pauses) <= 60 < sum(pauses) + MOST_SECONDS


def test_without_patience_there_is_one_try() -> None:
    assert _patience(0, Clock()).next_pause() is None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # beside other processes
@given(asked=st.floats(0, 100), dice=st.floats(0, 1))
def test_no_pause_is_shorter_than_the_site_asked_for(asked: float, dice: float) -> None:
    pause = _patience(1000, Clock(), dice).next_pause(asked)
    assert pause is not None
    assert asked <= pause <= max(1.25 * asked, 0.5)


def test_a_wait_beyond_the_patience_is_not_begun() -> None:
    assert _patience(60, Clock()).next_pause(61) is None


def test_patience_counts_from_the_last_thing_that_went_well() -> None:
    clock = Clock()
    patience = _patience(10, clock)
    clock.now += 9.9
    assert patience.next_pause() is None
    patience.renew()
    assert patience.next_pause() == 0.5


NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        (" 0 ", 0.0),
        ("Thu, 26 Nov 2026 12:02:00 GMT", 120.0),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0.0),
        ("Thu, 26 Nov 2026 12:00:10 -0000", 10.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("9" * 400, None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds
