"""The studio: several seeds, one intent, what a script is answered, and a strip of a fixed cost."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db.models.functions import Now
from django.test import Client

from accounts.models import User, Workspace
from accounts.roles import Role
from conftest import video_of
from jobs import actions, expected, load, making
from jobs.actions import Claim
from jobs.models import Attempt, Job
from jobs.spec import MAX_SEED
from jobs.tests import crowd
from jobs.tests.quota_cast import Team
from jobs.tests.test_api_lists import nodes, plan_of
from jobs.tests.test_estimates import a_worker
from jobs.tests.test_pages import FORM

pytestmark = pytest.mark.django_db
Join = Callable[[User, Role], None]
Queries = Callable[[int], Any]


def _post(client: Client, **change: str) -> Any:
    """As static/js/act.js does."""
    return client.post("/", FORM | change, headers={"Accept": "application/json"})


def _seeds() -> list[int]:
    jobs = Job.objects.select_related("request").order_by("created_at")
    return [job.request.spec["seed"] for job in jobs]


def test_a_script_is_answered_with_the_new_jobs_and_stays_where_it_is(
    alice: User, client: Client
) -> None:
    client.force_login(alice)
    answer = _post(client)
    (job,) = answer.json()["jobs"]
    assert (answer.status_code, answer.json()["message"]) == (201, "Submitted")
    assert (job["id"], job["state"], job["place"]) == (str(Job.objects.get().pk), "queued", 0)
    # One intent, however often it comes: the same job, as it stands now.
    actions.cancel(Job.objects.get().pk)
    (again,) = _post(client).json()["jobs"]
    assert (again["id"], again["state"]) == (job["id"], "cancelled")
    assert Job.objects.count() == 1


def test_several_seeds_are_several_jobs_in_their_order(alice: User, client: Client) -> None:
    client.force_login(alice)
    answer = _post(client, count="3", seed=str(MAX_SEED - 1))
    assert answer.json()["message"] == "3 videos submitted"
    assert _seeds() == [MAX_SEED - 1, MAX_SEED, 0]
    assert [job["place"] for job in answer.json()["jobs"]] == [0, 1, 2]
    _post(client, count="8", idempotency_key="another")
    assert len(set(_seeds()[3:])) == 8


def test_without_scripts_several_lead_to_the_studio_and_one_to_its_page(
    alice: User, client: Client
) -> None:
    client.force_login(alice)
    several = client.post("/", FORM | {"count": "2"}, follow=True)
    assert several.redirect_chain == [("/", 302)]
    assert b"2 videos submitted" in several.content
    one = client.post("/", FORM | {"count": "1", "idempotency_key": "one"})
    assert one["Location"].startswith("/jobs/")


@pytest.mark.parametrize("count", ["0", "9", "x"])
def test_a_count_that_nobody_offers_makes_nothing(count: str, alice: User, client: Client) -> None:
    client.force_login(alice)
    answer = _post(client, count=count)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["count"])
    assert not Job.objects.exists()


def test_all_seeds_fit_into_the_quota_or_none_is_made(
    alice: User, workspace: Workspace, client: Client
) -> None:
    workspace.max_queued = 2
    workspace.save()
    client.force_login(alice)
    refused = _post(client, count="3")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_jobs")
    assert "Send 2 at the most" in refused.json()["detail"]
    assert not Job.objects.exists()
    assert _post(client, count="2").status_code == 201  # the same key: the refusal kept nothing


def test_a_script_is_told_each_bad_value_by_its_field(alice: User, client: Client) -> None:
    client.force_login(alice)
    answer = _post(client, steps="2", seed="-1")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert set(answer.json()["fields"]) == {"steps", "seed"}
    assert "From 4 to 1000 steps" in answer.json()["fields"]["steps"]


def test_a_remix_remembers_what_it_was_made_of_where_one_may_see_that(
    submit: Callable[..., Job], alice: User, charlie: User, client: Client
) -> None:
    old = submit("a blue star rising", seed=7)
    client.force_login(alice)
    page = client.get(f"/?from={old.pk}").content.decode()
    assert f'name="remix_of" value="{old.pk}"' in page
    _post(client, remix_of=str(old.pk), count="2")
    assert Job.objects.filter(request__remix_of=old).count() == 2
    client.force_login(charlie)
    assert _post(client, remix_of=str(old.pk)).status_code == 201
    assert Job.objects.get(owner=charlie).request.remix_of is None


def test_a_prompt_in_the_address_is_in_the_composer_and_nothing_is_made(
    alice: User, client: Client
) -> None:
    client.force_login(alice)
    page = client.get("/", {"prompt": "a green <b>star</b>\0"})
    assert b"a green &lt;b&gt;star&lt;/b&gt;</textarea>" in page.content
    assert not Job.objects.exists()


def test_the_strip_shows_what_runs_then_what_waits_in_the_order_of_the_queue(
    submit: Callable[..., Job], claim: Callable[..., Claim], alice: User, client: Client
) -> None:
    first, second, third = submit(), submit(), submit()
    Job.objects.filter(pk=third.pk).update(priority=5)
    Job.objects.filter(pk=second.pk).update(priority=9)
    claim()  # the second
    client.force_login(alice)
    shown = client.get("/").context["making"]
    assert [job["id"] for job in shown] == [str(job.pk) for job in (second, third, first)]
    assert [job["note"] for job in shown] == ["Step 0 of 32", "Next in line", "1 before you"]


def test_none_is_said_to_be_done_before_one_that_comes_first(
    submit: Callable[..., Job], claim: Callable[..., Claim], alice: User, client: Client
) -> None:
    """Where there is one worker; a place alone is estimated by the mean of all that wait."""
    for _ in range(5):
        for steps in (8, 64):
            job = submit(steps=steps)
            mine = claim()
            Attempt.objects.filter(job=job).update(started_at=Now() - timedelta(seconds=steps))
            actions.succeed(mine, [video_of(mine)])
    for steps in (640, 8, 8):
        submit(steps=steps)
    a_worker()
    assert load.refresh() == ["default"]
    client.force_login(alice)
    first, second, third = (job["eta_seconds"] for job in client.get("/").context["making"])
    assert 300 < first < second < third
    told = client.get("/unfinished").json()["jobs"]
    assert [job["eta_seconds"] for job in told] == [first, second, third]


def test_the_queue_names_the_times_of_the_studio_before_anybody_has_looked_again(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    alice: User,
    olga: User,
    client: Client,
) -> None:
    """In the first seconds after a submit, when the look at the pool knows of none of them."""
    job = submit(steps=64)
    mine = claim()
    Attempt.objects.filter(job=job).update(started_at=Now() - timedelta(seconds=64))
    actions.succeed(mine, [video_of(mine)])
    a_worker()
    assert load.refresh() == ["default"]
    for _ in range(3):
        submit(steps=64)
    running = claim().job
    Job.objects.filter(pk=running).update(started_at=Now() + timedelta(hours=1))  # 0 s of it done
    client.force_login(alice)
    told = {job["id"]: job["eta_seconds"] for job in client.get("/").context["making"]}
    client.force_login(olga)
    answer = client.get("/queue")
    rows = [*answer.context["seen"].running.rows, *answer.context["seen"].waiting.rows]
    render = told[str(running)]
    assert render > 60
    assert {str(row.job.pk): row.estimate.eta_seconds for row in rows} == pytest.approx(told, abs=1)
    assert [row.estimate.wait_seconds for row in rows[1:]] == pytest.approx(
        [render, 2 * render], abs=1
    )
    tiles = {tile.label: tile.value for tile in answer.context["tiles"]}
    assert tiles["Empty in"] == tiles["GPU time waiting"] == "2 min"


def test_of_ones_own_fifty_are_shown_and_the_others_counted(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    made = [str(submit().pk) for _ in range(53)]
    client.force_login(alice)
    page = client.get("/")
    assert [job["id"] for job in page.context["making"]] == made[:50]
    assert b"and 3 more of yours" in page.content
    assert client.get("/unfinished").json()["more"] == 3


def test_mates_jobs_are_there_and_strangers_are_not(
    submit: Callable[..., Job], team: Team, charlie: User, client: Client
) -> None:
    job = submit()
    client.force_login(team.bob)
    (seen,) = client.get("/").context["making"]
    assert (seen["id"], seen["owner"]) == (str(job.pk), "alice@example.com")
    assert [each["id"] for each in client.get("/unfinished").json()["jobs"]] == [str(job.pk)]
    client.force_login(charlie)
    assert client.get("/").context["making"] == []
    assert client.get("/unfinished").json() == {"jobs": [], "more": 0}


def test_of_mates_the_thirty_whose_turn_comes_first_are_shown(
    submit: Callable[..., Job], team: Team, client: Client
) -> None:
    made = [str(submit().pk) for _ in range(33)]
    client.force_login(team.bob)
    assert [job["id"] for job in client.get("/").context["making"]] == made[:30]


def test_just_made_are_the_newest_that_ended_without_what_was_cancelled_or_deleted(
    submit: Callable[..., Job], claim: Callable[..., Claim], alice: User, client: Client
) -> None:
    ended = []
    for _ in range(10):
        ended.append(str(submit().pk))
        mine = claim()
        actions.succeed(mine, [video_of(mine)])
    actions.cancel(submit().pk)
    actions.delete(Job.objects.get(pk=ended.pop()).pk)
    client.force_login(alice)
    assert [job["id"] for job in client.get("/").context["made"]] == ended[:0:-1]


def test_recent_prompts_are_ones_own_each_once_newest_first(
    submit: Callable[..., Job], alice: User, bob: User, join: Join, client: Client
) -> None:
    for prompt in ("one", "two", "one"):
        job = submit(prompt)
    actions.delete(submit("gone").pk)
    client.force_login(alice)
    assert client.get("/").context["prompts"] == ["one", "two"]
    assert job.request.prompt == "one"
    join(bob, Role.CREATOR)
    client.force_login(bob)
    assert client.get("/").context["prompts"] == []


def test_the_page_teaches_whoever_has_made_nothing_and_nobody_else(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    client.force_login(alice)
    assert client.get("/").context["first_time"]
    actions.cancel(submit().pk)
    assert not client.get("/").context["first_time"]  # a prompt is there to be taken again


def test_the_page_asks_the_same_of_the_database_however_much_there_is(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    team: Team,
    client: Client,
    django_assert_num_queries: Queries,
) -> None:
    client.force_login(team.bob)

    def make(count: int) -> None:
        for _ in range(count):
            submit()
            mine = claim()
            actions.succeed(mine, [video_of(mine)])
            submit()
            claim()
            submit()

    make(1)
    with django_assert_num_queries(PAGE_QUERIES):
        client.get("/")
    with django_assert_num_queries(REFRESH_QUERIES):
        client.get("/unfinished")
    make(9)
    with django_assert_num_queries(PAGE_QUERIES):
        assert len(client.get("/").context["making"]) == 20
    with django_assert_num_queries(REFRESH_QUERIES):
        client.get("/unfinished")


PAGE_QUERIES = 14  # session, user, memberships, workspace; 5 of the strip, prompts, looks, places…
REFRESH_QUERIES = 9


def test_just_made_is_found_by_few_rows_whatever_was_cancelled(
    alice: User, workspace: Workspace, client: Client
) -> None:
    crowd.fill(alice, 12_000)
    found = nodes(plan_of(making.newest_ended(workspace.pk)))
    assert max(each["Actual Rows"] * each["Actual Loops"] for each in found) <= making.LOOKED_AT
    client.force_login(alice)
    page = client.get("/")
    assert page.context["prompts"]
    assert {job["state"] for job in page.context["made"]} == {"parked"}  # one in a hundred


def test_an_estimate_is_said_for_values_that_make_a_job_and_for_no_others(
    alice: User, client: Client, settings: LazySettings
) -> None:
    client.force_login(alice)
    values = {name: FORM[name] for name in ("model", "size", "frames", "steps", "guidance")}
    assert client.get("/estimate", values).json() == {"words": ""}  # nobody has looked at the queue
    load.refresh()
    words = client.get("/estimate", values).json()["words"]
    assert words == "No worker is up: it starts as soon as one is"
    assert client.get("/estimate", values | {"steps": "2"}).json() == {"words": ""}
    assert client.get("/estimate").json() == {"words": ""}
    assert json.loads(client.get("/estimate", values | {"count": "9"}).content) == {"words": ""}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.2, "about 1\u00a0s"),
        (40.4, "about 40\u00a0s"),
        (100, "about 2\u00a0min"),
        (7_300, "about 2\u00a0h"),
    ],
)
def test_a_time_is_said_as_exactly_as_it_is_known(seconds: float | None, words: str) -> None:
    assert expected.about(seconds) == words


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"seconds": 40, "ahead": 3, "workers": 1, "count": 1}, "about 40\u00a0s · 3 before you"),
        ({"seconds": 40, "ahead": 0, "workers": 2, "count": 1}, "about 40\u00a0s"),
        ({"seconds": 9, "ahead": 0, "workers": 1, "count": 4}, "about 9\u00a0s for the first"),
        ({"seconds": None, "ahead": 1, "workers": 1, "count": 1}, "1 before you"),
        (
            {"seconds": None, "ahead": 9, "workers": 0, "count": 1},
            "No worker is up: it starts as soon as one is",
        ),
    ],
)
def test_beside_the_button_stands_what_is_known(known: dict[str, Any], words: str) -> None:
    assert expected.of_new(**known) == words
