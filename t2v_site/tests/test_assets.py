"""What a browser has to fetch before a page is there, as `make run` and as production send it."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from t2v_site.assets import _packed


def _fetched(path: str, **headers: str) -> tuple[Any, bytes]:
    """The answer and its body."""
    answer = Client(headers=headers).get(path)
    return answer, b"".join(answer)  # which closes it, and no connection of an earlier test's


def test_a_stylesheet_comes_compressed_to_who_understands_that(settings: LazySettings) -> None:
    plain, body = _fetched("/static/css/site.css")
    packed, sent = _fetched("/static/css/site.css", accept_encoding="gzip, deflate, br")
    whole = (settings.BASE_DIR / "static/css/site.css").read_bytes()
    assert body == whole
    assert gzip.decompress(sent) == whole
    assert int(packed["Content-Length"]) == len(sent) < len(whole) / 2
    assert packed["Content-Encoding"] == "gzip"
    assert plain.get("Content-Encoding") is None
    assert plain["Vary"] == packed["Vary"] == "Accept-Encoding"
    assert plain["Content-Type"] == packed["Content-Type"] == 'text/css; charset="utf-8"'


def test_a_picture_that_is_compressed_already_comes_as_it_is() -> None:
    answer, _ = _fetched("/static/img/landing.jpg", accept_encoding="gzip")
    assert answer.status_code == 200
    assert answer.get("Content-Encoding") is None


def test_who_changes_a_file_under_the_running_site_is_sent_the_new_one(
    settings: LazySettings, tmp_path: Path
) -> None:
    settings.T2V_VAR = tmp_path / "var"
    file = tmp_path / "a.js"
    for number, words in enumerate((b"first", b"other"), start=1):
        file.write_bytes(words * 200)
        os.utime(file, (number, number))
        assert gzip.decompress(_packed(file).read_bytes()) == words * 200
    assert len(list((tmp_path / "var" / "packed").iterdir())) == 1


def test_a_file_that_is_not_there_is_not_found() -> None:
    assert _fetched("/static/css/none.css", accept_encoding="gzip")[0].status_code == 404


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("ERROR", "django.request")
