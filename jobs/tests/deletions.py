"""The steps of jobs/tests/machine.py that hide a job, bring it back, and take it away for good."""

from functools import partial
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from jobs import actions, purge
from jobs.errors import LostClaim, NotFound
from jobs.lifecycle import FINAL
from jobs.tests.expected import Expected
from jobs.tests.ledger import Ledger
from jobs.tests.verbs import ENDS, WORK, outcome, tell

PAST = "2026-01-01T00:00:00Z"
PICK = st.sampled_from([0, 0, 0, 1, 1, 2, 3])  # of several, counted from the newest


class Deletions(Ledger):
    def _delete(self, job: UUID, expected: Expected) -> None:
        if expected.state not in FINAL:
            expected.cancelled()
        expected.deleted = True
        assert outcome(partial(actions.delete, job)) is None

    @precondition(lambda self: any(each.deleted for each in self.jobs.values()))
    @rule(pick=PICK, restored=st.booleans())
    def go_on_after_a_deletion(self, pick: int, restored: bool) -> None:
        """One is brought back, or its time is over for all of them."""
        deleted = [job for job, expected in self.jobs.items() if expected.deleted]
        if restored:
            job = deleted[-1 - pick % len(deleted)]
            wanted = NotFound if self.jobs[job].doomed else None
            assert outcome(partial(actions.restore, job)) is wanted
            self.jobs[job].deleted = self.jobs[job].doomed
            return
        self._purge(deleted)

    def _purge(self, deleted: list[UUID]) -> None:
        self._rows(pk__in=deleted).update(deleted_at=PAST)
        purge.purge_deleted()
        for job in deleted:
            self.jobs[job].doomed = True
            self._expect_purged(job)

    def _expect_purged(self, job: UUID) -> None:
        """Unless it renders still, or another goes on from its checkpoint."""
        used = [
            other
            for other, expected in self.jobs.items()
            if other != job and expected.saved is not None and str(job) in expected.saved
        ]
        if self.jobs[job].state not in FINAL or used:
            return
        late = [held for held in self.claims if held.job == job]
        self.claims = [held for held in self.claims if held.job != job]
        del self.jobs[job]
        for expected in self.jobs.values():
            if expected.retried_as == job:
                expected.retried_as = None  # so it may be tried again
        for held in late:
            for verb in (*WORK, *ENDS):
                assert outcome(partial(tell, verb, held, 1)) is LostClaim
