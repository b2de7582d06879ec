"""What stands in addresses: one of each kind, of one person in one workspace."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.contrib.contenttypes.models import ContentType
from django.db.models.functions import Now

from accounts import actions as accounts
from accounts import invitations
from accounts.models import ApiToken, Invitation, Membership, User, Workspace
from accounts.roles import Role, Scope
from jobs import actions, artifacts, offer, stream, workers
from jobs.events import PreviewHeader
from jobs.models import Job
from jobs.openai_shapes import video_id
from jobs.webhooks import endpoints, outbox
from jobs.webhooks.models import Delivery, WebhookEndpoint
from jobs.webhooks.shapes import Kind

RED = "a red circle moving right under the studio's paper moon"
TEXT = "the-studios-own"
KEY = invitations.PREFIX + 43 * "k"  # of the invitation
NOBODYS = UUID(int=7)
# Of the same kind, but of what nobody has made.
MISSING = {
    "job_id": str(NOBODYS),
    "video_id": video_id(NOBODYS),
    "webhook_id": str(NOBODYS),
    "delivery_id": str(NOBODYS),
    "prefix": "t2v_0000000",
    "name": f"wh_{NOBODYS.hex}",
    "slug": "another-studio",
    "key": invitations.PREFIX + 43 * "n",
    "member_id": "0",
    "invitation_id": "0",
}


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """In the states in which the verbs can do something."""

    video: Job
    waiting: Job
    cancelled: Job

    def for_route(self, name: str) -> Job:
        if "cancel" in name:
            return self.waiting
        return self.cancelled if "retry" in name else self.video


@dataclass(frozen=True, kw_only=True)
class Things:
    jobs: Jobs
    hook: WebhookEndpoint
    told: Delivery
    token: ApiToken
    worker: str
    workspace: Workspace
    member: Membership  # of who owns all of it
    invitation: Invitation

    def values(self, route: str, jobs: Jobs | None = None) -> dict[str, str]:
        """By the name of what stands there; jobs: others than their own."""
        job = (jobs or self.jobs).for_route(route)
        admins = {"jobs_job": job.pk, "jobs/job": job.pk, "jobs_worker": self.worker}
        admins |= {"jobs/worker": self.worker, "workspace": self.workspace.pk}
        return {
            "job_id": str(job.pk),
            "video_id": video_id(job.pk),
            "attempt": "1",
            "webhook_id": str(self.hook.pk),
            "delivery_id": str(self.told.pk),
            "prefix": self.token.token_key,
            "character_id": "char_1",
            "name": self._name(route),
            "slug": self.workspace.slug,
            "member_id": str(self.member.pk),
            "member": str(self.member.pk),
            "workspace": str(self.workspace.pk),
            "user": str(self.member.user_id),
            "pk": "1",
            "invitation_id": str(self.invitation.pk),
            "invitation": str(self.invitation.pk),
            "key": KEY if route == "invitation" else "MQ:1abcde:abc",
            "uidb36": "1",
            "content_type_id": str(ContentType.objects.get_for_model(User).pk),
            "object_id": next(
                (str(admins[part]) for part in admins if part in route), str(self.member.user_id)
            ),
            "id": str(self.member.user_id),
            "app_label": "jobs",
            "url": "nowhere",
        }

    def _name(self, route: str) -> str:
        if route.startswith("v1_webhook"):
            return f"wh_{self.hook.pk.hex}"
        if route == "job_file":
            return artifacts.VIDEO
        return self.worker if "worker" in route else "nano"


def jobs_of(owner: User, workspace: Workspace, folder: Path, prompt: str = RED) -> Jobs:
    """The first one has succeeded, with a file and a preview."""
    video = _job(owner, workspace, prompt)
    held = actions.claim(worker="worker/1", pool="default")
    assert held is not None
    stream.put_preview(owner.pk, _preview(held.job), b"x")
    path = folder / artifacts.VIDEO
    path.write_bytes(bytes(range(256)))
    actions.succeed(held, [artifacts.put(held.job, held.attempt, artifacts.VIDEO, path)])
    cancelled = _job(owner, workspace, prompt)
    actions.cancel(cancelled.pk)
    waiting = _job(owner, workspace, prompt)
    Job.objects.filter(pk=waiting.pk).update(run_at=Now() + timedelta(days=1))  # nobody claims it
    return Jobs(video=video, waiting=waiting, cancelled=cancelled)


def _job(owner: User, workspace: Workspace, prompt: str) -> Job:
    blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance", "seed"))
    spec = offer.make_spec(prompt=prompt, **blank)
    return actions.submit(owner=owner, spec=spec, workspace=workspace.pk)


def _preview(job: UUID) -> PreviewHeader:
    return PreviewHeader(
        job=job,
        attempt=1,
        step=1,
        steps=8,
        frames=1,
        tile_width=64,
        tile_height=64,
        server_us=1,
        codec="jpeg",
        size=1,
    )


def things_of(
    owner: User, workspace: Workspace, folder: Path, *, text: str = TEXT, prompt: str = RED
) -> Things:
    """text: in whatever takes a name."""
    hook, _ = endpoints.create(
        owner, url="https://example.com/x", events=["job.succeeded"], description=text
    )
    token, _ = accounts.issue_token(owner, name=text, scopes=[Scope.JOBS_READ])
    worker = "gpu-1" if text == TEXT else text
    workers.register(name=worker, incarnation=hook.pk, pool="default", device=text)
    invitation = Invitation.objects.create(
        workspace=workspace,
        email="guest@example.com",
        role=Role.VIEWER,
        digest=invitations.digest_of(KEY),
        invited_by=Membership.objects.filter(workspace=workspace).order_by("pk")[0].user,
        expires_at=Now() + timedelta(days=7),
    )
    return Things(
        jobs=jobs_of(owner, workspace, folder, prompt),
        hook=hook,
        told=outbox.send_sample(hook.pk, Kind.JOB_SUCCEEDED),
        token=token,
        worker=worker,
        workspace=workspace,
        member=Membership.objects.get(workspace=workspace, user=owner),
        invitation=invitation,
    )
