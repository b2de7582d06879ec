"""Files, recipe and usage by the API; and a file by a program's token."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import User
from conftest import video_of
from jobs import actions, artifacts, usage
from jobs.actions import Claim
from jobs.models import Attempt, Job
from jobs.tests.crowd import fill

pytestmark = pytest.mark.django_db
Program = Callable[..., Client]
CONTENT = bytes(range(256)) * 4


@pytest.fixture
def finished(
    submit: Callable[..., Job], claim: Callable[..., Claim], media: Path, tmp_path: Path
) -> Job:
    job, held = submit(seed=3), claim()
    actions.note_fingerprint(held, {"device": "a card"})
    video = tmp_path / "video.mp4"
    video.write_bytes(CONTENT)
    actions.succeed(held, [artifacts.put(held.job, held.attempt, "video.mp4", video)])
    return job


def test_the_files_of_a_job_come_with_links_hash_and_size(
    finished: Job, alice: User, program: Program
) -> None:
    client = program(alice)
    answer = client.get(f"/api/v1/jobs/{finished.pk}/artifacts")
    (video,) = answer.json()["artifacts"]
    assert (video["name"], video["size"], video["content_type"]) == (
        "video.mp4",
        len(CONTENT),
        "video/mp4",
    )
    assert video["url"].startswith("http://testserver/jobs/")
    assert video["expires_in"] is None
    assert answer["Cache-Control"] == "no-store"
    got = client.get(video["url"].removeprefix("http://testserver"))
    assert (got.status_code, got["ETag"]) == (200, f'"{video["sha256"]}"')


def test_with_s3_a_file_has_a_link_of_its_own_that_ends_soon(
    finished: Job, alice: User, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def link(artifact: Any, *, file_name: str | None) -> str:
        made.append(f"https://store/{artifact.key}?signature={len(made)}")
        return made[-1]

    monkeypatch.setitem(settings.STORAGES["default"]["OPTIONS"], "querystring_expire", 300)
    monkeypatch.setattr("jobs.files_api.signed_link", link)
    address = f"/api/v1/jobs/{finished.pk}/artifacts"
    for _ in range(2):
        (video,) = program(alice).get(address).json()["artifacts"]
        assert (video["url"], video["expires_in"]) == (made[-1], 300)
    assert len(set(made)) == 2


def test_a_job_without_a_video_has_no_files(
    submit: Callable[..., Job], alice: User, program: Program
) -> None:
    answer = program(alice).get(f"/api/v1/jobs/{submit().pk}/artifacts")
    assert answer.json() == {"artifacts": []}


def test_a_recipe_says_what_makes_the_clip_again(
    finished: Job, alice: User, program: Program
) -> None:
    recipe = program(alice).get(f"/api/v1/jobs/{finished.pk}/recipe").json()
    asked = finished.request
    assert recipe == {
        "job": str(finished.pk),
        "spec": asked.spec,
        "digest": asked.digest,
        "model": {"name": "nano", "digest": asked.model_digest},
        "attempt": {"number": 1, "outcome": "succeeded", "fingerprint": {"device": "a card"}},
        "retry_of": None,
        "remix_of": None,
    }
    again = {key: recipe["spec"][key] for key in ("prompt", "frames", "steps", "guidance", "seed")}
    checked = (
        program(alice).post("/api/v1/jobs/dry-run", again, content_type="application/json").json()
    )
    assert checked["digest"] == recipe["digest"]


def test_a_file_is_given_to_a_token_that_may_see_the_job_and_to_no_other(
    finished: Job, alice: User, charlie: User, program: Program
) -> None:
    address = f"/jobs/{finished.pk}/1/video.mp4"
    mine = program(alice)
    got = mine.get(address, headers={"Range": "bytes=0-9"})
    assert (got.status_code, got["Content-Range"]) == (206, f"bytes 0-9/{len(CONTENT)}")
    foreign = program(charlie).get(address)
    assert (foreign.status_code, foreign["Content-Type"]) == (404, "application/problem+json")
    missing = mine.get(f"/jobs/{finished.pk}/1/poster.png")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("header", ["Bearer t2v_wrong", "Bearer x.y.z", "Basic YTpi", "nonsense"])
def test_a_request_with_a_header_is_never_looked_at_for_a_cookie(
    header: str, finished: Job, alice: User, client: Client
) -> None:
    client.force_login(alice)
    address = f"/jobs/{finished.pk}/1/video.mp4"
    assert client.get(address).status_code == 200
    refused = client.get(address, headers={"Authorization": header})
    assert (refused.status_code, refused.json()["code"]) == (401, "authentication_failed")
    assert refused["WWW-Authenticate"].startswith("Bearer")


def test_usage_counts_jobs_seconds_and_bytes(
    finished: Job, submit: Callable[..., Job], alice: User, bob: User, program: Program
) -> None:
    submit("waits")
    now = datetime.now(UTC)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    used = program(alice).get("/api/v1/usage").json()
    assert used["unfinished"] == {"count": 1, "maximum": settings.T2V_MAX_UNFINISHED}
    assert {state: count for state, count in used["jobs"].items() if count} == {
        "succeeded": 1,
        "queued": 1,
    }
    assert used["month"] == f"{month:%Y-%m}"
    assert used["renews_at"] > f"{now:%Y-%m-%d}"
    assert used["person"]["unfinished"] == used["unfinished"]
    assert used["workspace"]["stored_bytes"] == {"used": len(CONTENT), "maximum": None}
    assert used["people"] == []  # the token is not for that
    assert used["stored_bytes"] == len(CONTENT)
    assert 0 < used["gpu_seconds"] < 60
    nothing = program(bob).get("/api/v1/usage").json()
    assert (nothing["gpu_seconds"], nothing["stored_bytes"]) == (0, 0)
    # What is deleted was rendered all the same, and lies there until it is purged.
    actions.delete(finished.pk)
    assert program(alice).get("/api/v1/usage").json()["stored_bytes"] == len(CONTENT)


def test_gpu_seconds_are_those_of_the_month_alone(
    submit: Callable[..., Job], claim: Callable[..., Claim], alice: User
) -> None:
    """An attempt that ran over the first of the month counts from there."""
    job, held = submit(), claim()
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    Attempt.objects.filter(job=job).update(started_at=month - timedelta(seconds=50))
    actions.succeed(held, [video_of(held)])
    began = Attempt.objects.get(job=job).ended_at
    assert began is not None
    seconds = usage.of(alice, now=month + timedelta(days=3)).gpu_seconds
    assert seconds == pytest.approx((began - month).total_seconds(), abs=0.01)
    assert usage.of(alice, now=began + timedelta(days=40)).gpu_seconds == 0


def test_usage_costs_the_same_queries_however_much_it_was(
    alice: User,
    program: Program,
    django_assert_num_queries: Callable[[int], AbstractContextManager[Any]],
) -> None:
    client = program(alice)
    client.get("/api/v1/usage")
    for count in (1, 300):
        fill(alice, count)
        with django_assert_num_queries(8):
            client.get("/api/v1/usage")
