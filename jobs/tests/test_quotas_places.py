"""Places to run in: never too many, given on at once, to whoever waits longest; no deadlock."""

import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models import Sum
from django.db.models.functions import Now

from accounts import actions as accounts
from accounts.models import AuditEntry, Membership, User, Workspace
from jobs import actions, holdings, places, purge, queue
from jobs.actions import Claim, Wanted
from jobs.errors import LostClaim, NotPossible, Refusal
from jobs.lifecycle import State
from jobs.models import Artifact, Attempt, GpuSeconds, Job, StoredBytes
from jobs.tests.quota_cast import (
    Submit,
    Take,
    Team,
    are_held,
    claimed,
    fail,
    share_of,
    spec,
    succeed,
    together,
)

pytestmark = pytest.mark.django_db(transaction=True)

JSON = "application/json"


def test_no_more_run_than_there_are_places_and_the_next_begins_when_one_ends(
    workspace: Workspace, submit: Submit
) -> None:
    accounts.set_quota(workspace, actor=None, max_running=2)
    jobs = [submit() for _ in range(5)]
    assert are_held(jobs) == [False, False, True, True, True]
    taken = [actions.claim(worker="worker/1", pool="default") for _ in range(3)]
    assert [each and each.job for each in taken] == [jobs[0].pk, jobs[1].pk, None]
    assert taken[0] is not None
    succeed(taken[0])
    assert are_held(jobs) == [False, False, False, True, True]
    assert claimed() == [jobs[2].pk]
    actions.cancel(jobs[3].pk)  # one that has no place gives none back
    assert claimed() == []
    actions.cancel(jobs[1].pk)
    assert are_held(jobs)[4] is True  # its worker has not obeyed yet
    assert taken[1] is not None
    actions.obey_cancel(taken[1])
    assert claimed() == [jobs[4].pk]


def test_who_is_let_in_comes_behind_those_who_came_since(
    charlie: User, workspace: Workspace, submit: Submit
) -> None:
    """Else a workspace with a thousand held jobs were always next."""
    accounts.set_quota(workspace, actor=None, max_running=1)
    first, second = submit(), submit()
    other = actions.submit(owner=charlie, spec=spec())
    actions.cancel(first.pk)
    assert claimed() == [other.pk, second.pk]


def test_a_batch_gets_the_places_that_are_left_and_keeps_its_order(
    alice: User, workspace: Workspace, submit: Submit
) -> None:
    accounts.set_quota(workspace, actor=None, max_running=2)
    first = submit()
    wanted = [Wanted(spec=spec(seed), model_digest="") for seed in range(4)]
    batch = actions.submit_many(owner=alice, wanted=wanted)
    assert are_held(batch) == [False, True, True, True]
    order = []
    for _ in range(5):
        taken = actions.claim(worker="worker/1", pool="default")
        assert taken is not None
        order.append(taken.job)
        succeed(taken)
    assert order == [first.pk, *(job.pk for job in batch)]


def test_whoever_waits_for_a_time_holds_no_place(
    workspace: Workspace, submit: Submit, claim: Take
) -> None:
    accounts.set_quota(workspace, actor=None, max_running=1)
    first, second = submit(), submit()
    fail(claim())
    assert are_held([first, second]) == [True, False]
    held = claim()
    assert held.job == second.pk
    Job.objects.filter(pk=first.pk).update(run_at=Now())
    assert claimed() == []
    succeed(held)
    assert claimed() == [first.pk]


def test_one_person_with_a_place_holds_up_nobody_else(team: Team, settings: LazySettings) -> None:
    settings.T2V_QUOTA_PERSON_RUNNING = 1
    alice, bob = team.alice, team.bob
    mine = [actions.submit(owner=alice, spec=spec()) for _ in range(3)]
    his = [actions.submit(owner=bob, spec=spec()) for _ in range(2)]
    for job in (mine[0], his[0]):
        assert claim_one() == job.pk
    assert claim_one() is None
    done = Claim(job=his[0].pk, attempt=1, worker="worker/1", spec=spec(), owner=bob.pk)
    succeed(done)
    assert claim_one() == his[1].pk


def claim_one() -> UUID | None:
    taken = actions.claim(worker="worker/1", pool="default")
    return None if taken is None else taken.job


