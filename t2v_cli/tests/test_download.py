"""A file comes whole or not at all."""

import fcntl
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from t2v_cli.download import Remote, is_there, save
from t2v_cli.failures import Code, Failure
from t2v_cli.site import Site
from t2v_cli.tests.odd import OddSite, Reply

Ask = Callable[..., Site]
CONTENT = bytes(range(256)) * 40
SHA = hashlib.sha256(CONTENT).hexdigest()
VIDEO = Remote(name="video.mp4", url="/v", size=len(CONTENT), sha256=SHA)
WHOLE = Reply(body=CONTENT, kind="video/mp4")


def _from(start: int, content: bytes = CONTENT) -> Reply:
    said = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
    return Reply(status=206, body=content[start:], kind="video/mp4", headers=said)


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.{SHA[:16]}.part")


def _ranges(odd: OddSite) -> list[str | None]:
    return [each.headers.get("range") for each in odd.of("/v")]


def _save(site: Site, target: Path) -> list[int]:
    seen: list[int] = []
    save(site, lambda: VIDEO, target, progress=seen.append)
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]
    return seen


def test_a_broken_download_goes_on_where_it_was(odd: OddSite, ask: Ask, tmp_path: Path) -> None:
    odd.plan("/v", Reply(body=CONTENT[:4000], says_length=len(CONTENT)), _from(4000))
    seen = _save(ask(), tmp_path / "a.mp4")
    assert _ranges(odd) == [None, "bytes=4000-"]
    assert odd.asked[1].headers["if-range"] == f'"{SHA}"'
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)


def test_another_run_goes_on_as_well(odd: OddSite, ask: Ask, tmp_path: Path) -> None:
    _part(tmp_path / "a.mp4").write_bytes(CONTENT[:5000])
    odd.plan("/v", _from(5000))
    _save(ask(), tmp_path / "a.mp4")
    assert _ranges(odd) == ["bytes=5000-"]


def test_what_is_complete_is_only_checked(odd: OddSite, ask: Ask, tmp_path: Path) -> None:
    _part(tmp_path / "a.mp4").write_bytes(CONTENT)
    _save(ask(), tmp_path / "a.mp4")
    assert odd.asked == []
    assert is_there(VIDEO, tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("have", "replies"),
    [
        (b"x" * 5000, [_from(5000), WHOLE]),  # half of something else
        (b"x" * 99_999, [WHOLE]),  # more than there is
        (CONTENT[:5000], [Reply(status=416), WHOLE]),
        (CONTENT[:5000], [_from(5001), WHOLE]),  # another range than was asked for
        (b"", [Reply(body=CONTENT + bytes(1_000_000)), WHOLE]),
        (b"", [Reply(body=bytes(len(CONTENT))), WHOLE]),
    ],
)
def test_whatever_went_wrong_the_file_is_fetched_anew_once(
    odd: OddSite, ask: Ask, told: list[str], *, tmp_path: Path, have: bytes, replies: list[Reply]
) -> None:
    _part(tmp_path / "a.mp4").write_bytes(have)
    odd.plan("/v", *replies)
    seen = _save(ask(), tmp_path / "a.mp4")
    assert len(odd.asked) == len(replies)
    (sentence,) = told
    assert "anew" in sentence
    assert all(count <= len(CONTENT) for count in seen if count != len(have))


def test_a_site_without_ranges_sends_the_whole_once(
    odd: OddSite, ask: Ask, told: list[str], tmp_path: Path
) -> None:
    _part(tmp_path / "a.mp4").write_bytes(CONTENT[:5000])
    odd.plan("/v", WHOLE)
    _save(ask(), tmp_path / "a.mp4")
    assert (len(odd.asked), told) == (1, [])


def test_another_file_than_promised_is_not_kept(odd: OddSite, ask: Ask, tmp_path: Path) -> None:
    odd.plan("/v", Reply(body=bytes(len(CONTENT))))
    with pytest.raises(Failure, match="SHA-256") as refused:
        save(ask(), lambda: VIDEO, tmp_path / "a.mp4", progress=lambda _: None)
    assert refused.value.code is Code.UNREACHABLE
    assert not (tmp_path / "a.mp4").exists()
    assert len(odd.asked) == 2


def test_a_file_that_never_gets_on_is_given_up(odd: OddSite, ask: Ask, tmp_path: Path) -> None:
    _part(tmp_path / "a.mp4").write_bytes(CONTENT[:9])
    odd.plan("/v", Reply(status=503, kind="text/html"))
    with pytest.raises(Failure) as gone:
        save(ask(patience_seconds=1), lambda: VIDEO, tmp_path / "a.mp4", progress=lambda _: None)
    assert gone.value.code is Code.UNREACHABLE
    assert _part(tmp_path / "a.mp4").read_bytes() == CONTENT[:9]


@pytest.mark.parametrize(("status", "code"), [(404, Code.NOT_FOUND), (403, Code.FORBIDDEN)])
def test_a_file_that_is_gone_is_told_at_once(
    odd: OddSite, ask: Ask, tmp_path: Path, status: int, code: Code
) -> None:
    odd.plan("/v", Reply(status=status, body=b"<html>", kind="text/html"))
    with pytest.raises(Failure) as gone:
        save(ask(), lambda: VIDEO, tmp_path / "a.mp4", progress=lambda _: None)
    assert (gone.value.code, len(odd.asked)) == (code, 1)


def test_two_programs_do_not_write_one_file(odd: OddSite, ask: Ask, tmp_path: Path) -> None:
    with _part(tmp_path / "a.mp4").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Failure, match="Another t2v"):
            save(ask(), lambda: VIDEO, tmp_path / "a.mp4", progress=lambda _: None)
    assert odd.asked == []


def test_a_folder_that_takes_no_file_is_told(odd: OddSite, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    odd.plan("/v", WHOLE)
    with pytest.raises(Failure, match="cannot be written") as refused:
        save(ask(), lambda: VIDEO, tmp_path / "file" / "a.mp4", progress=lambda _: None)
    assert refused.value.code is Code.USAGE


def test_a_link_that_became_too_old_is_asked_for_anew(
    odd: OddSite, storage: OddSite, ask: Ask, tmp_path: Path
) -> None:
    old, new = replace(VIDEO, url=f"{storage.url}/old"), replace(VIDEO, url=f"{storage.url}/new")
    storage.plan("/old", Reply(status=403, body=b"<Error>", kind="application/xml"))
    storage.plan("/new", WHOLE)
    links = iter([old, new])
    save(ask(), lambda: next(links), tmp_path / "a.mp4", progress=lambda _: None)
    assert (tmp_path / "a.mp4").read_bytes() == CONTENT
    assert [each.headers.get("authorization") for each in storage.asked] == [None, None]
