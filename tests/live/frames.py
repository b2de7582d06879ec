"""WebSocket frames by hand (RFC 6455): also those that no library would send."""

import struct

TEXT, BINARY, CONTINUATION, CLOSE, PING = 1, 2, 0, 8, 9
MASK = b"\x01\x02\x03\x04"


def frame(
    payload: bytes,
    opcode: int = TEXT,
    *,
    last: bool = True,
    masked: bool = True,
    reserved: int = 0,
    says: int | None = None,
) -> bytes:
    """says: another length than the payload's, in the longest form."""
    length = len(payload) if says is None else says
    first = (last << 7) | (reserved << 4) | opcode
    mask_bit = masked << 7
    if says is None and length < 126:
        head = struct.pack("!BB", first, mask_bit | length)
    elif says is None and length < 1 << 16:
        head = struct.pack("!BBH", first, mask_bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, length)
    if not masked:
        return head + payload
    whole = len(payload) // 4 + 1
    mask = (MASK * whole)[: len(payload)]
    return head + MASK + bytes(a ^ b for a, b in zip(payload, mask, strict=True))


def fragments(payload: bytes, size: int) -> bytes:
    """One text message in pieces of so many bytes."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    return b"".join(
        frame(piece, TEXT if number == 0 else CONTINUATION, last=number == len(pieces) - 1)
        for number, piece in enumerate(pieces)
    )
