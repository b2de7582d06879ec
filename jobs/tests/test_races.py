"""Any two verbs on one job at the same moment: one of them comes first, and no promise breaks."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
from django.db import connection, transaction

from accounts.models import User
from jobs import actions, limits
from jobs.actions import Claim
from jobs.conformance import check_trace
from jobs.errors import LostClaim
from jobs.lifecycle import FINAL, State
from jobs.models import Job, JobRequest
from jobs.tests.invariants import violations
from jobs.tests.verbs import ENDS, outcome, tell

PAST = "2026-01-01T00:00:00Z"
OTHERS = ("save checkpoint", "resumed", "renew", "cancel", "reap", "claim", "retry")
VERBS = (*ENDS, *OTHERS, "delete", "restore")


def _verb(name: str, held: Claim) -> Callable[[], object]:
    others: dict[str, Callable[[], object]] = {
        "cancel": partial(actions.cancel, held.job),
        "reap": actions.reap,
        "claim": lambda: actions.claim(worker="other/1", pool="default"),
        "retry": lambda: actions.retry(held.job).pk,
        "delete": partial(actions.delete, held.job),
        "restore": partial(actions.restore, held.job),
    }
    return others.get(name, partial(tell, name, held, 2))


def _at_once(*verbs: Callable[[], object]) -> list[object]:
    start = Barrier(len(verbs))

    def run(verb: Callable[[], object]) -> object:
        try:
            connection.ensure_connection()
            start.wait(60)
            return outcome(verb)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(verbs)) as threads:
        return list(threads.map(run, verbs))


def _held_again(claim: Callable[..., Claim]) -> Claim:
    """The second claim of the only job that waits, with the first one's checkpoint."""
    first = claim()
    tell("save checkpoint", first, 1)
    tell("release", first, 1)
    return claim()


def _end_all() -> None:
    for job in Job.objects.exclude(state__in=FINAL):
        actions.cancel(job.pk)
    Job.objects.filter(state=State.RUNNING).update(lease_until=PAST)
    actions.reap()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("one", VERBS)
def test_of_two_verbs_at_once_one_comes_first(
    one: str, submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    for other in VERBS[VERBS.index(one) :]:
        verbs = (one, other)
        job = submit()
        held = _held_again(claim)
        if "obey cancel" in verbs:
            actions.cancel(job.pk)
        if "reap" in verbs:
            Job.objects.filter(pk=job.pk).update(lease_until=PAST)
        gave = _at_once(_verb(one, held), _verb(other, held))

        told = [gave for verb, gave in zip(verbs, gave, strict=True) if verb in ENDS]
        assert told.count(LostClaim) >= len(told) - 1 or verbs == ("succeed", "succeed")
        with connection.cursor() as cursor:
            assert violations(cursor) == [], (verbs, gave)
        for each in Job.objects.all():
            assert check_trace(each.events.order_by("seq")) == [], (verbs, gave)
        _end_all()


def _wait_until_somebody_waits(seconds: float = 60.0) -> None:
    """For a lock of this connection's transaction."""
    until = time.monotonic() + seconds
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
                " AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            )
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody came to wait")


@pytest.mark.django_db(transaction=True)
def test_a_job_is_remixed_and_tried_again_at_once(alice: User, submit: Callable[..., Job]) -> None:
    old = submit()
    actions.cancel(old.pk)
    spec = JobRequest.objects.get(job=old).render_spec()

    def retry() -> object:
        try:
            return actions.retry(old.pk, limited=True).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            limits.admit(alice, [spec], workspace=old.workspace_id)
            again = thread.submit(retry)  # has the job, and waits for its owner
            _wait_until_somebody_waits()
            remix = actions.submit(owner=alice, spec=spec, remix_of=old)
        assert again.result(60) == Job.objects.get(request__retry_of=old).pk
    assert JobRequest.objects.get(job=remix).remix_of_id == old.pk
