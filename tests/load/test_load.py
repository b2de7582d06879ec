"""The load run itself: its seed, its bounds, its patience, its arithmetic and its verdict."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from jobs.events import PreviewHeader
from tests.load import measures, options, patience, plan, records, verdict
from tests.load.following import Following
from tests.load.options import BadOptions
from tests.load.plan import Character
from tests.load.records import Ending, Record
from tests.load.watch import part_of

HONEST = Character(kind="program", impatient=False)
IMPATIENT = Character(kind="program", impatient=True)
JOB = "489248ac-4571-4b01-8e2b-7da3d7bfdd13"


def _crowd(seed: int) -> list[tuple[Character, list[plan.Visit]]]:
    people = [plan.character(seed, user, pages=True) for user in range(30)]
    return [
        (one, list(islice(plan.visits(seed, user, one.kind), 20)))
        for user, one in enumerate(people)
    ]


# --- The plan -----------------------------------------------------------------------------------


def test_one_seed_makes_one_crowd_and_another_seed_another() -> None:
    assert _crowd(5) == _crowd(5)
    assert _crowd(5) != _crowd(6)


def test_all_kinds_come_and_what_one_does_is_not_what_its_neighbour_does() -> None:
    crowd = _crowd(5)
    assert {one.kind for one, _ in crowd} == set(plan.KINDS)
    assert {one.impatient for one, _ in crowd} == {True, False}
    assert len({visits[0].seed for _, visits in crowd}) == len(crowd)


def test_without_sessions_nobody_comes_with_a_browser() -> None:
    found = {plan.character(5, user, pages=False).kind for user in range(50)}
    assert found == {"program", "videos"}


@pytest.mark.parametrize("shape", options.SHAPES)
def test_a_shape_stays_within_its_users_and_ends(shape: str) -> None:
    counts = [plan.users_at(shape, s, users=40, seconds=100) for s in range(100)]
    assert all(count is not None and 1 <= count <= 40 for count in counts)
    assert max(count for count in counts if count is not None) == 40
    assert plan.users_at(shape, 100, users=40, seconds=100) is None


def test_a_burst_is_ten_times_what_was_before_and_goes_again() -> None:
    def at(second: float) -> int | None:
        return plan.users_at("burst", second, users=40, seconds=100)

    assert (at(14), at(15), at(49), at(50)) == (4, 40, 40, 4)


# --- What may be asked for ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000", "http://127.9.9.9"],
)
def test_this_machine_may_be_loaded(url: str) -> None:
    found = options.parse(["--url", url, "--token-file", "tokens"])
    assert found.url == url


@pytest.mark.parametrize(
    "url",
    ["https://videos.example.com", "http://10.0.0.7:8000", "http://localhost.example.com",
     "http://127.0.0.1.example.com", "http://0.0.0.0:8000"],
)  # fmt: skip
def test_another_machine_is_refused_unless_it_is_asked_for_in_so_many_words(url: str) -> None:
    with pytest.raises(BadOptions, match="is not this machine"):
        options.parse(["--url", url, "--token-file", "tokens"])
    assert options.parse(["--url", url, "--token-file", "tokens", "--not-loopback"]).url == url


@pytest.mark.parametrize(
    "words",
    ["--users 501", "--users 0", "--minutes 721", "--jobs 100001", "--disk-mb 1",
     "--url http://localhost", "--token-file tokens", "--url ftp://localhost --token-file t"],
)  # fmt: skip
def test_what_has_no_bounds_or_makes_no_sense_is_refused(words: str) -> None:
    with pytest.raises(BadOptions):
        options.parse(words.split())


# --- Patience -----------------------------------------------------------------------------------


def _wait(who: Character, *, tries: int = 1, retry_after: float | None) -> float | None:
    return patience.wait(who, tries=tries, retry_after=retry_after, nudges=(0.5, 0.7))


def test_an_honest_client_comes_when_it_is_told_to_and_never_without_being_told() -> None:
    assert _wait(HONEST, retry_after=17.0) == 17.0
    assert _wait(HONEST, retry_after=None) is None
    assert _wait(HONEST, retry_after=patience.LONGEST_SECONDS + 1) is None
    assert _wait(HONEST, tries=patience.TRIES, retry_after=1.0) is None


def test_an_impatient_client_comes_when_it_likes_and_gives_up_in_the_end() -> None:
    assert [_wait(IMPATIENT, tries=n, retry_after=17.0) for n in (1, 2, 3)] == [0.5, 0.7, None]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("17", 17.0), (" 3 ", 3.0), (None, None), ("", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)],
)
def test_a_retry_after_is_read_in_seconds(header: str | None, seconds: float | None) -> None:
    assert patience.seconds_of(header) == seconds


# --- Following ----------------------------------------------------------------------------------


def test_a_follower_measures_what_happened_since_it_came_and_resumes_behind_it() -> None:
    following = Following(job=JOB, since=100.0)

    def fact(seq: int, second: int, state: str) -> str:
        at = f"1970-01-01T00:{second // 60:02}:{second % 60:02}+00:00"
        return json.dumps({"type": "fact", "job": JOB, "seq": seq, "at": at, "state": state})

    following.take(fact(1, 90, "queued"), now=120.0)
    assert following.fact_ms == []  # history
    following.take(fact(2, 110, "running"), now=110.25)
    assert following.fact_ms == [250.0]
    assert json.loads(following.subscription())["after"] == 2
    assert not following.over
    following.take(fact(3, 115, "succeeded"), now=115.0)
    assert following.over


def test_a_follower_answers_pings_and_acknowledges_previews_with_their_age() -> None:
    following = Following(job=JOB, since=0.0)
    assert json.loads(following.take('{"type":"ping","n":4}', now=1.0) or "") == {
        "type": "pong",
        "n": 4,
    }
    header = PreviewHeader(
        job=UUID(JOB), attempt=2, step=7, steps=9, frames=1, tile_width=8, tile_height=8,
        server_us=3_000_000, codec="jpeg", size=0,
    )  # fmt: skip
    answer = json.loads(following.take(header.pack(), now=3.5) or "")
    assert answer == {"type": "ack", "job": JOB, "attempt": 2, "step": 7}
    assert following.preview_ms == [500.0]


# --- What the records come to -------------------------------------------------------------------


def _submit(
    wish: str, status: int = 201, *, attempt: int = 1, impatient: bool = False, **more: Any
) -> Record:
    refused = status != 201
    usual = {
        "surface": "v1",
        "code": "queue_full" if refused else "",
        "retry_after": 5.0 if refused else None,
        "ms": 10.0,
        "job": "" if refused else wish * 32,
        "promised_wait": None if refused else 1.0,
        "promised_eta": None if refused else 3.0,
    }
    told = {"kind": "submit", "at": 0.0, "wish": wish, "status": status, "attempt": attempt}
    return told | {"impatient": impatient} | usual | more


def _ending(wish: str, state: str = "succeeded", **more: Any) -> Ending:
    return replace(
        Ending(job=wish * 32, state=state, attempts=1, submitted=0.0, claimed=4.0, ended=5.0),
        **more,
    )


def test_a_spread_names_values_that_came() -> None:
    found = measures.spread(float(n) for n in range(1, 101))
    assert found == {"count": 100, "p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert measures.spread([7.0])["p99"] == 7.0
    assert measures.spread([])["p50"] is None


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        ({"status": 201}, "accepted"),
        ({"status": 503}, "refused"),
        ({"status": 429, "code": "too_many_jobs"}, "refused"),
        ({"status": 503, "retry_after": None}, "broken"),
        ({"status": 503, "code": "database_unavailable"}, "broken"),
        ({"status": 500, "retry_after": None}, "broken"),
        ({"status": 0, "retry_after": None}, "broken"),
        ({"status": 400, "retry_after": None}, "broken"),
    ],
)
def test_a_refusal_says_when_to_come_again_and_all_else_is_broken(
    more: dict[str, Any], outcome: str
) -> None:
    assert measures.outcome(_submit("a", **more)) == outcome


def test_whoever_came_when_told_to_is_counted_by_what_came_of_it() -> None:
    found = measures.come_back(
        [
            *(_submit("a", 503), _submit("a", attempt=2)),
            *(_submit("b", 503), _submit("b", 503, attempt=2), _submit("b", attempt=3)),
            *(_submit("c", 503, impatient=True), _submit("c", 503, attempt=2, impatient=True)),
            _submit("d"),
        ],
        [{"kind": "gave_up", "at": 0.0, "wish": "c", "impatient": True}],
    )
    assert found["honest"] == {
        "wishes_refused": 2,
        "came_again": 3,
        "accepted_then": 2,
        "fraction": 0.667,
        "gave_up": 0,
    }
    assert found["impatient"]["fraction"] == 0.0
    assert found["impatient"]["gave_up"] == 1


def test_a_wait_is_held_against_what_was_promised() -> None:
    endings = {e.job: e for e in (_ending("a"), _ending("b", attempts=2), _ending("c", claimed=2))}
    found = measures.waits([_submit("a"), _submit("b"), _submit("c")], endings)
    assert found["waited_seconds"]["count"] == 2  # the second attempt's claim is no wait
    assert found["waited_seconds"]["max"] == 4.0
    assert found["wait_late_seconds"]["max"] == 3.0
    assert found["done_late_seconds"]["max"] == 2.0


def test_a_job_that_the_site_does_not_know_or_never_ends_is_lost() -> None:
    submits = [_submit(wish) for wish in "abcde"] + [_submit("f", 503)]
    endings = {
        e.job: e
        for e in (
            _ending("a"),
            _ending("b", "parked"),
            _ending("c", "running", ended=None),
            _ending("d", "cancelled"),
            _ending("9"),
        )
    }
    found = measures.jobs(submits, endings, 1)
    assert found["lost"] == ["e" * 32, "c" * 32]
    assert found["ended_badly"] == 1
    assert found["nobody_was_told"] == 1
    assert found["accepted"] == 5


def _measured(**changes: Any) -> dict[str, Any]:
    """Of a run in which all was well."""
    submits = [_submit("a")]
    told = {
        "jobs": measures.jobs(submits, {"a" * 32: _ending("a")}, 0),
        "admission": measures.admission(submits),
        "come_back": measures.come_back(submits, []),
        "wait": measures.waits(submits, {}),
        "live": measures.live([{"kind": "fact", "at": 0.0, "ms": 20.0}]),
        "errors": measures.errors([]),
        "run_errors": [],
    }
    return told | changes


def _request(status: int, **more: Any) -> Record:
    told = {"kind": "request", "at": 0.0, "name": "v1 get", "status": status, "ms": 1.0}
    return told | {"code": "", "retry_after": None} | more


def test_a_run_fails_by_a_lost_job_or_an_error_and_not_by_a_slow_answer() -> None:
    def code(**changes: Any) -> int:
        return verdict.exit_code(verdict.judge(_measured(**changes)))

    assert code() == 0
    assert code(jobs=measures.jobs([_submit("a")], {}, 0)) == 1
    assert code(errors=measures.errors([_request(500)])) == 1
    assert code(errors=measures.errors([_request(503, code="database_unavailable")])) == 1
    assert code(errors=measures.errors([_request(0)])) == 1
    assert code(errors=measures.errors([_request(503, code="queue_full", retry_after=3.0)])) == 0
    assert code(admission=measures.admission([_submit("a", 429, retry_after=None)])) == 1
    assert code(run_errors=["the crowd ended with 1"]) == 1
    slow = _measured(admission=measures.admission([_submit("a", ms=9e9)]))
    goals = verdict.judge(slow)
    assert verdict.exit_code(goals) == 0
    assert [goal.sentence for goal in goals if not goal.held] == ["admission, 99 % within ms"]


def test_a_last_line_that_was_cut_off_is_no_record(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    with file.open("w", encoding="utf-8") as out:
        writer = records.Writer(out)
        writer.note("users", at=1.0, count=3)
        out.write('{"kind": "us')
    assert writer.bytes == len(file.read_text().splitlines()[0]) + 1
    assert [record["count"] for record in records.read(file)] == [3]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("/x/python -m daphne -b 127.0.0.1 t2v_site.asgi:application", "web"),
        ("/x/python -m celery -A t2v_site worker -Q gpu.default", "worker"),
        ("/x/python -m celery -A t2v_site worker -Q web -I jobs.webhooks.tasks", "webhooks"),
        ("/x/python manage.py sweep", "sweep"),
        ("postgres: t2v t2v 127.0.0.1(5) idle", "postgres"),
        ("make run", "other"),
    ],
)
def test_a_process_is_counted_to_its_part(words: str, part: str) -> None:
    assert part_of(words) == part
