"""The queue's page: what runs, waits and is parked, why, who works, and what that costs."""

import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from jobs import actions, line, overview, waiting, workers
from jobs.actions import Claim
from jobs.models import Job, Worker

pytestmark = pytest.mark.django_db
QUERIES = 24  # of the page, however long its lists are; two of them are the session's


def _shown(console: Client) -> overview.Overview:
    answer = console.get("/queue")
    assert answer.status_code == 200
    seen: overview.Overview = answer.context["seen"]
    return seen


def test_an_empty_queue_says_what_that_means(console: Client) -> None:
    page = console.get("/queue").content.decode()
    for words in (
        "there is nothing to do",
        "Nothing waits: whatever is submitted now begins as soon as a worker is free.",
        "no job has used up its attempts",
        "No worker has ever registered",
        "No worker is up, so nothing is rendered.",
    ):
        assert words in page


def test_a_running_job_shows_where_it_is_and_what_was_asked_of_it(
    submit: Callable[..., Job], claim: Callable[..., Claim], console: Client
) -> None:
    job = submit("a green star moving up", steps=40)
    held = claim("gpu-1/x")
    actions.renew(held, step=12)
    actions.cancel(job.pk)
    (row,) = _shown(console).running.rows
    assert (row.job.pk, row.worker, row.job.step, row.steps) == (job.pk, "gpu-1", 12, 40)
    assert timedelta(seconds=50) < row.lease_left <= timedelta(seconds=60)
    assert row.resumed_from is None
    page = console.get("/queue").content.decode()
    for words in (
        "a green star moving up",
        "alice@example.com",
        "Cancelling",
        "Lease renewed in time",
    ):
        assert words in page


def test_a_lease_that_is_over_shows_as_such_and_is_no_sign_of_life(
    submit: Callable[..., Job], claim: Callable[..., Claim], console: Client
) -> None:
    job, life = submit(), uuid.uuid4()
    holder = workers.register(name="gpu-1", incarnation=life, pool="default", device="")
    workers.ready(name="gpu-1", incarnation=life, device="")
    claim(holder)
    past = timezone.now() - timedelta(minutes=5)
    Job.objects.filter(pk=job.pk).update(lease_until=past)
    Worker.objects.update(seen_at=past, started_at=past)
    seen = _shown(console)
    (row,) = seen.running.rows
    assert row.lease_left < timedelta(0)
    assert b"Lease is over: it is taken back" in console.get("/queue").content
    (worker,) = seen.workers.rows
    assert (worker.lives, worker.holds, worker.does) == (False, [], "gone")


def test_an_attempt_that_went_on_from_a_checkpoint_says_from_which_step(
    parked: Job, claim: Callable[..., Claim], console: Client
) -> None:
    actions.retry(parked.pk)
    held = claim("gpu-2/x")
    actions.resumed(held, step=8)
    (row,) = _shown(console).running.rows
    assert row.resumed_from == 8
    assert b"went on from step 8" in console.get("/queue").content


def test_a_waiting_job_says_why(
    submit: Callable[..., Job], claim: Callable[..., Claim], console: Client
) -> None:
    first, _ = submit(), submit()

    def reasons() -> list[str]:
        rows = _shown(console).waiting.rows
        assert [row.place for row in rows] == list(range(1, len(rows) + 1))
        return [row.why for row in rows]

    assert reasons() == ["No worker serves the pool default."] * 2

    life = uuid.uuid4()
    holder = workers.register(name="gpu-1", incarnation=life, pool="default", device="")
    Worker.objects.update(
        started_at=timezone.now() - timedelta(minutes=5),
        seen_at=timezone.now() - timedelta(minutes=5),
    )
    assert reasons()[0].startswith("gpu-1 loads its first model since ")  # it tells nothing then
    workers.ready(name="gpu-1", incarnation=life, device="a card")
    assert reasons() == ["Next: gpu-1 takes it within 5 s.", "1 before it."]

    held = claim(holder)
    assert held.job == first.pk
    assert reasons() == ["Next, after what gpu-1 renders now."]
    Worker.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    assert reasons() == ["Next, after what gpu-1 renders now."]  # its lease is the sign of life

    actions.fail(held, code="gpu_broken", message="The GPU failed.", permanent=False)
    Job.objects.filter(pk=first.pk).update(run_at=timezone.now() + timedelta(hours=1))
    (waits,) = [row.why for row in _shown(console).waiting.rows if row.job.pk == first.pk]
    assert waits.startswith("Back-off until ")
    assert waits.endswith(" after: The GPU failed.")
    assert reasons()[0].startswith(
        "No worker of the pool default lives: gpu-1 has given no sign since "
    )

    workers.seen(name="gpu-1", incarnation=life, trouble="The disk is full: 3 MB are free.")
    assert reasons()[0] == "gpu-1: The disk is full: 3 MB are free."
    workers.drain("gpu-1")
    assert reasons()[0].startswith("gpu-1 drains since ")
    Job.objects.update(deadline=timezone.now() - timedelta(seconds=1))
    ends, goes_on = reasons()
    assert ends == "Its deadline has passed; the sweep ends it."
    assert goes_on.startswith("Back-off until ")  # it was begun in time


