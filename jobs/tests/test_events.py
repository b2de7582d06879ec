"""Events survive the wire, and a preview's header is what docs/reference/live.md says."""

from uuid import UUID

import pytest

from jobs.events import Fact, Previewed, PreviewHeader, Progressed, from_wire, to_wire

JOB = UUID("12345678-1234-5678-1234-567812345678")
HEADER = PreviewHeader(
    job=JOB,
    attempt=2,
    step=31,
    steps=64,
    frames=8,
    tile_width=64,
    tile_height=48,
    server_us=1_790_000_000_123_456,
    codec="webp",
    size=5,
)


@pytest.mark.parametrize(
    "event",
    [
        Fact(
            job=JOB,
            seq=3,
            kind="claimed",
            state="running",
            attempt=1,
            at="2026-11-23T12:00:00+00:00",
            data={"worker": "gpu-1"},
        ),
        Progressed(job=JOB, attempt=1, phase="denoising", step=3, steps=9, seconds_left=None),
        Previewed(job=JOB, attempt=1, step=3),
    ],
)
def test_an_event_comes_back_from_the_wire_as_it_went(event: Fact | Progressed | Previewed) -> None:
    assert from_wire(to_wire(event)) == event


def test_a_preview_header_is_52_bytes_little_endian() -> None:
    packed = HEADER.pack()
    assert len(packed) == 52
    assert packed[:4] == b"TV\x01\x01"
    assert packed[4:20] == JOB.bytes
    assert int.from_bytes(packed[24:28], "little") == 31
    assert PreviewHeader.unpack(packed + b"image") == HEADER


@pytest.mark.parametrize(
    "message", [b"", b"TV", b"XX" + bytes(60), b"TV\x02" + bytes(60), b"TV\x01\x09" + bytes(60)]
)
def test_what_is_no_preview_of_this_version_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="preview"):
        PreviewHeader.unpack(message)


@pytest.mark.parametrize(
    "wire",
    [
        {"type": "tick", "job": str(JOB)},
        {"type": "dance", "job": str(JOB)},
        {"type": "preview", "job": "x", "attempt": 1, "step": 1},
        {"type": "preview", "job": str(JOB), "attempt": "1", "step": 1},
        {"type": "preview", "job": str(JOB), "attempt": 1, "step": None},
        {"type": "preview", "job": str(JOB), "attempt": True, "step": 1},
    ],
)
def test_what_is_no_event_is_refused(wire: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_wire(wire)
