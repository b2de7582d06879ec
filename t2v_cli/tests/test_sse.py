"""Server-sent events, however the network cuts them."""

from itertools import chain, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from t2v_cli.sse import MAX_BYTES, Parser, TooLong

STREAM = (
    "retry: 2500\n\n"
    'event: fact\nid: 1\ndata: {"seq": 1}\n\n'
    ": still here\n\n"
    'event: snapshot\r\ndata: {"a":\r\ndata: "é"}\r\n\r\n'
    "event: tick\rdata:bare\r\r"
    "unknown: field\ndata\n\n"
    "event: empty\n\n"
    "data: half"
).encode()
HEARD = [
    ("fact", '{"seq": 1}', "1"),
    ("snapshot", '{"a":\n"é"}', "1"),
    ("tick", "bare", "1"),
    ("message", "", "1"),
]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # beside other processes
@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_the_messages_are_the_same_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    parser, edges = Parser(), [0, *sorted(cuts), len(STREAM)]
    parts = [STREAM[a:b] for a, b in pairwise(edges)]
    heard = [message for part in parts for message in parser.feed(part)]
    assert [(each.event, each.data, each.id) for each in heard] == HEARD
    assert (parser.last_id, parser.retry_seconds) == ("1", 2.5)


def test_half_a_message_of_a_broken_connection_is_forgotten_with_its_id() -> None:
    parser = Parser()
    assert list(parser.feed(b'id: 4\ndata: x\n\nid: 5\nevent: fact\ndata: {"hal'))
    parser.forget()
    assert parser.last_id == "4"
    (message,) = parser.feed(b"data: y\n\n")
    assert (message.event, message.data, message.id) == ("message", "y", "4")


@pytest.mark.parametrize("line", [b"x" * 70_000, b"data: " + b"x" * 70_000 + b"\n"])
def test_a_stream_that_never_comes_to_an_end_is_left(line: bytes) -> None:
    parser = Parser()
    parts = [line] * (MAX_BYTES // len(line) + 2)
    with pytest.raises(TooLong):
        list(chain.from_iterable(map(parser.feed, parts)))
