"""Any two verbs on one job at the same moment: one of them comes first, and no promise breaks."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
from django.db import connection

from jobs import actions
from jobs.actions import Claim
from jobs.conformance import check_trace
from jobs.errors import LostClaim
from jobs.lifecycle import FINAL, State
from jobs.models import Job
from jobs.tests.invariants import violations
from jobs.tests.verbs import ENDS, outcome, tell

PAST = "2026-01-01T00:00:00Z"
VERBS = (*ENDS, "save checkpoint", "resumed", "renew", "cancel", "reap", "claim", "retry")


def _verb(name: str, held: Claim) -> Callable[[], object]:
    others: dict[str, Callable[[], object]] = {
        "cancel": partial(actions.cancel, held.job),
        "reap": actions.reap,
        "claim": lambda: actions.claim(worker="other/1", pool="default"),
        "retry": lambda: actions.retry(held.job).pk,
    }
    return others.get(name, partial(tell, name, held, 2))


def _at_once(*verbs: Callable[[], object]) -> list[object]:
    start = Barrier(len(verbs))

    def run(verb: Callable[[], object]) -> object:
        try:
            connection.ensure_connection()
            start.wait(10)
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
