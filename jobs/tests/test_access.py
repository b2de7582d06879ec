"""The access matrix: every way to a job, for everybody."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from django.test import Client

from accounts.models import User
from jobs import actions, artifacts
from jobs.models import Job

ROUTES = {
    "page": ("GET", "/jobs/{job}/"),
    "file": ("GET", "/jobs/{job}/1/video.mp4"),
    "api": ("GET", "/api/v1/jobs/{job}"),
    "api cancel": ("POST", "/api/v1/jobs/{job}/cancel"),
    "cancel": ("POST", "/jobs/{job}/cancel"),
}
# The API's cancel of a finished job answers 409 to those who may see it.
EXPECTED = {
    "page": {"alice": 200, "bob": 404, "olga": 200, "charlie": 404, "nobody": 302},
    "file": {"alice": 200, "bob": 404, "olga": 200, "charlie": 404, "nobody": 404},
    "api": {"alice": 200, "bob": 404, "olga": 200, "charlie": 404, "nobody": 403},
    "api cancel": {"alice": 409, "bob": 404, "olga": 409, "charlie": 404, "nobody": 403},
    "cancel": {"alice": 302, "bob": 404, "olga": 302, "charlie": 404, "nobody": 302},
}


@pytest.fixture
def finished(
    submit: Callable[..., Job], claim: Callable[..., actions.Claim], media: Path, tmp_path: Path
) -> Job:
    job, mine = submit(), claim()
    video = tmp_path / "video.mp4"
    video.write_bytes(bytes(range(256)) * 4)
    actions.succeed(mine, [artifacts.put(mine.job, mine.attempt, "video.mp4", video)])
    return job


@pytest.mark.parametrize("who", ["alice", "bob", "olga", "charlie", "nobody"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_job_is_seen_by_its_owner_and_operators_only(
    route: str,
    who: str,
    finished: Job,
    client: Client,
    request: pytest.FixtureRequest,
) -> None:
    if who != "nobody":
        client.force_login(request.getfixturevalue(who))
    method, path = ROUTES[route]
    answer = client.generic(method, path.format(job=finished.pk))
    assert answer.status_code == EXPECTED[route][who]


def test_a_foreign_job_and_no_job_answer_alike(
    finished: Job, charlie: User, client: Client
) -> None:
    client.force_login(charlie)
    for _, path in ROUTES.values():
        foreign = client.get(path.format(job=finished.pk))
        missing = client.get(path.format(job=uuid4()))
        assert (foreign.status_code, foreign.headers.get("Content-Type")) == (
            missing.status_code,
            missing.headers.get("Content-Type"),
        )
        if path.startswith("/api"):
            assert foreign.content == missing.content


def test_a_list_holds_own_jobs_only(finished: Job, olga: User, alice: User, client: Client) -> None:
    client.force_login(olga)
    assert client.get("/api/v1/jobs").json()["results"] == []
    client.force_login(alice)
    assert [job["id"] for job in client.get("/api/v1/jobs").json()["results"]] == [str(finished.pk)]


def test_who_was_deactivated_sees_nothing(finished: Job, alice: User, client: Client) -> None:
    client.force_login(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert client.get(f"/api/v1/jobs/{finished.pk}").status_code == 403
