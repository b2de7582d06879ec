"""Many jobs in one request: all or none, in order, at the cost of a few statements."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import User
from jobs import actions, dispatch, offer, queue
from jobs.actions import Claim
from jobs.events import Fact
from jobs.models import Job, JobEvent
from jobs.tests.invariants import violations

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/jobs/batch"
Program = Callable[..., Client]


def post(client: Client, jobs: Any, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(ADDRESS, {"jobs": jobs}, content_type="application/json", headers=named)


def of(count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"a red circle {number}", "seed": number} for number in range(count)]


def test_a_batch_makes_all_its_jobs_in_their_order(
    alice: User,
    program: Program,
    claim: Callable[..., Claim],
    settings: Any,
) -> None:
    settings.T2V_MAX_UNFINISHED = 1_000
    asked = of(9)
    asked[3] |= {"steps": 12, "start_within_seconds": 60, "quality": "fast"}
    answer = post(program(alice), asked)
    assert answer.status_code == 201
    made = answer.json()["jobs"]
    assert {job["state"] for job in made} == {"queued"}
    jobs = [Job.objects.select_related("request").get(pk=job["id"]) for job in made]
    assert [job.request.prompt for job in jobs] == [each["prompt"] for each in asked]
    assert [job.request.spec["seed"] for job in jobs] == list(range(9))
    assert (jobs[3].request.spec["steps"], jobs[3].request.spec["quality"]) == (12, "fast")
    assert [job.deadline is not None for job in jobs] == [number == 3 for number in range(9)]
    assert {job.request.model_digest for job in jobs} == {offer.find("nano").digest}
    assert [claim().job for _ in range(9)] == [job.pk for job in jobs]
    listed = program(alice).get("/api/v1/jobs?ordering=created_at").json()["results"]
    assert [job["id"] for job in listed] == [job["id"] for job in made]


@pytest.mark.django_db(transaction=True)
def test_a_batch_keeps_every_promise_and_is_told_and_knocked_for(
    alice: User, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_ring: list[Fact] = []
    knocks: list[str] = []
    monkeypatch.setattr(dispatch, "announce_all", lambda owner, facts: from_ring.extend(facts))
    monkeypatch.setattr(dispatch, "knock", knocks.append)
    made = post(program(alice), of(5)).json()["jobs"]
    with connection.cursor() as cursor:
        assert violations(cursor) == []
    assert [str(fact.job) for fact in from_ring] == [job["id"] for job in made]
    assert {(fact.seq, fact.kind, fact.state) for fact in from_ring} == {(1, "submitted", "queued")}
    assert all(fact.at for fact in from_ring)
    assert knocks == ["default"]
    assert JobEvent.objects.count() == 5
    assert set(queue.places(Job.objects.values_list("pk", flat=True)).values()) == set(range(5))


def test_one_bad_job_refuses_the_batch_and_is_named(alice: User, program: Program) -> None:
    asked: list[Any] = of(20)
    asked[17]["steps"] = 1
    asked[4] = {"seed": 1}
    first = post(program(alice), asked)
    assert first.status_code == 400
    assert first["Content-Type"] == "application/problem+json"
    assert list(first.json()["fields"]) == ["jobs[4].prompt"]
    asked[4] = {"prompt": "a red circle", "size": "9x9"}
    asked[5] = "a blue star"
    assert list(post(program(alice), asked).json()["fields"]) == ["jobs[5]"]
    asked[5] = {"prompt": "a blue star"}
    limits = post(program(alice), asked).json()
    assert list(limits["fields"]) == ["jobs[4].size", "jobs[17].steps"]
    assert not Job.objects.exists()


@pytest.mark.parametrize("jobs", [[], {}, None, "x", 1, [[]], [None]])
def test_what_is_no_list_of_jobs_is_a_problem(jobs: Any, alice: User, program: Program) -> None:
    answer = post(program(alice), jobs)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_spec")
    assert not Job.objects.exists()


def test_five_hundred_fit_and_no_more(
    alice: User,
    program: Program,
    settings: Any,
    django_assert_max_num_queries: Callable[[int], AbstractContextManager[Any]],
) -> None:
    settings.T2V_MAX_UNFINISHED = 1_000
    client = program(alice)
    most = max(entry.limits.max_prompt_chars for entry in offer.known().values())
    longest = [{"prompt": "\U0001f534" * 250 + "a" * (min(most, 300) - 250)} for _ in range(500)]
    with django_assert_max_num_queries(16):
        assert post(client, longest).status_code == 201
    assert Job.objects.count() == 500
    refused = post(client, of(501))
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["jobs"])
    assert Job.objects.count() == 500


def test_a_batch_counts_whole_against_the_limit(
    alice: User, program: Program, settings: Any
) -> None:
    settings.T2V_MAX_UNFINISHED = 5
    client = program(alice)
    assert post(client, of(3)).status_code == 201
    refused = post(client, of(3))
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_jobs")
    assert int(refused["Retry-After"]) > 0
    assert Job.objects.count() == 3
    assert post(client, of(2)).status_code == 201


def test_a_repeated_batch_makes_its_jobs_once(alice: User, program: Program) -> None:
    client = program(alice)
    first = post(client, of(3), Idempotency_Key="nightly")
    again = post(client, of(3), Idempotency_Key="nightly")
    assert again.json() == first.json()
    assert post(client, of(4), Idempotency_Key="nightly").status_code == 409
    assert Job.objects.count() == 3


def test_a_batch_that_is_too_large_is_refused_before_it_is_read(
    alice: User, program: Program
) -> None:
    body = '{"jobs": [' + " " * (8 << 20) + "]}"
    answer = program(alice).post(ADDRESS, body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_actions_make_a_batch_in_one_transaction(alice: User) -> None:
    spec = offer.make_spec(
        model="nano", prompt="a", size=None, frames=None, steps=None, guidance=None, seed=1
    )
    wanted = [actions.Wanted(spec=spec, model_digest="") for _ in range(3)]
    jobs = actions.submit_many(owner=alice, wanted=wanted)
    assert sorted(jobs, key=lambda job: job.created_at) == jobs
