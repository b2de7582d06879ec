"""A model's tokenizer, from tokenizer.json or from a SentencePiece vocabulary alone.

Mochi-1's repository holds only the latter, and transformers reads it with two packages more
(sentencepiece, protobuf). What a T5 tokenizer needs of it are two fields, read here.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers.models.t5.tokenization_t5 import T5Tokenizer
from transformers.tokenization_utils_tokenizers import PreTrainedTokenizerFast

EXTRA_IDS = 100  # T5's sentinels, <extra_id_99> first, behind the pieces


def load_tokenizer(folder: Path) -> Any:
    """Callable as transformers' tokenizers are. Raises OSError and ValueError."""
    if (folder / "tokenizer.json").exists():
        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    pieces, charsmap = read_pieces((folder / "spiece.model").read_bytes())
    pieces += [(f"<extra_id_{number}>", 0.0) for number in reversed(range(EXTRA_IDS))]
    return T5Tokenizer(vocab=pieces, _spm_precompiled_charsmap=charsmap or None)


def read_pieces(content: bytes) -> tuple[list[tuple[str, float]], bytes]:
    """(piece, log-probability) in the order of their ids, and the normaliser's table.

    Raises ValueError for what is no SentencePiece model.
    Source: google/sentencepiece, src/sentencepiece_model.proto: ModelProto has pieces in field 1
    (piece 1, score 2) and normalizer_spec in field 3 (precompiled_charsmap 2).
    """
    pieces: list[tuple[str, float]] = []
    charsmap = b""
    for number, value in _fields(content):
        if number == 1:
            piece = dict(_fields(value))
            score = struct.unpack("<f", piece.get(2, b"\0\0\0\0"))[0]
            pieces.append((piece.get(1, b"").decode(), score))
        elif number == 3:
            charsmap = dict(_fields(value)).get(2, b"")
    if not pieces:
        raise ValueError("the SentencePiece model holds no piece")
    return pieces, charsmap


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, value) of a protobuf message's fields; numbers that vary in length come empty."""
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        wire = key & 7
        if wire == 0:
            size, at = 0, _number(message, at)[1]
        elif wire == 2:
            size, at = _number(message, at)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} in a SentencePiece model")
        if at + size > len(message):
            raise ValueError("the SentencePiece model is cut")
        yield key >> 3, message[at : at + size]
        at += size


def _number(message: bytes, at: int) -> tuple[int, int]:
    """A varint and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("the SentencePiece model is cut")
