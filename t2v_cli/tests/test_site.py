"""Tries, and where a token goes."""

import json
import socket
import time
from collections.abc import Callable
from itertools import count

import pytest

from t2v_cli import site as site_module
from t2v_cli.failures import Code, Failure
from t2v_cli.pauses import Patience
from t2v_cli.site import Site, file_stem
from t2v_cli.tests.odd import OddSite, Reply

Ask = Callable[..., Site]
JOB = Reply(status=201, body=b'{"id": "1"}')
BUSY = Reply(status=503, body=b"{}")


def _limited(seconds: int) -> Reply:
    body = json.dumps({"code": "too_many_jobs", "detail": "Too many."}).encode()
    return Reply(status=429, body=body, headers={"Retry-After": str(seconds)})


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(drops=True),
        Reply(status=502, body=b"<html>", kind="text/html"),
        BUSY,
        Reply(status=504, body=b"", kind="text/plain"),
        Reply(status=201, body=b'{"id"', says_length=100),
    ],
)
def test_a_submit_is_tried_again_with_the_same_key(
    odd: OddSite, ask: Ask, told: list[str], trouble: Reply
) -> None:
    odd.plan("/api/v1/jobs", trouble, trouble, JOB)
    assert ask().post("/api/v1/jobs", {"prompt": "a star"}) == {"id": "1"}
    keys = {each.headers["idempotency-key"] for each in odd.asked}
    assert (len(odd.asked), len(keys)) == (3, 1)
    assert {each.body for each in odd.asked} == {b'{"prompt": "a star"}'}
    assert "Trying again" in told[0]


def test_two_submits_have_two_keys(odd: OddSite, ask: Ask) -> None:
    odd.plan("/api/v1/jobs", JOB)
    site = ask()
    for _ in range(2):
        site.post("/api/v1/jobs", {"prompt": "a star"})
    assert len({each.headers["idempotency-key"] for each in odd.asked}) == 2


def test_the_site_says_when_to_come_back(odd: OddSite, ask: Ask) -> None:
    odd.plan("/api/v1/jobs", _limited(1), JOB)
    began = time.monotonic()
    ask().post("/api/v1/jobs", {})
    assert time.monotonic() - began >= 1


def test_who_should_come_back_too_late_is_told_at_once(odd: OddSite, ask: Ask) -> None:
    odd.plan("/api/v1/jobs", _limited(3600))
    with pytest.raises(Failure, match="Too many") as refused:
        ask(patience_seconds=20).post("/api/v1/jobs", {})
    assert refused.value.code is Code.LIMITED
    assert len(odd.asked) == 1


@pytest.mark.parametrize("status", [400, 403, 409, 500])
def test_what_would_be_refused_again_is_not_tried_again(
    odd: OddSite, ask: Ask, status: int
) -> None:
    odd.plan("/api/v1/jobs", Reply(status=status, body=b'{"code": "x", "detail": "No."}'))
    with pytest.raises(Failure, match=r"No\."):
        ask().post("/api/v1/jobs", {})
    assert len(odd.asked) == 1


def test_a_site_that_is_away_is_waited_for_and_then_given_up(
    ask: Ask, odd: OddSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = count()  # at a clock that goes on by 0.1 s with each, however long a machine stops
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        told: list[str] = []
        site = Site(
            f"http://127.0.0.1:{taken.getsockname()[1]}",
            "t2v_x",
            patience_seconds=1,
            tell=told.append,
        )
        patience = Patience(seconds=1, clock=lambda: next(looks) / 10)
        monkeypatch.setattr(site, "patience", lambda: patience)
        with pytest.raises(Failure, match="cannot be reached") as gone:
            site.get("/api/v1/me")
        site.close()
    assert gone.value.code is Code.UNREACHABLE
    assert told


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"<html>Welcome", kind="text/html"),
        Reply(body=b"{nonsense"),
        Reply(body=b'{"a": 1}', kind="text/plain"),
    ],
)
def test_another_program_behind_the_address_is_told_from_ours(
    odd: OddSite, ask: Ask, reply: Reply
) -> None:
    odd.plan("/api/v1/me", reply)
    with pytest.raises(Failure, match="no Text-to-Video Orchestrator") as refused:
        ask().get("/api/v1/me")
    assert refused.value.code is Code.UNREACHABLE


def test_an_endless_answer_is_not_taken_in(
    odd: OddSite, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "MAX_ANSWER_BYTES", 100_000)
    odd.plan("/api/v1/me", Reply(body=b" " * 100_001))
    with pytest.raises(Failure, match="more than 100000 bytes"):
        ask().get("/api/v1/me")


def test_no_redirect_of_the_api_is_followed(odd: OddSite, storage: OddSite, ask: Ask) -> None:
    moved = {"Location": f"{storage.url}/api/v1/me"}
    odd.plan("/api/v1/me", Reply(status=302, body=b"{}", headers=moved))
    with pytest.raises(Failure, match="elsewhere"):
        ask().get("/api/v1/me")
    assert storage.asked == []


def test_the_token_does_not_go_along_to_the_storage(
    odd: OddSite, storage: OddSite, ask: Ask
) -> None:
    odd.plan("/a", Reply(status=302, headers={"Location": "/b"}))
    odd.plan("/b", Reply(status=302, headers={"Location": f"{storage.url}/c?sign=1"}))
    storage.plan("/c", Reply(body=b"video", kind="video/mp4"))
    with ask().file("/a", {"Range": "bytes=3-", "If-Range": '"x"'}) as response:
        assert response.read() == b"video"
    assert [each.headers.get("authorization") for each in odd.asked] == ["Bearer t2v_secret"] * 2
    (asked,) = storage.asked
    assert asked.path == "/c?sign=1"
    assert asked.headers["range"] == "bytes=3-"
    assert not {"authorization", "if-range", "cookie"} & set(asked.headers)


def test_a_file_is_not_fetched_unencrypted_from_another_machine(odd: OddSite, ask: Ask) -> None:
    odd.plan("/a", Reply(status=302, headers={"Location": "http://192.0.2.1/video.mp4"}))
    with pytest.raises(Failure, match="not encrypted"), ask().file("/a", {}):
        pass


@pytest.mark.parametrize("where", ["http://[::1", "http://127.0.0.1:x/", "ftp://127.0.0.1/a", "//"])
def test_a_file_that_leads_nowhere_is_left(odd: OddSite, ask: Ask, where: str) -> None:
    odd.plan("/a", Reply(status=302, headers={"Location": where}))
    with pytest.raises(Failure), ask().file("/a", {}):
        pass


def test_a_file_that_leads_in_circles_is_left(odd: OddSite, ask: Ask) -> None:
    odd.plan("/a", Reply(status=302, headers={"Location": "/a"}))
    with pytest.raises(Failure, match="circles"), ask().file("/a", {}):
        pass
    assert len(odd.asked) == site_module.MAX_HOPS + 1


@pytest.mark.parametrize("told", ["../x", "/etc/x", "", "..", "a/b", "a\\b", "-x", "\x1b[2J"])
def test_an_id_that_the_site_gives_leads_to_no_other_folder(told: str) -> None:
    assert file_stem("4f8c-1") == "4f8c-1"
    with pytest.raises(Failure):
        file_stem(told)
