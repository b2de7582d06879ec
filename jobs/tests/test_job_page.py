"""One job's page: what it tells, who may do what from it, and what it costs."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from conftest import video_of
from jobs import actions, expected, outlook
from jobs.actions import Claim
from jobs.lifecycle import State
from jobs.models import Attempt, Job, PoolLoad
from jobs.tests.crowd import fill

pytestmark = pytest.mark.django_db
SCRIPT = {"accept": "application/json"}
QUERIES = 16  # of a page with all that there is to tell


def _looked_at(**seen: object) -> None:
    usual = {"queued": 3, "queued_seconds": 30.0, "running": 1, "running_seconds": 10.0}
    PoolLoad.objects.create(pool="default", **usual | {"workers": 1} | seen)


def _tag(page: str, key: str) -> str:
    """The start tag of the element with that id; empty when there is none."""
    found = re.search(rf'<\w+ id="{key}"[^>]*>', page)
    return found[0] if found else ""


# --- What it tells --------------------------------------------------------------------------


def test_the_page_tells_of_each_attempt_what_it_came_to_and_on_what_machine(
    submit: Callable[..., Job], claim: Callable[..., Claim], alice: User, client: Client
) -> None:
    job = submit()
    actions.release(claim("gpu-1/1"))
    held = claim("gpu-2/1")
    actions.note_fingerprint(held, {"device": "a card", "torch": "2.13"})
    actions.succeed(held, [video_of(held)])
    client.force_login(alice)
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    assert "Attempt 1 on worker gpu-1" in page
    assert "handed back after" in page
    assert "Attempt 2 on worker gpu-2" in page
    assert "ended well after" in page
    assert "<summary>a card</summary>" in page


def test_an_error_is_followed_by_what_to_do(parked: Job, alice: User, client: Client) -> None:
    client.force_login(alice)
    page = client.get(f"/jobs/{parked.pk}/").content.decode()
    advice = "Choose a smaller size or a shorter length."
    assert f"<p data-advice>{advice}</p>" in page  # on the stage
    assert f'<p class="quiet">{advice}</p>' in page  # in the story


def test_a_long_story_shows_its_newest_events_and_leads_to_the_others(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    alice: User,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = submit()
    for _ in range(3):
        actions.release(claim())
    client.force_login(alice)
    assert "are left out" not in client.get(f"/jobs/{job.pk}/").content.decode()
    monkeypatch.setattr("jobs.pages.job.EVENTS", 4)
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    assert [int(seq) for seq in re.findall(r'data-seq="(\d+)"', page)] == [4, 5, 6, 7]
    assert "The first 3 events are left out" in page
    assert f"/api/v1/jobs/{job.pk}/events?after=0" in page


# --- Why it waits ---------------------------------------------------------------------------


def test_a_waiting_job_says_how_many_are_before_it_and_how_long_that_may_be(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    submit(), submit()
    job = submit()
    _looked_at()
    client.force_login(alice)
    # 10 s of what runs, and two thirds of the 30 s that wait.
    assert (
        f"2 before you, about 30{expected.UNIT}s" in client.get(f"/jobs/{job.pk}/").content.decode()
    )
    told = client.get(f"/jobs/{job.pk}/outlook").json()["outlook"]
    assert (told["title"], told["why"]) == (f"2 before you, about 30{expected.UNIT}s", outlook.NEXT)


def test_a_job_that_no_worker_could_take_says_so(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    job = submit()
    _looked_at(workers=0)
    client.force_login(alice)
    told = client.get(f"/jobs/{job.pk}/outlook").json()["outlook"]
    assert (told["title"], told["why"]) == ("Next in line", outlook.NOBODY)


def test_a_job_that_waits_after_a_setback_says_for_how_long_and_after_what(
    submit: Callable[..., Job], claim: Callable[..., Claim], alice: User, client: Client
) -> None:
    job = submit()
    actions.fail(claim(), code="gpu_broken", message="The GPU failed.", permanent=False)
    Job.objects.filter(pk=job.pk).update(run_at=timezone.now() + timedelta(seconds=90))
    client.force_login(alice)
    told = client.get(f"/jobs/{job.pk}/outlook").json()["outlook"]
    assert told["title"].startswith("Tries again in about ")
    assert told["why"].endswith("Its last attempt ended: The GPU failed.")


def test_a_job_that_waits_for_its_workspaces_others_says_that(
    submit: Callable[..., Job], alice: User, client: Client, settings: LazySettings
) -> None:
    settings.T2V_WORKSPACE_RUNNING = 1
    submit()
    job = submit()
    Job.objects.filter(pk=job.pk).update(over_quota=True)
    client.force_login(alice)
    told = client.get(f"/jobs/{job.pk}/outlook").json()["outlook"]
    assert told["title"] == "Waits for others to end"
    assert "place" in told["why"]


def test_a_job_that_does_not_wait_has_no_outlook_and_a_stranger_hears_nothing(
    submit: Callable[..., Job], alice: User, charlie: User, client: Client
) -> None:
    job = submit()
    actions.cancel(job.pk)
    client.force_login(alice)
    assert client.get(f"/jobs/{job.pk}/outlook").json() == {"outlook": None}
    client.force_login(charlie)
    assert client.get(f"/jobs/{job.pk}/outlook").status_code == 404


# --- Verbs ----------------------------------------------------------------------------------


def test_a_retry_leads_to_the_new_job_and_a_second_press_to_the_same(
    parked: Job, alice: User, client: Client
) -> None:
    client.force_login(alice)
    answer = client.post(f"/jobs/{parked.pk}/retry", headers=SCRIPT)
    new = Job.objects.get(request__retry_of=parked)
    assert (answer.status_code, answer.json()["url"]) == (201, f"/jobs/{new.pk}/")
    assert client.post(f"/jobs/{parked.pk}/retry")["Location"] == f"/jobs/{new.pk}/"
    page = client.get(f"/jobs/{parked.pk}/").content.decode()
    assert "data-forbidden hidden" in _tag(page, "retry")


def test_what_cannot_be_retried_says_why(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    job = submit()
    client.force_login(alice)
    answer = client.post(f"/jobs/{job.pk}/retry", headers=SCRIPT)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_possible")


def _vary(client: Client, job: Job, count: int, key: str = "k", **more: str) -> dict[str, Any]:
    form = {"count": str(count), "idempotency_key": key} | more
    answer = client.post(f"/jobs/{job.pk}/vary", form, headers=SCRIPT)
    told: dict[str, Any] = answer.json()
    return told | {"status": answer.status_code}


def test_variations_are_the_same_recipe_with_other_seeds_made_once(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    job = submit(seed=7, steps=9)
    client.force_login(alice)
    made = _vary(client, job, 3)
    assert made["status"] == 201
    assert made["message"] == "3 variations are on their way."
    assert _vary(client, job, 3)["jobs"] == made["jobs"]
    others = Job.objects.exclude(pk=job.pk).select_related("request")
    assert len(others) == 3
    seeds = {other.request.spec.pop("seed") for other in others}
    assert len(seeds | {7}) == 4
    job.request.spec.pop("seed")
    assert all(other.request.spec == job.request.spec for other in others)
    assert {other.request.remix_of_id for other in others} == {job.pk}


def test_variations_that_do_not_all_fit_make_none(
    submit: Callable[..., Job], alice: User, client: Client, settings: LazySettings
) -> None:
    settings.T2V_MAX_UNFINISHED = 3
    job = submit()
    client.force_login(alice)
    assert _vary(client, job, 4)["code"] == "too_many_jobs"
    assert Job.objects.count() == 1
    assert _vary(client, job, 2)["status"] == 201  # the key was not used up


@pytest.mark.parametrize("count", ["0", "5", "x", ""])
def test_a_bad_number_of_variations_is_refused(
    count: str, submit: Callable[..., Job], alice: User, client: Client
) -> None:
    job = submit()
    client.force_login(alice)
    answer = client.post(
        f"/jobs/{job.pk}/vary", {"count": count, "idempotency_key": "k"}, headers=SCRIPT
    )
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["count"])
    assert Job.objects.count() == 1


def test_a_deleted_video_can_be_brought_back_by_who_may_and_is_nothing_to_others(
    *,
    submit: Callable[..., Job],
    alice: User,
    bob: User,
    charlie: User,
    join: Callable[[User, Role], None],
    client: Client,
) -> None:
    join(bob, Role.CREATOR)
    job = submit("a blue star rising")
    client.force_login(alice)
    answer = client.post(f"/jobs/{job.pk}/delete", headers=SCRIPT)
    undo = answer.json()["undo"]
    assert undo == f"/jobs/{job.pk}/restore"
    page = client.get(f"/jobs/{job.pk}/")
    assert page.status_code == 200
    assert b"can be brought back until" in page.content
    for stranger in (bob, charlie):
        client.force_login(stranger)
        assert client.get(f"/jobs/{job.pk}/").status_code == 404
        assert client.post(undo).status_code == 404
    client.force_login(alice)
    assert client.post(undo)["Location"] == f"/jobs/{job.pk}/"
    assert b"What happened" in client.get(f"/jobs/{job.pk}/").content


def test_a_deleted_video_whose_time_is_over_is_gone_for_everybody(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    job = submit()
    actions.delete(job.pk)
    Job.objects.update(deleted_at=timezone.now() - actions.kept_for())
    client.force_login(alice)
    assert client.get(f"/jobs/{job.pk}/").status_code == 404
    assert client.post(f"/jobs/{job.pk}/restore").status_code == 404


def test_a_viewer_is_told_why_no_variation_is_made(
    submit: Callable[..., Job], join: Callable[..., object], bob: User, client: Client
) -> None:
    job = submit()
    join(bob, Role.VIEWER)
    client.force_login(bob)
    answer = client.post(
        f"/jobs/{job.pk}/vary", {"count": "1", "idempotency_key": "k"}, headers=SCRIPT
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "ask to be a creator" in answer.json()["detail"]
    assert Job.objects.count() == 1


@pytest.mark.parametrize("verb", ["cancel", "retry", "vary", "delete", "restore"])
def test_no_verb_is_for_strangers(
    verb: str, submit: Callable[..., Job], charlie: User, client: Client
) -> None:
    job = submit()
    client.force_login(charlie)
    form = {"count": "1", "idempotency_key": "k"}
    assert client.post(f"/jobs/{job.pk}/{verb}", form).status_code == 404
    assert Job.objects.filter(state=State.QUEUED, deleted_at=None).count() == 1


@pytest.mark.parametrize(
    ("role", "shown", "why"),
    [
        (Role.VIEWER, set(), "You may watch the videos of this workspace."),
        (Role.CREATOR, {"again", "vary"}, "Only who made it and the managers"),
        (Role.MANAGER, {"again", "vary", "cancel", "delete"}, ""),
    ],
)
def test_the_page_offers_what_the_role_allows_and_says_why_no_more(
    *,
    role: Role,
    shown: set[str],
    why: str,
    submit: Callable[..., Job],
    bob: User,
    join: Callable[[User, Role], None],
    client: Client,
) -> None:
    join(bob, role)
    job = submit()
    client.force_login(bob)
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    tags = {verb: _tag(page, verb) for verb in ("again", "vary", "cancel", "delete", "retry")}
    offered = {verb for verb, tag in tags.items() if tag and "hidden" not in tag}
    assert offered == shown
    assert (why in page) if why else "may cancel, retry or delete" not in page


# --- What else is read of it ----------------------------------------------------------------


def test_the_recipe_is_a_file_as_the_api_answers_it(
    submit: Callable[..., Job], alice: User, charlie: User, client: Client
) -> None:
    job = submit(seed=5)
    client.force_login(alice)
    answer = client.get(f"/jobs/{job.pk}/recipe.json")
    assert f"{str(job.pk)[:8]}-recipe.json" in answer["Content-Disposition"]
    assert json.loads(answer.content) == client.get(f"/api/v1/jobs/{job.pk}/recipe").json()
    client.force_login(charlie)
    assert client.get(f"/jobs/{job.pk}/recipe.json").status_code == 404


def test_parents_and_children_lead_to_each_other_and_no_more_than_a_dozen_show(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    job = submit()
    client.force_login(alice)
    for key in range(4):
        _vary(client, job, 4, key=str(key))
    first = Job.objects.filter(request__remix_of=job).first()
    assert first is not None
    assert len(client.get(f"/jobs/{job.pk}/").context["kin"]) == 12
    (parent,) = client.get(f"/jobs/{first.pk}/").context["kin"]
    assert (parent.job, parent.how) == (job, "Made from")


def test_kin_that_one_may_not_see_are_not_told_of(
    submit: Callable[..., Job], alice: User, charlie: User, client: Client
) -> None:
    job = submit()
    other = actions.submit(owner=charlie, spec=job.request.render_spec(), remix_of=job)
    client.force_login(alice)
    assert client.get(f"/jobs/{job.pk}/").context["kin"] == []
    client.force_login(charlie)
    assert client.get(f"/jobs/{other.pk}/").context["kin"] == []


def test_the_page_costs_the_same_queries_however_much_there_is_to_tell(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    alice: User,
    client: Client,
    django_assert_max_num_queries: Callable[[int], object],
) -> None:
    job = submit()
    fill(alice, 300)
    for number in range(5):
        held = claim(f"gpu-{number}/1")
        assert held.job == job.pk
        actions.note_fingerprint(held, {"device": f"card {number}"})
        actions.release(held)
    client.force_login(alice)
    for _ in range(3):
        _vary(client, job, 4, key=str(uuid4()))
    _looked_at()
    with django_assert_max_num_queries(QUERIES):  # type: ignore[attr-defined]
        assert client.get(f"/jobs/{job.pk}/").status_code == 200
    held = claim()
    assert held.job == job.pk
    actions.succeed(held, [video_of(held)])
    assert Attempt.objects.filter(job=job).count() == 6
    with django_assert_max_num_queries(QUERIES):  # type: ignore[attr-defined]
        assert client.get(f"/jobs/{job.pk}/").status_code == 200
