"""The API's verbs on jobs: dry run, retry, remix, waiting for the end, not sending twice."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client

from accounts.models import User
from conftest import video_of
from jobs import actions, preference
from jobs.actions import Claim
from jobs.models import Job, JobRequest

pytestmark = pytest.mark.django_db
PROMPT = "a red circle moving right"
JSON = "application/json"
Program = Callable[..., Client]


def post(client: Client, address: str, body: Any = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(address, body or {}, content_type=JSON, headers=named)


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(alice: User, program: Program) -> None:
    client = program(alice)
    answer = post(client, "/api/v1/jobs/dry-run", {"prompt": PROMPT, "seed": 7, "steps": 12})
    assert answer.status_code == 200
    assert (answer.json()["spec"]["seed"], answer.json()["spec"]["steps"]) == (7, 12)
    made = post(client, "/api/v1/jobs", {"prompt": PROMPT, "seed": 7, "steps": 12})
    asked = JobRequest.objects.get()
    assert answer.json()["digest"] == asked.digest
    assert answer.json()["spec"] == made.json()["spec"]
    bad = post(client, "/api/v1/jobs/dry-run", {"prompt": PROMPT, "steps": 1})
    assert (bad.status_code, list(bad.json()["fields"])) == (400, ["steps"])
    assert Job.objects.count() == 1


def test_an_owner_tries_what_ended_undone_again_within_their_limits(
    submit: Callable[..., Job], alice: User, olga: User, program: Program, settings: Any
) -> None:
    settings.T2V_MAX_UNFINISHED = 1
    old = submit()
    mine = program(alice)
    early = post(mine, f"/api/v1/jobs/{old.pk}/retry")
    assert (early.status_code, early.json()["code"]) == (409, "not_possible")
    actions.cancel(old.pk)
    other = submit("another")
    full = post(mine, f"/api/v1/jobs/{old.pk}/retry")
    assert (full.status_code, full.json()["code"]) == (429, "too_many_jobs")
    assert int(full["Retry-After"]) > 0
    actions.cancel(other.pk)
    again = post(mine, f"/api/v1/jobs/{old.pk}/retry")
    assert (again.status_code, again.json()["state"]) == (201, "queued")
    assert again.json()["spec"] == old.request.render_spec().as_dict()
    assert post(mine, f"/api/v1/jobs/{old.pk}/retry").json()["id"] == again.json()["id"]
    # An operator repairs what was accepted before: the owner's limits do not count.
    repaired = post(program(olga), f"/api/v1/jobs/{other.pk}/retry")
    assert repaired.status_code == 201
    assert Job.objects.get(pk=repaired.json()["id"]).owner_id == alice.pk


def test_a_remix_is_the_old_recipe_with_what_was_changed(
    submit: Callable[..., Job], alice: User, program: Program
) -> None:
    old = submit(PROMPT, seed=5, steps=12)
    was = old.request.render_spec().as_dict()
    client = program(alice)
    answer = post(client, f"/api/v1/jobs/{old.pk}/remix", {"prompt": "a blue star"})
    assert answer.status_code == 201
    assert answer.json()["spec"] == was | {"prompt": "a blue star"}
    assert JobRequest.objects.get(job=answer.json()["id"]).remix_of_id == old.pk
    same = post(client, f"/api/v1/jobs/{old.pk}/remix")
    assert same.json()["spec"] == was
    drawn = post(client, f"/api/v1/jobs/{old.pk}/remix", {"seed": None})
    assert {**drawn.json()["spec"], "seed": 5} == was
    bad = post(client, f"/api/v1/jobs/{old.pk}/remix", {"steps": 100_000})
    assert (bad.status_code, list(bad.json()["fields"])) == (400, ["steps"])
    blank = post(client, f"/api/v1/jobs/{old.pk}/remix", {"prompt": " "})
    assert (blank.status_code, list(blank.json()["fields"])) == (400, ["prompt"])


def test_a_remix_of_anothers_job_is_ones_own(
    submit: Callable[..., Job], olga: User, bob: User, program: Program
) -> None:
    old = submit()
    answer = post(program(olga), f"/api/v1/jobs/{old.pk}/remix")
    assert Job.objects.get(pk=answer.json()["id"]).owner_id == olga.pk
    assert post(program(bob), f"/api/v1/jobs/{old.pk}/remix").status_code == 404


def test_a_job_that_did_not_change_is_not_sent_again(
    submit: Callable[..., Job], claim: Callable[..., Claim], alice: User, program: Program
) -> None:
    job, client = submit(), program(alice)
    first = client.get(f"/api/v1/jobs/{job.pk}")
    tag = first["ETag"]
    again = client.get(f"/api/v1/jobs/{job.pk}", headers={"If-None-Match": f'"x", {tag}'})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    claim()
    changed = client.get(f"/api/v1/jobs/{job.pk}", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["state"]) == (200, "running")
    assert changed["ETag"] != tag
    for address in ("/api/v1/models", "/api/v1/models/nano"):
        tag = client.get(address)["ETag"]
        assert client.get(address, headers={"If-None-Match": tag}).status_code == 304
    assert client.get("/api/v1/models/sora").status_code == 404
    assert client.get("/api/v1/models/nano").json() == client.get("/api/v1/models").json()[0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=30", 30),
        ("respond-async, wait=5", 5),
        ('Wait = "7"; x=y', 7),
        ("wait=3600", 60),
        ("wait=0", None),
        ("wait=-1", None),
        ("wait=soon", None),
        ("wait", None),
        ("return=minimal", None),
        ("", None),
        (None, None),
    ],
)
def test_a_preference_that_is_not_understood_is_ignored(
    header: str | None, seconds: int | None
) -> None:
    assert preference.seconds_to_wait(header) == seconds


def finish_next(ready: threading.Event) -> None:
    """As a worker in another process does, as soon as there is a job."""
    try:
        while (held := actions.claim(worker="worker/1", pool="default")) is None:
            if ready.wait(0.02):
                return
        actions.succeed(held, [video_of(held)])
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_submit_may_wait_for_the_end_without_holding_a_connection(
    alice: User, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, given_up = program(alice), threading.Event()
    held: list[bool] = []

    def look(seconds: float) -> None:
        held.append(connection.connection is not None)
        given_up.wait(min(seconds, 0.05))

    monkeypatch.setattr("jobs.preference.time.sleep", look)
    worker = threading.Thread(target=finish_next, args=(given_up,))
    worker.start()
    try:
        answer = post(client, "/api/v1/jobs", {"prompt": PROMPT}, Prefer="wait=30")
    finally:
        given_up.set()
        worker.join(10)
    assert (answer.status_code, answer.json()["state"]) == (201, "succeeded")
    assert answer["Preference-Applied"] == "wait=30"
    assert answer.json()["video_url"]
    assert not any(held)


@pytest.mark.django_db(transaction=True)
def test_a_wait_that_is_over_answers_with_the_job_as_it_is(alice: User, program: Program) -> None:
    answer = post(program(alice), "/api/v1/jobs", {"prompt": PROMPT}, Prefer="wait=1")
    assert (answer.status_code, answer.json()["state"]) == (201, "queued")
    assert answer["Preference-Applied"] == "wait=1"


def test_whoever_finds_no_seat_to_wait_in_is_answered_at_once(
    alice: User, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.BoundedSemaphore(1)
    assert full.acquire()
    monkeypatch.setattr(preference, "_seats", full)
    answer = post(program(alice), "/api/v1/jobs", {"prompt": PROMPT}, Prefer="wait=60")
    assert answer.status_code == 201
    assert "Preference-Applied" not in answer


@pytest.mark.django_db(transaction=True)
def test_a_repeated_submit_waits_for_the_same_job(alice: User, program: Program) -> None:
    client = program(alice)
    first = post(client, "/api/v1/jobs", {"prompt": PROMPT}, Idempotency_Key="k")
    actions.cancel(Job.objects.get().pk)
    again = post(client, "/api/v1/jobs", {"prompt": PROMPT}, Idempotency_Key="k", Prefer="wait=9")
    assert again.json()["id"] == first.json()["id"]
    assert (again.json()["state"], again["Preference-Applied"]) == ("cancelled", "wait=9")


VERBS = ("cancel", "retry", "remix", "restore")


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_tells_a_foreign_job_from_none(
    verb: str, submit: Callable[..., Job], charlie: User, program: Program
) -> None:
    job, client = submit(), program(charlie)
    foreign = post(client, f"/api/v1/jobs/{job.pk}/{verb}")
    missing = post(client, f"/api/v1/jobs/{uuid4()}/{verb}")
    assert (foreign.status_code, foreign.content) == (404, missing.content)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_done_once_for_one_key(
    verb: str, submit: Callable[..., Job], alice: User, program: Program
) -> None:
    job, client = submit(), program(alice)
    if verb == "retry":
        actions.cancel(job.pk)
    address = f"/api/v1/jobs/{job.pk}/{verb}"
    first = post(client, address, Idempotency_Key="once")
    count = Job.objects.count()
    again = post(client, address, Idempotency_Key="once")
    assert first.status_code in {200, 201}
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again["Idempotency-Replayed"] == "true"
    assert Job.objects.count() == count
