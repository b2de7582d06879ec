"""Every verb of jobs/actions on the real database, in any order, with faults between them.

Hypothesis picks the steps, jobs/tests/expected.py says what each must lead to. After each step the
rows are as expected, every promise of invariants.py holds, and the history of each job is one that
the lifecycle allows. A claim that was lost is kept, and tells all it can at any later time.
"""

from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from accounts import idempotency
from conftest import video_of
from jobs import actions, dispatch, offer, queue, workers
from jobs.actions import Claim
from jobs.errors import KeyReused, NotPossible
from jobs.lifecycle import FINAL, State
from jobs.tests.deletions import PAST, PICK, Deletions
from jobs.tests.expected import Expected
from jobs.tests.ledger import NAMES
from jobs.tests.verbs import ENDS, WORK, outcome, tell

MOST_JOBS = 4  # in one run
RETRIED_FROM = (State.PARKED, State.CANCELLED, State.EXPIRED)
NAME = st.sampled_from(NAMES)
HOW = st.sampled_from(["told", "told", "told", "reply lost", "connection lost"])


class JobMachine(Deletions):
    """Its steps."""

    # --- People -------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        """One job renders and has a checkpoint, one waits that nobody began."""
        for name in NAMES:
            self.worker_comes_back(name=name)
        self.submit(keyed=False)
        self.claim_and_learn_of_it(name=NAMES[1])
        self._tell(0, "save checkpoint", "reply lost")
        self.submit(keyed=True)

    @precondition(lambda self: len(self.jobs) < MOST_JOBS)
    @rule(keyed=st.booleans())
    def submit(self, keyed: bool) -> None:
        key = f"{self.pool} {len(self.jobs)}" if keyed else None
        job = self._submit(seed=1, key=key)
        assert isinstance(job, UUID)
        assert job not in self.jobs
        self.jobs[job] = Expected(key=key)

    def _submit(self, *, seed: int, key: str | None) -> object:
        blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance"))
        spec = offer.make_spec(prompt="a red circle moving right", seed=seed, **blank)

        def submit() -> UUID:
            return actions.submit(owner=self.owner, spec=spec).pk

        def answer() -> tuple[int, dict[str, str], str]:
            return 201, {}, str(submit())

        if key is None:
            return outcome(submit)
        asked = idempotency.digest({"seed": seed})
        return outcome(lambda: UUID(idempotency.once_for(self.owner, key, asked, answer).body))

    @rule(pick=PICK, what=st.sampled_from(["cancel", "retry", "submit", "delete"]))
    def ask(self, pick: int, what: str) -> None:
        job, expected = self._job(pick)
        if what == "cancel":
            expected.cancelled()
            wanted = expected.state if expected.cancel else NotPossible
            assert outcome(partial(actions.cancel, job)) == wanted
        elif what == "retry":
            self._retry(job, expected)
        elif what == "delete":
            self._delete(job, expected)
        elif expected.key is not None:
            assert self._submit(seed=1, key=expected.key) == job
            assert self._submit(seed=2, key=expected.key) is KeyReused

    @precondition(lambda self: self._retriable())
    @rule(pick=PICK)
    def retry_what_ended(self, pick: int) -> None:
        """Two clicks make one job."""
        job = self._retriable()[-1 - pick % len(self._retriable())]
        for _ in range(2):
            self._retry(job, self.jobs[job])

    @precondition(lambda self: self._retriable())
    @rule()
    def retry_and_delete_what_ended(self) -> None:
        """The old one stays as long as the new one goes on from its checkpoint."""
        job = self._retriable()[-1]
        self._retry(job, self.jobs[job])
        self._delete(job, self.jobs[job])
        self._purge([job])

    def _retriable(self) -> list[UUID]:
        """Not retried yet; last those that leave a checkpoint to go on from."""
        ended = [
            job
            for job, expected in self.jobs.items()
            if expected.state in RETRIED_FROM
            and expected.retried_as is None
            and not expected.deleted
        ]
        return sorted(ended, key=lambda job: self.jobs[job].saved is not None)

    def _retry(self, job: UUID, expected: Expected) -> None:
        new = outcome(lambda: actions.retry(job).pk)
        if expected.state not in RETRIED_FROM:
            assert new is NotPossible
        elif expected.retried_as is not None:
            assert new == expected.retried_as
        elif expected.deleted:
            assert new is NotPossible
        else:
            assert isinstance(new, UUID)
            assert new not in self.jobs
            expected.retried_as = new
            self.jobs[new] = Expected(saved=expected.saved)

    # --- Workers ------------------------------------------------------------------------------

    @rule(name=NAME, how=HOW, rested=st.booleans())
    def claim(self, name: str, how: str, rested: bool) -> None:
        """rested: after every back-off."""
        if rested:
            self._rows(state=State.QUEUED).update(run_at=F("created_at"))
            for expected in self.jobs.values():
                expected.delayed = False
        claim = partial(actions.claim, worker=self.holders[name], pool=self.pool)
        if how == "connection lost":
            self._lose_the_connection(claim)
            return
        waiting = {job for job, expected in self.jobs.items() if expected.waits}
        held = claim()
        if f"{self.pool}-{name}" in self.draining or not waiting:
            assert held is None
            return
        assert held is not None
        assert held.job in waiting
        expected = self.jobs[held.job]
        expected.claimed_by(self.holders[name])
        assert held.attempt == expected.attempt
        assert (held.saved.key if held.saved else None) == expected.saved
        if how != "reply lost":
            self.claims.append(held)

    @precondition(lambda self: any(each.delayed or each.too_late for each in self.jobs.values()))
    @rule(name=NAME)
    def claim_what_must_wait(self, name: str) -> None:
        self.claim(name=name, how="told", rested=False)

    @rule(name=NAME)
    def claim_and_learn_of_it(self, name: str) -> None:
        self.claim(name=name, how="told", rested=True)

    @precondition(lambda self: self._held())
    @rule(pick=PICK, verb=st.sampled_from(WORK), how=HOW)
    def work(self, pick: int, verb: str, how: str) -> None:
        self._tell(pick, verb, how)

    @precondition(lambda self: self._held())
    @rule(pick=PICK, verb=st.sampled_from(ENDS), how=HOW)
    def end(self, pick: int, verb: str, how: str) -> None:
        self._tell(pick, verb, how)

    @precondition(lambda self: self._held())
    @rule(pick=PICK, verb=st.sampled_from(["release", "fail in passing", "lost"]), name=NAME)
    def save_end_and_begin_again(self, pick: int, verb: str, name: str) -> None:
        self._tell(pick, "save checkpoint", "told")
        if verb == "lost":
            self.lease_ends(pick=pick, renewed=False, swept=True)
        else:
            self._tell(pick, verb, "told")
        self.claim_and_learn_of_it(name=name)

    @precondition(lambda self: self._held())
    @rule(pick=PICK, verb=st.sampled_from(ENDS))
    def end_after_a_cancel(self, pick: int, verb: str) -> None:
        held = self._held()[-1 - pick % len(self._held())]
        self.jobs[held.job].cancelled()
        assert actions.cancel(held.job) is State.RUNNING
        self._tell(pick, verb, "told")

    def _tell(self, pick: int, verb: str, how: str) -> None:
        held = self._held()[-1 - pick % len(self._held())]
        if verb == "obey cancel" and not self.jobs[held.job].cancel:
            return  # no worker obeys what nobody asked
        call = partial(tell, verb, held, next(self.steps))
        if how == "connection lost":
            self._lose_the_connection(call)
            return
        for _ in range(2 if how == "reply lost" else 1):
            wanted = self._expect(verb, held, call.args[2])
            assert outcome(call) == wanted
        self._keep_waiting()

    @precondition(lambda self: self._lost())
    @rule(pick=PICK)
    def tell_all_too_late(self, pick: int) -> None:
        """A worker that believes to hold a job still, or again."""
        held = self._lost()[-1 - pick % len(self._lost())]
        for verb in (*WORK, *ENDS):
            wanted = self._expect(verb, held, 1)
            assert outcome(partial(tell, verb, held, 1)) == wanted

    def _expect(self, verb: str, held: Claim, step: int) -> object:
        drains = held.worker.partition("/")[0] in self.draining
        return self.jobs[held.job].after(verb, held, step=step, drains=drains)

    @rule(name=NAME)
    def worker_comes_back(self, name: str) -> None:
        """As another process under its name. The old one may live on: its claims are kept."""
        full = f"{self.pool}-{name}"
        assert actions.reap_predecessors(worker=self.holders[name]) == 0  # it has none yet
        self.holders[name] = workers.register(
            name=full, incarnation=uuid4(), pool=self.pool, device=""
        )
        for expected in self.jobs.values():
            if expected.worker.startswith(f"{full}/"):
                expected.attempt_ended("lost")
        self._keep_waiting()

    @rule(name=NAME, drains=st.booleans())
    def operator_drains(self, name: str, drains: bool) -> None:
        full = f"{self.pool}-{name}"
        workers.drain(full) if drains else workers.resume(full)
        self.draining = (self.draining | {full}) if drains else self.draining - {full}
        for held in self._held():
            assert outcome(partial(tell, "orders", held, 1)) == self._expect("orders", held, 1)
        self.claim(name=name, how="told", rested=True)

    # --- Time, and the sweep ------------------------------------------------------------------

    @precondition(lambda self: self._held())
    @rule(pick=PICK, renewed=st.booleans(), swept=st.booleans())
    def lease_ends(self, pick: int, renewed: bool, swept: bool) -> None:
        held = self._held()[-1 - pick % len(self._held())]
        self._rows(pk=held.job).update(lease_until=PAST)
        self.jobs[held.job].lease_ended = True
        if renewed:  # late, but nobody else has it
            self._tell(pick, "renew", "told")
        if swept:
            self.sweep()

    @rule()
    def sweep(self) -> None:
        actions.reap()
        actions.expire()
        for expected in self.jobs.values():
            if expected.lease_ended:
                expected.attempt_ended("lost")
            expected.expired()
        self._keep_waiting()

    @rule(pick=PICK, then=st.sampled_from(["sweep", "claim", "nothing"]), name=NAME)
    def deadline_passes(self, pick: int, then: str, name: str) -> None:
        job, expected = self._job(pick)
        if expected.state not in FINAL and not expected.overdue:
            self._rows(pk=job).update(deadline=Now())
            expected.overdue = True
        if then == "sweep":
            self.sweep()
        elif then == "claim":
            self.claim(name=name, how="told", rested=True)

    # --- Faults -------------------------------------------------------------------------------

    def _lose_the_connection(self, verb: Callable[[], object]) -> None:
        """Before the commit: whatever the verb did, nothing has happened."""
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                outcome(verb)
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        except OperationalError:
            connection.close()
        else:
            raise AssertionError("the connection is still there")

    @rule(what=st.sampled_from(["knocks are lost", "all workers but one", "nothing"]))
    def rare(self, what: str) -> None:
        if what == "knocks are lost":
            self._lose_knocks()
        elif what == "all workers but one":
            self._end_everything()

    def _lose_knocks(self) -> None:
        """The sweep knows all the same where something waits."""
        assert dispatch.wait_empty(60)
        self.broker.flushdb()
        waiting = any(
            expected.state is State.QUEUED and not expected.delayed
            for expected in self.jobs.values()
        )
        assert (self.pool in queue.pools_waiting()) == waiting

    def _end_everything(self) -> None:
        """From anywhere, without a person and without a knock: one worker and the sweep suffice."""
        self._rows(state=State.RUNNING).update(lease_until=PAST)
        actions.reap()
        self._rows(state=State.QUEUED).update(run_at=F("created_at"))
        actions.expire()
        while held := actions.claim(worker="last/1", pool=self.pool):
            actions.succeed(held, [video_of(held)])
        assert not self._rows().exclude(state__in=FINAL).exists()
        for expected in self.jobs.values():
            if expected.state is State.RUNNING:
                expected.attempt_ended("lost")
            expected.expired()
            if expected.state is State.QUEUED:
                expected.claimed_by("last/1")
                expected.attempt_ended("succeed")