def test_a_changed_quota_holds_at_once_and_stops_nothing_that_runs(
    workspace: Workspace, submit: Submit, claim: Take, ada: User
) -> None:
    jobs = [submit() for _ in range(6)]
    held = claim()
    accounts.set_quota(workspace, actor=ada, max_running=3, reason="a trial")
    assert are_held(jobs) == [False] * 3 + [True] * 3
    accounts.set_quota(workspace, actor=ada, max_running=4)
    assert are_held(jobs) == [False] * 4 + [True] * 2
    accounts.set_quota(workspace, actor=ada, max_running=1)
    assert are_held(jobs) == [False] + [True] * 5
    assert Job.objects.get(pk=held.job).state == State.RUNNING
    accounts.set_quota(workspace, actor=ada, max_running=None)
    assert are_held(jobs) == [False] * 6
    told = AuditEntry.objects.filter(verb="quota.changed").order_by("pk")
    assert [(each.actor, each.data["max_running"]) for each in told][::3] == [
        ("ada@example.com", "the site's → 3"),
        ("ada@example.com", "1 → the site's"),
    ]
    assert told[0].data["reason"] == "a trial"


def test_the_sweep_repairs_what_a_crash_or_a_changed_setting_left(
    workspace: Workspace, submit: Submit, settings: LazySettings
) -> None:
    jobs = [submit() for _ in range(4)]
    settings.T2V_QUOTA_RUNNING = 2  # as after a restart
    assert places.settle_all() == 2
    assert are_held(jobs) == [False, False, True, True]
    assert places.settle_all() == 0
    Job.objects.filter(pk=jobs[0].pk).update(over_quota=True)  # as if nobody had given it on
    assert places.settle_all() == 1
    assert sum(are_held(jobs)) == 2
    settings.T2V_QUOTA_RUNNING = 0
    assert places.settle_all() == 2
    assert are_held(jobs) == [False] * 4


