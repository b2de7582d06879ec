"""Parked jobs by their cause, tried again one, many or all alike; and what failed lately."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from jobs import actions, dead_letters
from jobs.actions import Claim
from jobs.models import Job
from jobs.remedies import REMEDIES, UNKNOWN, remedy
from jobs.sieve import Sieve

pytestmark = pytest.mark.django_db
SCRIPT = {"Accept": "application/json"}  # as static/js/act.js asks


@pytest.fixture
def park(submit: Callable[..., Job], claim: Callable[..., Claim]) -> Callable[..., Job]:
    def _park(code: str, *, permanent: bool = False) -> Job:
        job = submit(f"parked by {code}")
        Job.objects.filter(pk=job.pk).update(max_attempts=1)
        actions.fail(claim("gpu-1/x"), code=code, message="It broke.", permanent=permanent)
        return job

    return _park


def test_every_code_that_an_attempt_can_end_with_says_what_to_do() -> None:
    page = (settings.BASE_DIR / "docs/reference/errors.md").read_text(encoding="utf-8")
    retryable = set(re.findall(r"^\| `(\w+)` \| yes \|", page, re.MULTILINE))
    assert len(retryable) >= 20
    assert retryable - set(REMEDIES) == set()
    assert remedy("nobody knows this one") is UNKNOWN


def test_parked_jobs_stand_by_their_cause_the_most_frequent_first(
    park: Callable[..., Job], console: Client
) -> None:
    other = park("gpu_broken")
    alike = [park("out_of_memory") for _ in range(2)]
    retried, failed = park("out_of_memory"), park("bad_size", permanent=True)
    again = actions.retry(retried.pk)
    letters = console.get("/queue").context["seen"].letters
    assert [(each.code, each.count) for each in letters.causes] == [
        ("out_of_memory", 2),
        ("gpu_broken", 1),
    ]
    assert [row.job.pk for row in letters.rows] == [alike[1].pk, alike[0].pk, other.pk]
    assert [(each.old, each.new.pk) for each in letters.again] == [(retried.pk, again.pk)]
    assert [job.pk for job in letters.failed] == [failed.pk]
    chosen = console.get("/queue?cause=gpu_broken").context["seen"].letters
    assert [row.job.pk for row in chosen.rows] == [other.pk]
    assert len(chosen.causes) == 2


def test_those_that_were_tried_again_hide_none_that_were_not(
    park: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "COUNTED", 3)
    jobs = [park("out_of_memory") for _ in range(7)]
    for job in jobs[3:]:
        actions.retry(job.pk)
    found, mark = [], None
    for _ in range(9):
        letters = dead_letters.look(Sieve(), shown=2, after=mark)
        found += [row.job.pk for row in letters.rows]
        if (mark := letters.next) is None:
            break
    assert found == [job.pk for job in reversed(jobs[:3])]


def test_all_of_one_cause_are_tried_again_a_part_at_a_time(
    park: Callable[..., Job], console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.pages.queue_verbs.LIKE", 2)
    alike = [park("out_of_memory") for _ in range(3)]
    other = park("gpu_broken")
    lefts = []
    for _ in range(2):
        answer = console.post("/queue/retry", {"like": "out_of_memory"}, headers=SCRIPT).json()
        lefts.append((len(answer["made"]), answer["left"]))
        assert answer["made"][0]["url"] == f"/jobs/{answer['made'][0]['new']}/"
    assert lefts == [(2, 1), (1, 0)]
    again = set(
        Job.objects.filter(request__retry_of__isnull=False).values_list("request__retry_of")
    )
    assert again == {(job.pk,) for job in alike}
    assert (other.pk,) not in again
    nothing = console.post("/queue/retry", {"like": "out_of_memory"}, headers=SCRIPT)
    assert (nothing.status_code, nothing.json()["fields"]) == (400, {"job": "No job was chosen."})


def test_what_cannot_be_tried_again_is_told_to_scripts_with_its_reason(
    park: Callable[..., Job], submit: Callable[..., Job], console: Client
) -> None:
    parked, waits = park("out_of_memory"), submit()
    answer = console.post("/queue/retry", {"job": [parked.pk, waits.pk]}, headers=SCRIPT).json()
    assert answer["message"] == "One job is tried again."
    assert [each["old"] for each in answer["made"]] == [str(parked.pk)]
    (refused,) = answer["refused"]
    assert (refused["id"], "queued" in refused["detail"]) == (str(waits.pk), True)


def test_no_remedy_names_a_place_that_is_not_there() -> None:
    """They are shown as they stand: whole sentences, without markup."""
    for each in {*REMEDIES.values()}:
        for words in (each.cause, each.do):
            assert words.endswith(".")
            assert "`" not in words
    assert Path(settings.BASE_DIR / "gpu_worker/management/commands/models.py").exists()