def test_the_handbook_explains_every_reason_to_wait() -> None:
    page = (settings.BASE_DIR / "docs/howto/recover.md").read_text(encoding="utf-8")
    source = Path(waiting.__file__).read_text(encoding="utf-8")
    sentences = re.findall(
        r'f?"([^"{}]*(?:\{[^}]*\}[^"{}]*)+)"', source.partition("def hindrance")[2]
    )
    words = [max(re.split(r"\{[^}]*\}", each), key=len).strip(" ;:.") for each in sentences]
    told = [each for each in words if each.count(" ") > 1]
    assert len(told) >= 6
    assert [each for each in told if each not in page] == []


def test_each_pool_is_a_line_of_its_own_and_all_are_shown_in_one_order(
    submit: Callable[..., Job], console: Client
) -> None:
    made = [submit() for _ in range(4)]
    Job.objects.filter(pk__in=[made[0].pk, made[2].pk]).update(pool="other")
    rows = _shown(console).waiting.rows
    assert [row.job.pk for row in rows] == [job.pk for job in made]
    assert [row.place for row in rows] == [1, 1, 2, 2]
    rows = console.get("/queue?pool=other").context["seen"].waiting.rows
    assert [(row.job.pk, row.place) for row in rows] == [(made[0].pk, 1), (made[2].pk, 2)]


def test_a_parked_job_shows_its_error_until_somebody_tries_it_again(
    parked: Job, console: Client
) -> None:
    (row,) = _shown(console).parked.rows
    assert (row.job.pk, row.worker) == (parked.pk, "gpu-1")
    page = console.get("/queue").content.decode()
    assert "out_of_memory" in page
    assert "The memory did not suffice." in page
    actions.retry(parked.pk)
    assert _shown(console).parked.rows == []


def test_a_long_queue_costs_no_more_than_a_short_one(
    submit: Callable[..., Job],
    console: Client,
    django_assert_max_num_queries: Callable[[int], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overview, "SHOWN", 3)
    monkeypatch.setattr(line, "COUNTED", 6)
    for count, total, more in ((4, "4", "1"), (4, "6 or more", "3 or more")):
        for _ in range(count):
            submit()
        with django_assert_max_num_queries(QUERIES):
            answer = console.get("/queue?part=1")
        waiting = answer.context["seen"].waiting
        assert (len(waiting.rows), waiting.total, waiting.more) == (3, total, more)


def test_many_rows_in_every_list_cost_no_more_than_one(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    console: Client,
    django_assert_max_num_queries: Callable[[int], Any],
) -> None:
    for number in range(5):
        submit()
        held = claim(f"gpu-{number}/x")
        Job.objects.filter(pk=held.job).update(max_attempts=1)
        actions.fail(held, code="bad", message="It broke.", permanent=False)
    for number in range(5):
        submit()
        claim(f"gpu-{number}/x")
        submit()
        submit()
        actions.fail(claim("gpu-9/x"), code="bad", message="It broke.", permanent=False)
        workers.register(name=f"w-{number}", incarnation=uuid.uuid4(), pool="default", device="")
    with django_assert_max_num_queries(QUERIES):
        seen = console.get("/queue?part=1").context["seen"]
    assert [len(part.rows) for part in (seen.running, seen.waiting, seen.parked, seen.workers)] == [
        5,
        10,
        5,
        5,
    ]


def test_a_worker_is_drained_and_takes_jobs_again_by_a_button(
    submit: Callable[..., Job], console: Client
) -> None:
    life = uuid.uuid4()
    holder = workers.register(name="gpu-1", incarnation=life, pool="default", device="")
    submit()
    assert b"Drain gpu-1?" in console.get("/queue/drain?worker=gpu-1").content
    console.post("/queue/drain", {"worker": "gpu-1"})
    assert not _shown(console).workers.rows[0].words.startswith("drains")
    console.post("/queue/drain", {"worker": "gpu-1", "reason": "new memory"})
    assert actions.claim(worker=holder, pool="default") is None
    (row,) = _shown(console).workers.rows
    assert row.words.startswith("drains since ")
    console.post("/queue/drain", {"worker": "gpu-1", "resume": "1"})
    assert actions.claim(worker=holder, pool="default") is not None
    (row,) = _shown(console).workers.rows
    assert len(row.holds) == 1
    console.post("/queue/drain", {"worker": "nobody", "reason": "x"})
    assert "There is no such worker any more." in console.get("/queue").content.decode()
