"""A T5 tokenizer comes from a SentencePiece vocabulary alone, as Mochi-1's repository has it."""

import struct
from pathlib import Path

import pytest

from gpu_worker.vocabulary import load_tokenizer, read_pieces

PIECES = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0), ("▁re", -2.0), ("d", -3.0)]
KINDS = {"<pad>": 3, "</s>": 3, "<unk>": 2}


def _field(number: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + length + content


def _model(charsmap: bytes = b"") -> bytes:
    """In the layout of sentencepiece_model.proto, with fields that we do not read."""
    model = b""
    for piece, score in PIECES:
        kind = bytes([3 << 3, KINDS.get(piece, 1)])
        score_bytes = bytes([2 << 3 | 5]) + struct.pack("<f", score)
        model += _field(1, _field(1, piece.encode()) + score_bytes + kind)
    trainer = _field(7, b"corpus.txt") + bytes([4 << 3, 0x80, 0xFA, 0x01])
    return model + _field(2, trainer) + _field(3, _field(1, b"nmt_nfkc") + _field(2, charsmap))


def test_pieces_scores_and_the_normalisers_table_are_read() -> None:
    charsmap = bytes(range(200))
    assert read_pieces(_model(charsmap)) == (PIECES, charsmap)


@pytest.mark.parametrize("content", [b"", b"\x0a", _model()[:-1], b"\x0b\x00", b"\x80" * 10])
def test_what_is_no_vocabulary_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="SentencePiece"):
        read_pieces(content)


def test_a_prompt_becomes_its_pieces_an_end_and_padding(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(_model())
    tokenizer = load_tokenizer(tmp_path)
    read = tokenizer(["a red  x", ""], padding="max_length", max_length=8, truncation=True)
    assert read.input_ids[0] == [3, 4, 5, 2, 1, 0, 0, 0]
    assert read.input_ids[1] == [1, 0, 0, 0, 0, 0, 0, 0]
    assert read.attention_mask[1] == [1, 0, 0, 0, 0, 0, 0, 0]
    cut = tokenizer(["a a a a a a a a a"], padding="max_length", max_length=4, truncation=True)
    assert cut.input_ids == [[3, 3, 3, 1]]
    assert tokenizer.convert_tokens_to_ids("<extra_id_99>") == len(PIECES)


def test_the_bundled_models_tokenizer_is_read_from_its_json(folder: Path) -> None:
    tokens = load_tokenizer(folder / "tokenizer")(["a red circle"]).input_ids[0]
    assert len(tokens) == 4
