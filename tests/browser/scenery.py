"""Whatever a page may have to show, made once: in the process of tests/browser/backstage.py.

Jobs in every state with true files, a team, receivers that answer and that do not, tokens, an
invitation. No worker runs: what forms is held there, what waits goes on waiting.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import actions as accounts
from accounts import invitations
from accounts.actions.demo import DEMO_SLUG
from accounts.models import Invitation, Membership, User, Workspace
from accounts.roles import Role, Scope
from gpu_worker.nano.grammar import Scene
from jobs import actions, artifacts, load, offer, workers
from jobs.actions import Claim
from jobs.artifacts import Stored
from jobs.models import Job
from jobs.webhooks import deliveries, endpoints, outbox
from jobs.webhooks.shapes import Answer, Kind
from tests.browser.films import Projector, scenes

CLIPS = 24  # of alice, ready to be looked at
LONG_WORD = "averylongwordwithoutaspace" * 11
LONG_MAIL = "a.person.with.a.remarkably.long.address@a-department.of-some-university.example.com"
KEY = invitations.PREFIX + 43 * "k"
WIDE, TALL = (848, 480), (480, 848)
SIZES = ((64, 64), (96, 64), (64, 96), (80, 80))

DEVICES = {
    "gpu-1": "NVIDIA H100 80GB HBM3",
    "gpu-2": "NVIDIA RTX 4090, 24 GB",
    "gpu-3": "CPU, 8 threads",
}

# All that furnish() answers by.
NAMES = (
    *("nobody", "key", "slug", "own", "worker", "prefix", "member", "user", "workspace"),
    *("invitation", "hook", "delivery", *(f"clip{number}" for number in range(CLIPS - 6))),
    *("mates", "fast", "long", "wide", "tall", "resumed", "succeeded", "deleted"),
    *("failed", "parked", "cancelled", "expired", "retried", "retry"),
    *("running", "running2", "queued", "queued2", "mates2", "delayed"),
)

Hold = Callable[[Claim, Scene], None]


class Scenery:
    def __init__(self, hold: Hold) -> None:
        """hold: keeps a claim alive from now on."""
        self._hold, self._projector = hold, Projector()
        self.lives = {name: uuid4() for name in DEVICES}  # of workers, by name
        self.alice = User.objects.get(email="alice@example.com")
        self.bob = User.objects.get(email="bob@example.com")

    def furnish(self) -> dict[str, str]:
        """What stands in addresses, by name."""
        names: dict[str, object] = {"nobody": UUID(int=7), "key": KEY, "slug": DEMO_SLUG}
        names |= self._workers() | self._finished() | self._ended() | self._unfinished()
        names |= self._around()
        self.live()
        load.refresh()
        self._projector.close()
        assert sorted(names) == sorted(NAMES)
        return {name: str(value) for name, value in names.items()}

    def live(self) -> None:
        """A sign of life of every worker."""
        for name, life in self.lives.items():
            workers.seen(name=name, incarnation=life)

    # --- Jobs ---------------------------------------------------------------------------------

    def submit(self, prompt: str, owner: User | None = None, **wanted: Any) -> Job:
        blank: dict[str, Any] = dict.fromkeys(
            ("model", "size", "frames", "steps", "guidance", "seed")
        )
        within, retry_of = wanted.pop("start_within", None), wanted.pop("remix_of", None)
        spec = offer.make_spec(prompt=prompt, **{**blank, **wanted})
        weights = offer.find(spec.model).digest
        return actions.submit(
            owner=owner or self.alice,
            spec=spec,
            model_digest=weights,
            start_within=within,
            remix_of=retry_of,
        )

    def claimed(self, job: Job, worker: str = "gpu-1") -> Claim:
        """It alone waits."""
        holder = f"{worker}/{self.lives[worker]}"
        held = actions.claim(worker=holder, pool=settings.T2V_POOL)
        assert held is not None
        assert held.job == job.pk, "another job waited"
        return held

    def _clip(self, scene: Scene, prompt: str = "", **wanted: Any) -> UUID:
        job = self.submit(prompt or scene.caption(), **wanted)
        held = self.claimed(job)
        actions.succeed(held, self._projector.put(held, scene))
        return job.pk

    def _finished(self) -> dict[str, object]:
        names: dict[str, object] = {}
        some = scenes(CLIPS)
        for number, scene in enumerate(some[: CLIPS - 6]):
            names[f"clip{number}"] = self._clip(scene, size=SIZES[number % 4], seed=number, steps=8)
        names["mates"] = self._clip(some[-6], owner=self.bob, seed=3, steps=8)
        names["fast"] = self._clip(some[-5], quality="fast", seed=4, steps=8)
        names["long"] = self._clip(some[-4], LONG_WORD, seed=5, steps=8)
        names["wide"] = self._clip(some[-3], model="mochi-1", size=WIDE, frames=31, seed=6)
        names["tall"] = self._clip(some[-2], model="mochi-1", size=TALL, frames=19, seed=7)
        names["resumed"] = self._resumed(some[-1])
        names["succeeded"] = self._clip(
            some[0],
            "a red circle moving right on a black background",
            seed=8,
            steps=32,
            remix_of=Job.objects.get(pk=str(names["clip0"])),
        )
        gone = self._clip(some[1], seed=9, steps=8)
        actions.delete(gone, by=self.alice)
        return names | {"deleted": gone}

    def _resumed(self, scene: Scene) -> UUID:
        """Its first attempt was handed back at a checkpoint."""
        job = self.submit(scene.caption(), seed=10, steps=40)
        held = self.claimed(job)
        name = "checkpoint-20.safetensors"
        stored = Stored(
            name=name,
            key=artifacts.key_for(held.job, held.attempt, name),
            content_type="application/octet-stream",
            size=1,
            sha256=64 * "0",
        )
        actions.save_checkpoint(held, stored=stored, step=20)
        actions.release(held)
        again = self.claimed(job, "gpu-2")
        actions.resumed(again, step=20)
        actions.succeed(again, self._projector.put(again, scene))
        return job.pk

    def _ended(self) -> dict[str, object]:
        failed = self.submit("a blue square growing", seed=1, steps=8)
        message = "The model cannot render 72 by 72 pixels: choose another size."
        actions.fail(self.claimed(failed), code="bad_size", message=message, permanent=True)
        parked = self.submit("a green star moving up", seed=1, steps=8)
        message = "The GPU ran out of memory while it decoded 25 frames."
        actions.fail(self.claimed(parked), code="out_of_memory", message=message, permanent=False)
        cancelled = self.submit("a white circle shrinking", seed=1)
        actions.cancel(cancelled.pk, by=self.alice)
        expired = self.submit("a purple triangle falling", seed=1, start_within=timedelta(0))
        actions.expire()
        again = self.submit("a cyan square moving down", seed=1, steps=8)
        actions.cancel(again.pk, by=self.alice)
        retried = actions.retry(again.pk, by=self.alice)
        actions.cancel(retried.pk, by=self.alice)
        ended: dict[str, object] = {
            "failed": failed.pk,
            "parked": parked.pk,
            "cancelled": cancelled.pk,
        }
        return ended | {"expired": expired.pk, "retried": again.pk, "retry": retried.pk}

    def _unfinished(self) -> dict[str, object]:
        names: dict[str, object] = {}
        first, second = scenes(2)
        for name, scene, worker in (
            ("running", first, "gpu-1"),
            ("running2", second, "gpu-2"),
        ):
            job = self.submit(scene.caption(), steps=1000, seed=11)
            self._hold(self.claimed(job, worker), scene)
            names[name] = job.pk
        for name, owner in (("queued", self.alice), ("queued2", self.alice), ("mates2", self.bob)):
            names[name] = self.submit("a purple square moving left", owner, seed=12).pk
        later = self.submit("an orange star bouncing slowly", seed=13)
        with transaction.atomic():
            Job.objects.filter(pk=later.pk).update(run_at=Now() + timedelta(hours=2))
        return names | {"delayed": later.pk}

    # --- What is around them ------------------------------------------------------------------

    def _workers(self) -> dict[str, object]:
        for name, device in DEVICES.items():
            life = self.lives[name]
            workers.register(name=name, incarnation=life, pool=settings.T2V_POOL, device=device)
            workers.ready(name=name, incarnation=life, device=device)
        olga = User.objects.get(email="olga@example.com")
        workers.drain("gpu-3", by=olga, reason="a new card")
        return {"worker": "gpu-1"}

    def _around(self) -> dict[str, object]:
        team = Workspace.objects.get(slug=DEMO_SLUG)
        for name in ("vera", LONG_MAIL.partition("@")[0]):
            mail = LONG_MAIL if name != "vera" else "vera@example.com"
            user = User.objects.create_user(mail, "nobody signs in by it")
            Membership.objects.create(workspace=team, user=user, role=Role.VIEWER)
            User.objects.filter(pk=user.pk).update(workspace=team)
        User.objects.create_user("newcomer@example.com", "nobody signs in by it")
        invitation = Invitation.objects.create(
            workspace=team,
            email="guest@example.com",
            role=Role.VIEWER,
            digest=invitations.digest_of(KEY),
            invited_by=self.alice,
            mailed_at=Now(),
            expires_at=Now() + timedelta(days=7),
        )
        token, _ = accounts.issue_token(
            self.alice, name="The render script on my desk", scopes=[Scope.JOBS_READ]
        )
        mate = Membership.objects.get(workspace=team, user=self.bob)
        hook, told = self._webhooks()
        own = Membership.objects.filter(user=self.alice).exclude(workspace=team)[0].workspace
        return {
            "invitation": invitation.pk,
            "prefix": token.token_key,
            "member": mate.pk,
            "user": self.bob.pk,
            "workspace": team.pk,
            "own": own.slug,
            "hook": hook,
            "delivery": told,
        }

    def _webhooks(self) -> tuple[UUID, UUID]:
        """One is well, one fails; the well one, and a delivery to it."""
        answers = {
            "https://shop.example.com/hooks/videos": Answer(
                status=200, excerpt="thanks", error="", seconds=0.14
            ),
            "https://old.example.com/hook?" + "a-long-address" * 12: Answer(
                status=500, excerpt="<h1>Oops</h1>", error="Answered 500.", seconds=2.5
            ),
        }
        rows = []
        for url, answer in answers.items():
            hook, _ = endpoints.create(
                self.alice,
                url=url,
                events=["job.succeeded", "job.failed"],
                description="Tells the shop that a clip is ready",
            )
            told = outbox.send_sample(hook.pk, Kind.JOB_SUCCEEDED)
            claimed = deliveries.claim()
            assert claimed is not None
            deliveries.record(claimed, answer, headers={"webhook-id": f"{told.pk}"})
            rows.append((hook.pk, told.pk))
        return rows[0]
