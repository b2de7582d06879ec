"""The operators' page of the queue: its numbers, filters and verbs, and what it answers scripts."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import actions as accounts
from accounts.models import AuditEntry, User, Workspace
from jobs import actions, load, workers
from jobs.actions import Claim
from jobs.durations import about, rough
from jobs.lifecycle import State
from jobs.models import Job, Worker

pytestmark = pytest.mark.django_db
SCRIPT = {"Accept": "application/json"}  # as static/js/act.js asks


def _tiles(console: Client, query: str = "") -> dict[str, tuple[str, str]]:
    tiles = console.get(f"/queue{query}").context["tiles"]
    return {tile.label: (tile.value, tile.words) for tile in tiles}


@pytest.fixture
def worker() -> str:
    """One that is up; its name as a holder."""
    life = uuid.uuid4()
    holder = workers.register(name="gpu-1", incarnation=life, pool="default", device="a card")
    workers.ready(name="gpu-1", incarnation=life, device="a card")
    return holder


def test_the_part_that_did_not_change_is_not_sent_again(
    submit: Callable[..., Job], console: Client
) -> None:
    submit()
    # "12 min" for half a minute; "< 5 s" would soon be another tile.
    Job.objects.update(run_at=timezone.now() - timedelta(minutes=12))
    first = console.get("/queue?part=1")
    assert b"<html" not in first.content
    same = console.get("/queue?part=1", headers={"If-None-Match": first["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    submit()
    other = console.get("/queue?part=1", headers={"If-None-Match": first["ETag"]})
    assert (other.status_code, other["ETag"] != first["ETag"]) == (200, True)


def test_the_numbers_say_how_the_queue_stands(
    submit: Callable[..., Job], claim: Callable[..., Claim], console: Client, worker: str
) -> None:
    assert _tiles(console)["Empty in"] == ("–", "nothing waits")
    for _ in range(3):
        submit()
    started = timezone.now() - timedelta(seconds=40)
    held = claim(worker)
    Job.objects.filter(pk=held.job).update(started_at=started)
    Job.objects.filter(state=State.QUEUED).update(run_at=timezone.now() - timedelta(minutes=12))
    assert _tiles(console)["Empty in"] == ("?", "nobody has looked lately: does the sweep run?")
    load.refresh()
    told = _tiles(console)
    assert told["Running"] == ("1", "on 1 worker up")
    assert told["Waiting"] == ("2", "none is held by quota")
    assert told["Longest wait"][0] == "12 min"
    assert told["Empty in"] == ("?", "no render of the past to judge by")
    assert told["GPU time waiting"][0] == "?"
    assert _tiles(console, "?pool=other")["Longest wait"] == ("–", "nobody waits for a worker")


def test_seconds_are_said_in_steps_that_nobody_takes_for_exact() -> None:
    said = {2: "< 5 s", 42: "40 s", 89: "90 s", 130: "2 min", 7000: "2 h", 400_000: "5 days"}
    assert {seconds: rough(seconds) for seconds in said} == said
    assert (about(2), about(42)) == ("a few seconds", "about 40 s")


def test_the_page_is_filtered_by_who_and_where_and_says_who_is_not_there(
    submit: Callable[..., Job], claim: Callable[..., Claim], console: Client, workspace: Workspace
) -> None:
    submit()
    claim("gpu-1/x")
    submit()

    def found(query: str) -> tuple[int, int]:
        seen = console.get(f"/queue?{query}").context["seen"]
        return len(seen.running.rows), len(seen.waiting.rows)

    for query in ("owner=ALICE@example.com", f"workspace={workspace.slug}", "model=nano"):
        assert found(query) == (1, 1), query
    for query in ("owner=olga@example.com", "pool=other", "model=another"):
        assert found(query) == (0, 0), query
    page = console.get("/queue?owner=nobody@example.com&workspace=none").content.decode()
    assert "Nobody here has this address." in page
    assert "There is no workspace of this short name." in page
    assert page.count('aria-invalid="true"') == 2


def test_what_runs_goes_on_at_its_mark(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    console: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobs.overview.SHOWN", 2)
    made = [submit() for _ in range(5)]
    for number in range(5):
        claim(f"gpu-{number}/x")
    where, found = "/queue", []
    for _ in range(3):
        answer = console.get(where)
        found += [row.job.pk for row in answer.context["seen"].running.rows]
        where = f"/queue{answer.context['links'].get('running_next', '')}".partition("#")[0]
    assert found == [job.pk for job in made]
    assert where == "/queue"


def test_many_are_cancelled_with_one_reason_and_each_is_audited(
    submit: Callable[..., Job], claim: Callable[..., Claim], console: Client, olga: User
) -> None:
    runs, waits, ended = submit(), submit(), submit()
    held = claim()
    actions.cancel(ended.pk)
    data: dict[str, Any] = {"job": [job.pk for job in (runs, waits, ended)]}
    asked = console.post("/queue/cancel", data)
    assert (asked.status_code, b"Cancel 3 jobs?" in asked.content) == (200, True)
    refused = console.post("/queue/cancel", data, headers=SCRIPT)
    assert (refused.status_code, refused.json()["fields"]) == (400, {"reason": "Say why."})
    assert not actions.orders(held).cancel
    answer = console.post("/queue/cancel", data | {"reason": "a trial"}, headers=SCRIPT).json()
    assert answer["message"] == "2 jobs are cancelled. One stops after the step at hand."
    assert actions.orders(held).cancel
    entries = AuditEntry.objects.filter(verb="job.cancelled", actor=olga)
    assert {entry.subject for entry in entries} == {str(runs.pk), str(waits.pk)}
    assert {entry.data["reason"] for entry in entries} == {"a trial"}


def test_a_drain_asks_for_its_reason_and_a_resume_takes_it_back(
    console: Client, worker: str
) -> None:
    data = {"worker": "gpu-1"}
    asked = console.post("/queue/drain", data)
    assert (asked.status_code, b"Drain gpu-1?" in asked.content) == (200, True)
    assert b"errorlist" not in asked.content  # nothing was wrong yet
    assert b"errorlist" in console.post("/queue/drain", data | {"reason": ""}).content
    refused = console.post("/queue/drain", data, headers=SCRIPT)
    assert (refused.status_code, refused.json()["fields"]) == (400, {"reason": "Say why."})
    answer = console.post("/queue/drain", data | {"reason": "a new card"}, headers=SCRIPT).json()
    assert (answer["worker"], Worker.objects.get().drain_requested_at is None) == ("gpu-1", False)
    assert console.get("/queue").context["seen"].workers.rows[0].does == "drains"
    console.get("/queue/drain?worker=gpu-1&resume=1")  # an address that is only looked at
    assert Worker.objects.get().drain_requested_at is not None
    console.post("/queue/drain?resume=1", data)
    assert Worker.objects.get().drain_requested_at is None
    gone = console.post("/queue/drain", {"worker": "nobody", "reason": "x"}, headers=SCRIPT)
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


def test_a_worker_shows_what_it_told_of_itself_until_it_is_gone(
    console: Client, worker: str
) -> None:
    life = Worker.objects.get().incarnation
    facts = {"models": ["nano"], "memory_used": 3 << 30, "memory_total": 80 << 30}
    workers.seen(name="gpu-1", incarnation=life, facts=facts)
    (row,) = console.get("/queue").context["seen"].workers.rows
    assert (row.models, row.memory.words, row.memory.percent) == (["nano"], "3.0 of 80.0 GiB", 3)
    workers.seen(name="gpu-1", incarnation=life)  # it tells nothing new of itself
    assert "3.0 of 80.0 GiB" in console.get("/queue").content.decode()
    past = timezone.now() - timedelta(hours=1)
    Worker.objects.update(seen_at=past, started_at=past)
    (row,) = console.get("/queue").context["seen"].workers.rows
    assert (row.does, row.models, row.memory) == ("gone", [], None)
    assert "No worker is up" in console.get("/queue").content.decode()


def test_held_jobs_of_many_workspaces_cost_no_more_than_one(
    submit: Callable[..., Job],
    workspace: Workspace,
    alice: User,
    console: Client,
    django_assert_max_num_queries: Callable[[int], Any],
) -> None:
    spec = submit().request.render_spec()
    accounts.set_quota(workspace, actor=None, max_running=1)
    actions.submit(owner=alice, spec=spec)
    for number in range(3):
        other = accounts.create_workspace(alice, name=f"another {number}")
        accounts.set_quota(other, actor=None, max_running=1)
        for _ in range(2):
            actions.submit(owner=alice, spec=spec, workspace=other.pk)
    with django_assert_max_num_queries(27):
        seen = console.get("/queue?part=1").context["seen"]
    held = [row for row in seen.waiting.rows if not row.place]
    assert (len(held), seen.held) == (4, 4)
    assert {row.why.partition(" place")[0] for row in held} == {"The workspace's only"}


def test_the_old_address_leads_to_the_page(console: Client) -> None:
    assert console.get("/admin/queue/")["Location"] == "/queue"
