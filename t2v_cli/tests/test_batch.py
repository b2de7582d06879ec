"""Files of prompts."""

import io

import pytest

from t2v_cli import batch
from t2v_cli.batch import Wish
from t2v_cli.failures import Code, Failure


def _read(text: str, **usual: object) -> list[Wish]:
    return batch.read(io.StringIO(text), "jobs.txt", usual)


def test_each_line_is_a_prompt_and_keeps_its_number() -> None:
    wishes = _read("\ufeffa red circle\n\n  a blue square  \r\n# a star", steps=8)
    assert wishes == [
        Wish(line=1, body={"prompt": "a red circle", "steps": 8}),
        Wish(line=3, body={"prompt": "a blue square", "steps": 8}),
        Wish(line=4, body={"prompt": "# a star", "steps": 8}),
    ]


def test_a_line_of_json_goes_before_the_options() -> None:
    (wish,) = _read('{"prompt": "a star", "steps": 16}', steps=8, seed=1)
    assert wish.body == {"prompt": "a star", "steps": 16, "seed": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no prompt"),
        ("\n \n", "holds no prompt"),
        ('a star\n{"prompt": ', "line 2: this is no JSON"),
        ('{"a": ' * 20_000 + "\n", "is too long"),
        ('{"a":' * 10_000 + "\n", "this is no JSON"),
        ("x" * 200_000, "line 1 is too long"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(text: str, said: str) -> None:
    with pytest.raises(Failure, match=said) as refused:
        _read(text)
    assert refused.value.code is Code.USAGE


def test_other_bytes_than_utf_8_are_refused() -> None:
    file = io.TextIOWrapper(io.BytesIO(b"a star\n\xff\xfe\n"), encoding="utf-8")
    with pytest.raises(Failure, match="no UTF-8"):
        batch.read(file, "jobs.txt", {})


def test_a_file_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MOST_JOBS", 3)
    with pytest.raises(Failure, match="more than 3 jobs"):
        _read("a star\n" * 4)


def test_500_go_at_once() -> None:
    parts = list(batch.parts(_read("a star\n" * 1001)))
    assert [len(part) for part in parts] == [500, 500, 1]


def test_a_refused_field_is_told_at_its_line() -> None:
    part = [Wish(line=3, body={}), Wish(line=7, body={})]
    fields = {"jobs[1].steps": "Too many.", "jobs[0]": "Odd.", "jobs[9].x": "Where?", "jobs": "No."}
    told = batch.at_lines(Failure("Bad.", Code.USAGE, fields=fields), part, "f.txt")
    assert told.fields == {
        "f.txt, line 7, steps": "Too many.",
        "f.txt, line 3": "Odd.",
        "jobs[9].x": "Where?",
        "jobs": "No.",
    }
