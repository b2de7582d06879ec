"""Whoever hears nothing by a stream asks instead."""

import json
import queue
from collections.abc import Callable

import pytest

from t2v_cli import follow as follow_module
from t2v_cli.failures import Code, Failure
from t2v_cli.follow import News, follow
from t2v_cli.site import Site
from t2v_cli.tests.odd import OddSite, Reply

Ask = Callable[..., Site]


def _job(state: str) -> Reply:
    return Reply(body=json.dumps({"id": "1", "state": state}).encode())


def _stream(text: str) -> Reply:
    return Reply(body=text.encode(), kind="text/event-stream")


def _told(state: str, seq: int) -> str:
    job = {"id": "1", "state": state}
    parts = [{"type": "fact", "job": "1", "seq": seq}, {"type": "snapshot", "job": job}]
    lines = f"id: {seq}\n", ""
    return "".join(f"{id}data: {json.dumps(p)}\n\n" for id, p in zip(lines, parts, strict=True))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_module, "ASK_SECONDS", 0.01)


def _states(heard: "queue.Queue[News | Failure]") -> list[str]:
    """Of the snapshots, until the job has ended."""
    states = [""]
    while states[-1] not in follow_module.FINAL:
        news = heard.get(timeout=30)
        assert isinstance(news, News), news
        if news.message["type"] == "snapshot":
            states.append(news.message["job"]["state"])
    return states[1:]


def test_a_stream_goes_on_after_the_last_fact_that_was_heard(odd: OddSite, ask: Ask) -> None:
    begun = "retry: 10\n\n" + _told("running", 2) + 'data: {"type": "tick", "half'
    odd.plan("/api/v1/jobs/1/events", _stream(begun), _stream(_told("succeeded", 3)))
    assert _states(follow(ask(), ["1"])) == ["running", "succeeded"]
    ids = [each.headers.get("last-event-id") for each in odd.of("/api/v1/jobs/1/events")]
    assert ids == [None, "2"]
    assert odd.of("/api/v1/jobs/1") == []


@pytest.mark.parametrize(
    "stream",
    [
        Reply(status=503, body=b"{}"),
        Reply(status=429, body=b"{}"),
        Reply(drops=True),
        _stream(""),
        _stream("data: nonsense\n\n"),
        _stream("data: [1]\n\n"),
        _stream('data: {"type": "snapshot"}\n\n'),
    ],
)
def test_where_streams_say_nothing_the_job_is_asked_for(
    odd: OddSite, ask: Ask, stream: Reply
) -> None:
    odd.plan("/api/v1/jobs/1/events", stream)
    odd.plan("/api/v1/jobs/1", _job("queued"), *5 * [_job("running")], _job("failed"))
    assert _states(follow(ask(), ["1"])) == ["queued", *5 * ["running"], "failed"]
    # Then a stream is not tried again for a minute.
    assert len(odd.of("/api/v1/jobs/1/events")) == follow_module.BARREN


def test_a_stream_that_has_said_everything_before_leaves_the_end_to_be_asked_for(
    odd: OddSite, ask: Ask
) -> None:
    odd.plan("/api/v1/jobs/1/events", Reply(status=204))
    odd.plan("/api/v1/jobs/1", _job("cancelled"))
    assert _states(follow(ask(), ["1"])) == ["cancelled"]


def test_a_job_that_is_not_there_ends_the_watch(odd: OddSite, ask: Ask) -> None:
    gone = Reply(status=404, body=b'{"code": "not_found", "detail": "No such job."}')
    odd.plan("/api/v1/jobs/1/events", gone)
    odd.plan("/api/v1/jobs/1", gone)
    failure = follow(ask(), ["1"]).get(timeout=30)
    assert isinstance(failure, Failure)
    assert failure.code is Code.NOT_FOUND


def test_a_site_that_stays_away_ends_the_watch(odd: OddSite, ask: Ask) -> None:
    odd.plan("/api/v1/jobs/1/events", Reply(drops=True))
    odd.plan("/api/v1/jobs/1", Reply(drops=True))
    failure = follow(ask(patience_seconds=0.2), ["1"]).get(timeout=30)
    assert isinstance(failure, Failure)
    assert failure.code is Code.UNREACHABLE


def test_many_jobs_share_a_stream_and_the_silent_ones_are_asked_for(
    odd: OddSite, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [str(number) for number in range(follow_module.MOST_STREAMS + 1)]
    spoken = {"id": "0", "state": "succeeded"}, {"id": "stranger", "state": "succeeded"}
    lines = [json.dumps({"type": "snapshot", "job": job}) for job in spoken]
    odd.plan("/api/v1/events", _stream("".join(f"data: {line}\n\n" for line in lines)))
    for job in ids[1:]:
        body = json.dumps({"id": job, "state": "succeeded"}).encode()
        odd.plan(f"/api/v1/jobs/{job}", Reply(body=body))
    heard = follow(ask(), ids)
    first = heard.get(timeout=30)
    monkeypatch.setattr(follow_module, "SILENT_SECONDS", 0.0)  # since the stream has spoken
    told = [first, *(heard.get(timeout=30) for _ in ids[1:])]
    assert sorted(each.job for each in told if isinstance(each, News)) == ids
    assert odd.of("/api/v1/jobs/0") == []
    assert heard.empty()