def test_nobody_overtakes_those_who_wait_for_a_place(
    workspace: Workspace, submit: Submit, claim: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place that was given back and not yet given on is no newcomer's."""
    accounts.set_quota(workspace, actor=None, max_running=1)
    first, second = submit(), submit()
    held = claim()
    with monkeypatch.context() as crashed:
        crashed.setattr(places, "freed", lambda workspace: None)
        succeed(held)
    third = submit()
    assert are_held([first, second, third]) == [False, False, True]


def test_neither_a_claim_nor_a_submit_reads_more_than_it_must(
    alice: User, charlie: User, workspace: Workspace, submit: Submit
) -> None:
    """By these indexes, as no other is small when a workspace has a hundred thousand jobs."""
    submit()
    values: dict[str, Any] = {
        "workspace": workspace.pk,
        "workspaces": [workspace.pk],
        "owner": alice.pk,
        "most": 5,
        "each": 5,
        "ids": [],
    }
    wanted = {
        holdings._UNFINISHED: "jobs_of_owner_unfinished",
        holdings._PLACED: "jobs_of_workspace_unfinished",
        holdings._ALL: "jobs_of_workspace_unfinished",
        places._HELD: "jobs_over_quota",
        places._ANY_HELD: "jobs_over_quota",
        places._TAKEN: "jobs_of_workspace_unfinished",
        queue._NEXT: "jobs_queue",
    }
    values |= {"pool": "default", "rank": 0, "run_at": "-infinity", "job": UUID(int=0)}
    others = [Wanted(spec=spec(), model_digest="")] * 300
    actions.submit_many(owner=charlie, wanted=others)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_job")
        cursor.execute("SET enable_seqscan = off")
        try:
            for statement, index in wanted.items():
                cursor.execute(f"EXPLAIN {statement}", values)
                plan = "\n".join(row[0] for row in cursor.fetchall())
                scans = set(re.findall(r"(?:using|Scan on) (jobs_\w+)", plan)) - {"jobs_job"}
                assert index in scans, plan
                assert scans <= {index, "jobs_over_quota"}, plan
        finally:
            cursor.execute("RESET enable_seqscan")


# --- All of it at once --------------------------------------------------------------------------


def test_whatever_happens_at_once_no_quota_is_overrun_and_nothing_drifts(
    team: Team, settings: LazySettings, media: Path
) -> None:
    """Submits, claims, ends, cancels and purges of six threads; a seventh looks on all the time."""
    settings.T2V_DELETED_HOURS = 0
    settings.T2V_MAX_ATTEMPTS = 2
    workspace, bob = team.workspace, team.bob
    accounts.set_quota(workspace, actor=None, max_running=3, max_gpu_seconds=10**6)
    bobs = Membership.objects.get(workspace=workspace, user=bob)
    accounts.set_quota(bobs, actor=None, max_running=2)
    over = Event()
    seen: list[tuple[int, int]] = []  # that run, and of those bob's

    def look() -> None:
        running = Job.objects.filter(state=State.RUNNING)
        owners = Counter(running.values_list("owner__email", flat=True))
        seen.append((owners.total(), owners[bob.email]))

    def look_on() -> list[str]:
        while not over.wait(0.002):
            look()
        return []

    def work(number: int) -> list[str]:
        dice, said, held = random.Random(number), list[str](), list[Claim]()
        for step in range(50):
            try:
                _act(dice, held, (team.alice, bob)[number % 2], f"w-{number}/{step}")
            except (Refusal, LostClaim, NotPossible) as refused:
                said.append(type(refused).__name__)
            look()  # the seventh may sleep through all of it
        for claim in held:
            try:
                succeed(claim)
            except (LostClaim, NotPossible) as refused:
                said.append(type(refused).__name__)
        return said

    def all_work() -> list[str]:
        try:
            return [
                word
                for words in together(*[lambda n=n: work(n) for n in range(6)])
                for word in words
            ]
        finally:
            over.set()

    said = together(look_on, all_work)[1]
    # NotFound: it was purged between the look and the verb.
    assert set(said) <= {"LostClaim", "NotFound", "NotPossible"}
    assert 2 <= max(running for running, _ in seen) <= 3
    assert max(bobs_own for _, bobs_own in seen) <= 2
    # Everything that waits gets its turn, though nobody submits or sweeps any more.
    for _ in range(500):
        Job.objects.filter(state=State.QUEUED).update(run_at=Now())
        places.settle_all()
        taken = actions.claim(worker="last/1", pool="default")
        if taken is None:
            break
        succeed(taken)
    assert not Job.objects.filter(state__in=(State.QUEUED, State.RUNNING)).exists()
    _nothing_drifted()
    assert share_of(workspace).reserved_seconds == 0


def _act(dice: random.Random, held: list[Claim], owner: User, worker: str) -> None:
    verb = dice.choice(
        ["submit", "submit", "claim", "claim", "claim", "end", "end", "cancel", "purge"]
    )
    if verb == "submit":
        actions.submit(owner=owner, spec=spec())
    elif verb == "claim":
        taken = actions.claim(worker=worker, pool="default")
        held.extend([taken] if taken else [])
    elif verb == "end" and held:
        claim = held.pop(dice.randrange(len(held)))
        ends: list[Callable[[Claim], object]] = [succeed, fail, actions.release]
        dice.choice(ends)(claim)
    elif verb == "cancel":
        job = Job.objects.filter(owner=owner).order_by("?").first()
        if job is not None:
            stops: list[Callable[[UUID], object]] = [actions.cancel, actions.delete]
            dice.choice(stops)(job.pk)
    elif verb == "purge":
        purge.purge_deleted()


def _nothing_drifted() -> None:
    stored = {
        (row["job__workspace"], row["job__owner"]): row["total"]
        for row in Artifact.objects.values("job__workspace", "job__owner").annotate(
            total=Sum("size")
        )
    }
    kept = StoredBytes.objects.exclude(bytes=0).values_list("workspace", "user", "bytes")
    assert {(where, who): size for where, who, size in kept} == stored
    ended = Attempt.objects.exclude(ended_at=None).values_list(
        "job__owner", "started_at", "ended_at"
    )
    spent: Counter[int] = Counter()
    for owner, began, end in ended:
        spent[owner] += (end - began).total_seconds()  # type: ignore[operator, assignment]
    counted = {
        row["user"]: row["total"]
        for row in GpuSeconds.objects.values("user").annotate(total=Sum("seconds"))
    }
    # Those of purged jobs were spent all the same.
    assert all(counted[owner] >= seconds - 1e-6 for owner, seconds in spent.items())
