"""What tests of the operators' console stand on."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.test import Client

from accounts import actions as accounts
from accounts.models import User, Workspace
from accounts.roles import Role, Scope, SiteRole
from jobs import actions, artifacts, workers
from jobs.actions import Claim
from jobs.artifacts import Stored
from jobs.events import PreviewHeader
from jobs.models import Job, KeptPreview
from jobs.tests.customer import Customer
from jobs.tests.quota_cast import Team
from jobs.tests.receiver import Receiver, receiving


@pytest.fixture
def console(olga: User, client: Client) -> Client:
    client.force_login(olga)
    return client


@pytest.fixture
def put(media: Path, tmp_path: Path) -> Callable[..., Stored]:
    """Puts a file of that name, as a worker does for its attempt."""

    def _put(held: Claim, name: str) -> Stored:
        path = tmp_path / "made"
        path.write_text(f"{held.job} {held.attempt} {name}")
        return artifacts.put(held.job, held.attempt, name, path)

    return _put


@pytest.fixture
def mixed(submit: Callable[..., Job], claim: Callable[..., Claim]) -> dict[str, Job]:
    """One job in each of several states."""
    made = {}
    for state in ("failed", "parked", "cancelled", "running", "queued"):
        made[state] = job = submit(state)
        if state == "cancelled":
            actions.cancel(job.pk)
        elif state != "queued":
            Job.objects.filter(pk=job.pk).update(max_attempts=1)
            held = claim()
            if state != "running":
                permanent = state == "failed"
                actions.fail(held, code="bad", message="It broke.", permanent=permanent)
    return made


def preview_message(job: uuid.UUID, *, step: int, image: bytes, codec: str = "jpeg") -> bytes:
    """As a worker sends it."""
    header = PreviewHeader(
        job=job,
        attempt=1,
        step=step,
        steps=32,
        frames=7,
        tile_width=64,
        tile_height=64,
        server_us=1,
        codec=codec,
        size=len(image),
    )
    return header.pack() + image


@pytest.fixture
def parked(submit: Callable[..., Job], claim: Callable[..., Claim]) -> Job:
    """A job that one attempt with a checkpoint used up, on a worker that is known."""
    incarnation = uuid.uuid4()
    workers.register(name="gpu-1", incarnation=incarnation, pool="default", device="a card")
    job = submit("a blue star rising")
    Job.objects.filter(pk=job.pk).update(max_attempts=1)
    held = claim(f"gpu-1/{incarnation}")
    actions.note_fingerprint(held, {"device": "a card", "torch": "2.13"})
    stored = Stored(
        name="checkpoint-8.safetensors",
        key=f"jobs/{job.pk}/1/checkpoint-8.safetensors",
        content_type="application/octet-stream",
        size=4096,
        sha256=64 * "a",
    )
    actions.save_checkpoint(held, stored=stored, step=8)
    actions.fail(held, code="out_of_memory", message="The memory did not suffice.", permanent=False)
    KeptPreview.objects.create(
        job=job, message=preview_message(job.pk, step=8, image=b"\xff\xd8picture")
    )
    return Job.objects.select_related("request", "owner").get(pk=job.pk)


@pytest.fixture
def program() -> Callable[..., Client]:
    """A program of that person, with a token of these scopes (all that the person may have)."""

    def _program(user: User, *scopes: Scope) -> Client:
        usual = [
            scope for scope in Scope if scope is not Scope.ADMIN or user.role == SiteRole.OPERATOR
        ]
        _, token = accounts.issue_token(user, name="a program", scopes=list(scopes or usual))
        return Client(headers={"Authorization": f"Bearer {token}"})

    return _program


@pytest.fixture
def receiver(settings: LazySettings) -> Iterator[Receiver]:
    """A real server on this machine, which the site may send webhooks to."""
    with receiving() as started:
        settings.T2V_WEBHOOK_PRIVATE_HOSTS = frozenset({started.host})
        yield started


@pytest.fixture
def customer(alice: User) -> Customer:
    """Alice's, with a token to read and write."""
    return Customer(alice)


@pytest.fixture
def team(workspace: Workspace, alice: User, bob: User, join: Callable[[User, Role], None]) -> Team:
    """Bob is a creator in alice's workspace."""
    join(bob, Role.CREATOR)
    return Team(workspace=workspace, alice=alice, bob=bob)
