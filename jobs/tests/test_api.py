"""The API: what programs post, and what they are told."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from django.test import Client

from accounts.models import User
from conftest import video_of
from jobs import actions, artifacts
from jobs.actions import Claim
from jobs.models import Job, JobRequest

pytestmark = pytest.mark.django_db


def test_a_prompt_alone_makes_a_job_with_the_models_defaults(alice: User, client: Client) -> None:
    client.force_login(alice)
    answer = client.post(
        "/api/v1/jobs", {"prompt": "a red circle moving right"}, content_type="application/json"
    )
    job = answer.json()
    assert answer.status_code == 201
    assert (job["state"], job["place"], job["spec"]["model"]) == ("queued", 0, "nano")
    assert job["spec"]["seed"] is not None
    assert client.get(f"/api/v1/jobs/{job['id']}").json() == job


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x" * 400}, "prompt"),
        ({"model": "sora"}, "model"),
        ({"size": "65x64"}, "size"),
        ({"size": "big"}, "size"),
        ({"frames": 24}, "frames"),
        ({"steps": 1}, "steps"),
        ({"steps": "many"}, "steps"),
        ({"guidance": 1e9}, "guidance"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**40}, "seed"),
        ({"quality": "best"}, "quality"),
        ({"quality": ""}, "quality"),
        ({"start_within_seconds": 0}, "start_within_seconds"),
        ({"start_within_seconds": "soon"}, "start_within_seconds"),
    ],
)
def test_a_bad_value_is_a_problem_that_names_its_field_and_makes_nothing(
    change: dict[str, object], field: str, alice: User, client: Client
) -> None:
    client.force_login(alice)
    body = {"prompt": "a red circle moving right"} | change
    answer = client.post("/api/v1/jobs", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], list(problem["fields"])) == ("bad_spec", [field])
    assert not Job.objects.exists()


def test_a_job_may_have_a_time_within_which_it_must_start(alice: User, client: Client) -> None:
    client.force_login(alice)
    body = {"prompt": "a red circle", "start_within_seconds": 60}
    answer = client.post("/api/v1/jobs", body, content_type="application/json")
    assert answer.status_code == 201
    job = Job.objects.get(pk=answer.json()["id"])
    assert job.deadline is not None
    assert abs((job.deadline - job.created_at).total_seconds() - 60) < 5
    Job.objects.filter(pk=job.pk).update(deadline=job.created_at)
    assert actions.expire() == 1
    ended = client.get(f"/api/v1/jobs/{job.pk}").json()
    assert (ended["state"], ended["error_code"]) == ("expired", "expired")


def test_a_repeated_key_answers_with_the_first_job(alice: User, client: Client) -> None:
    client.force_login(alice)

    def post(prompt: str) -> tuple[int, str]:
        answer = client.post(
            "/api/v1/jobs",
            {"prompt": prompt},
            content_type="application/json",
            headers={"Idempotency-Key": "once"},
        )
        return answer.status_code, answer.json().get("id") or answer.json()["code"]

    first = post("a red circle moving right")
    assert post("a red circle moving right") == first
    assert post("a blue star rising") == (409, "idempotency_key_reused")


def test_a_video_is_exact_unless_a_fast_one_is_asked_for_and_a_fast_one_says_so(
    alice: User, client: Client
) -> None:
    client.force_login(alice)

    def post(**wanted: str) -> tuple[str, str | None]:
        body = {"prompt": "a red circle moving right"} | wanted
        job = client.post("/api/v1/jobs", body, content_type="application/json").json()
        return job["spec"]["quality"], job["quality_label"]

    assert post() == ("exact", None)
    assert post(quality="exact") == ("exact", None)
    assert post(quality="fast") == ("fast", "Fast (approximate)")


LAYOUT = {"columns": 8, "rows": 2, "tile_width": 64, "tile_height": 64, "steps": [1, 32]}


@pytest.mark.parametrize("facts", [{}, LAYOUT])  # none: made before layouts were kept
def test_a_job_tells_how_its_strip_is_laid_out_where_that_is_known(
    facts: dict[str, object],
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    client: Client,
    alice: User,
) -> None:
    job, held = submit(), claim()
    client.force_login(alice)
    assert client.get(f"/api/v1/jobs/{job.pk}").json()["strip"] is None
    key = artifacts.key_for(job.pk, held.attempt, "strip.jpg")
    strip = replace(video_of(held), name="strip.jpg", key=key, facts=facts)
    actions.succeed(held, [video_of(held), strip])
    answer = client.get(f"/api/v1/jobs/{job.pk}").json()
    assert answer["strip"] == (facts or None)
    assert answer["strip_url"] is not None


def test_a_job_from_before_there_were_qualities_reads_as_exact(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    job = submit()
    old = {key: value for key, value in job.request.spec.items() if key != "quality"}
    JobRequest.objects.filter(job=job).update(spec=old)
    client.force_login(alice)
    answer = client.get(f"/api/v1/jobs/{job.pk}").json()
    assert (answer["spec"]["quality"], answer["quality_label"]) == ("exact", None)


def test_a_model_tells_its_qualities_and_its_words(alice: User, client: Client) -> None:
    client.force_login(alice)
    nano = client.get("/api/v1/models").json()[0]
    assert nano["qualities"][:2] == [
        {"name": "exact", "title": "Exact"},
        {"name": "fast", "title": "Fast (approximate)"},
    ]
    assert {"part": "size", "words": ["small", "large"]} in nano["words"]


def test_nonsense_is_a_problem_too(alice: User, client: Client) -> None:
    client.force_login(alice)
    for body in ("{", "[]", '"x"'):
        answer = client.post("/api/v1/jobs", body, content_type="application/json")
        assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert client.get("/api/v1/jobs/not-a-job").status_code == 404


def test_hostile_requests_are_answered_and_not_stumbled_over(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    job = submit()
    client.force_login(alice)
    deep = client.post("/api/v1/jobs", "[" * 100_000, content_type="application/json")
    assert (deep.status_code, deep.json()["code"]) == (400, "parse_error")
    assert client.get(f"/jobs/{job.pk}/1/%00").status_code == 404
    assert client.head(f"/jobs/{job.pk}/").status_code == 200
    for charset in ("hex", "rot13", "zlib", "undefined", "idna", "no-such"):
        kind = f"application/x-www-form-urlencoded; charset={charset}"
        answer = client.generic("POST", "/", b"prompt=x", content_type=kind)
        assert answer.status_code == 400, charset
    assert client.get("/", headers={"Cookie": r'x="a\000"'}).status_code == 400


def test_a_queued_job_knows_how_many_are_before_it(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    first, second, third = (submit() for _ in range(3))
    client.force_login(alice)

    def place(job: Job) -> int | None:
        return client.get(f"/api/v1/jobs/{job.pk}").json()["place"]  # type: ignore[no-any-return]

    assert [place(job) for job in (first, second, third)] == [0, 1, 2]
    actions.cancel(first.pk)
    assert [place(job) for job in (first, second, third)] == [None, 0, 1]
