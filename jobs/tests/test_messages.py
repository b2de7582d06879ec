"""What a viewer may say, to the letter."""

import json
from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.messages import (
    MAX_BYTES,
    Acknowledge,
    FromViewer,
    Ping,
    Pong,
    ShowTicket,
    Subscribe,
    TooLarge,
    Unsubscribe,
    parse,
)

JOB = UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ({"type": "subscribe", "job": str(JOB)}, Subscribe(JOB, 0)),
        ({"type": "subscribe", "job": str(JOB), "after": 7}, Subscribe(JOB, 7)),
        ({"type": "subscribe", "mine": True}, Subscribe(None)),
        ({"type": "unsubscribe", "job": str(JOB)}, Unsubscribe(JOB)),
        ({"type": "unsubscribe", "mine": True}, Unsubscribe(None)),
        ({"type": "ack", "job": str(JOB), "attempt": 1, "step": 0}, Acknowledge(JOB, 1, 0)),
        ({"type": "ping"}, Ping()),
        ({"type": "pong", "n": 3}, Pong(3)),
        ({"type": "ticket", "ticket": "t2vt_x"}, ShowTicket("t2vt_x")),
    ],
)
def test_each_message_is_understood(message: dict[str, object], meaning: FromViewer) -> None:
    assert parse(json.dumps(message)) == meaning
    # A newer page may say more than we know.
    assert parse(json.dumps(message | {"more": [1]})) == meaning


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "null",
        "[]",
        "7",
        '{"type": ["ping"]}',
        '{"type": "dance"}',
        '{"type": "subscribe", "mine": 1}',
        '{"type": "subscribe", "job": "12345678123456781234567812345678"}',
        '{"type": "subscribe", "job": "{12345678-1234-5678-1234-5678123456}"}',
        '{"type": "subscribe", "job": "12345678-1234-5678-1234-56781234567g"}',
        f'{{"type": "subscribe", "job": "{JOB}", "after": -1}}',
        f'{{"type": "subscribe", "job": "{JOB}", "after": 1.0}}',
        f'{{"type": "subscribe", "job": "{JOB}", "after": "1"}}',
        f'{{"type": "subscribe", "job": "{JOB}", "after": 2147483648}}',
        f'{{"type": "subscribe", "job": "{JOB}", "after": {"9" * 4000}}}',
        '{"type": "pong"}',
        '{"type": "pong", "n": true}',
        '{"type": "ticket", "ticket": 7}',
        '{"a":' * 600,
        "[" * 4000,
    ],
)
def test_anything_else_is_refused(text: str | None) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        parse(text)


def test_more_than_4_kilobytes_are_refused_whatever_they_say() -> None:
    fits = json.dumps({"type": "ping"}).ljust(MAX_BYTES)
    assert parse(fits) == Ping()
    with pytest.raises(TooLarge):
        parse(fits + " ")
    with pytest.raises(TooLarge):  # bytes count, not characters
        parse('{"type": "ping", "pad": "' + "é" * (MAX_BYTES // 2) + '"}')


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
_KINDS = st.sampled_from(["subscribe", "unsubscribe", "ack", "ping", "pong", "ticket"])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # beside other processes
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "type": _KINDS | _VALUES,
            "job": st.just(str(JOB)) | _VALUES,
            **dict.fromkeys(("after", "attempt", "step", "n", "mine", "ticket"), _VALUES),
        },
    )
)
def test_whatever_comes_is_understood_or_refused(message: dict[str, object]) -> None:
    with suppress(ValueError):
        parse(json.dumps(message))
