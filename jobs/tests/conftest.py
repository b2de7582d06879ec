"""What tests of the operators' console stand on."""

import uuid
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from jobs import actions, workers
from jobs.actions import Claim
from jobs.artifacts import Stored
from jobs.events import PreviewHeader
from jobs.models import Job, KeptPreview


@pytest.fixture
def console(olga: User, client: Client) -> Client:
    client.force_login(olga)
    return client


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
