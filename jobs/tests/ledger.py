"""Keeps the books of jobs/tests/machine.py: what every job must be, and whether it is."""

from itertools import count
from typing import Any, ClassVar
from uuid import UUID

import redis
from django.conf import LazySettings
from django.db import connection
from hypothesis.stateful import RuleBasedStateMachine, invariant

from accounts.models import User
from jobs.actions import Claim
from jobs.conformance import check_trace
from jobs.lifecycle import FINAL, State
from jobs.models import Job, JobEvent
from jobs.tests.expected import Expected
from jobs.tests.invariants import violations

NAMES = ("gpu-1", "gpu-10")  # of workers, after the pool's; one begins like the other
FUTURE = "2099-01-01T00:00:00Z"
_pools = count(1)


class Ledger(RuleBasedStateMachine):
    """What is expected of every job of one run, compared with the rows after each step."""

    owner: ClassVar[User]
    settings: ClassVar[LazySettings]
    broker: ClassVar[redis.Redis]

    def __init__(self) -> None:
        super().__init__()
        self.pool = f"pool-{next(_pools)}"
        self.settings.T2V_POOL = self.pool
        self.jobs: dict[UUID, Expected] = {}
        self.claims: list[Claim] = []
        self.holders = {name: f"{self.pool}-{name}/1" for name in NAMES}
        self.draining: set[str] = set()
        self.steps = count(1)
        number = int(self.pool.removeprefix("pool-"))
        with connection.cursor() as cursor:
            # What a run leaves is in no other's way, unless it is broken, or much.
            if number % 100 == 0 or violations(cursor):
                cursor.execute("TRUNCATE jobs_job, jobs_worker CASCADE")  # no trigger refuses it

    def _job(self, pick: int) -> tuple[UUID, Expected]:
        return list(self.jobs.items())[-1 - pick % len(self.jobs)]

    def _rows(self, **wanted: object) -> Any:
        return Job.objects.filter(pool=self.pool, **wanted)

    def _held(self) -> list[Claim]:
        return [held for held in self.claims if self.jobs[held.job].held_by(held)]

    def _lost(self) -> list[Claim]:
        """Last those of jobs that another attempt holds now: there they could do harm."""
        lost = [held for held in self.claims if not self.jobs[held.job].held_by(held)]
        return sorted(lost, key=lambda held: self.jobs[held.job].state is State.RUNNING)

    def _keep_waiting(self) -> None:
        """A back-off of a second or two must not end by itself, whatever else this machine does."""
        delayed = [job for job, expected in self.jobs.items() if expected.delayed]
        if delayed:
            self._rows(pk__in=delayed, state=State.QUEUED).update(run_at=FUTURE)

    # --- After each step ----------------------------------------------------------------------

    @invariant()
    def the_rows_are_as_expected(self) -> None:
        rows = {row["id"]: row for row in self._rows().values()}
        assert rows.keys() == self.jobs.keys()
        for job, expected in self.jobs.items():
            row = rows[job]
            cancel = row["cancel_requested_at"] is not None
            deleted = row.pop("deleted_at") is not None
            assert (row["state"], row["attempt"], row["releases"], cancel, row["worker"]) == (
                expected.state,
                expected.attempt,
                expected.releases,
                expected.cancel,
                expected.worker,
            )
            assert deleted == expected.deleted
            if expected.state in FINAL:
                expected.row = expected.row or row
                assert row == expected.row

    @invariant()
    def every_promise_holds(self) -> None:
        with connection.cursor() as cursor:
            assert violations(cursor) == []

    @invariant()
    def every_history_is_allowed(self) -> None:
        told: dict[UUID, list[JobEvent]] = {job: [] for job in self.jobs}
        for event in JobEvent.objects.filter(job__in=self.jobs).order_by("seq"):
            told[event.job_id].append(event)
        assert [line for events in told.values() for line in check_trace(events)] == []
