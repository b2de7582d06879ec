"""A worker's part in a test: the same verbs and the same sends, at the pace that the test wants."""

import time
from uuid import UUID

from accounts.models import User
from conftest import video_of
from jobs import actions, artifacts, offer, stream
from jobs.actions import Claim
from jobs.artifacts import Stored
from jobs.events import PreviewHeader, Progressed, to_wire
from jobs.models import Job, JobEvent
from jobs.moves import as_fact

STEPS = 50
IMAGE_BYTES = 7 * 1024  # what a preview of four tiles takes


def submit(owner: User, prompt: str = "a red circle moving right") -> Job:
    blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance", "seed"))
    return actions.submit(owner=owner, spec=offer.make_spec(prompt=prompt, **blank))


def claim(name: str = "worker/1") -> Claim:
    held = actions.claim(worker=name, pool="default")
    assert held is not None
    return held


def tick(held: Claim, step: int, *, phase: str = "denoising") -> None:
    event = Progressed(
        job=held.job,
        attempt=held.attempt,
        phase=phase,
        step=step,
        steps=STEPS,
        seconds_left=1.5,
    )
    stream.announce(held.owner, event)


def preview(held: Claim, step: int, *, size: int = IMAGE_BYTES) -> None:
    header = PreviewHeader(
        job=held.job,
        attempt=held.attempt,
        step=step,
        steps=STEPS,
        frames=4,
        tile_width=64,
        tile_height=64,
        server_us=time.time_ns() // 1000,
        codec="jpeg",
        size=size,
    )
    stream.put_preview(held.owner, header, bytes(size))


def checkpoint(held: Claim, step: int) -> None:
    name = f"checkpoint-{step}.safetensors"
    key = artifacts.key_for(held.job, held.attempt, name)
    stored = Stored(
        name=name, key=key, content_type="application/octet-stream", size=1, sha256=64 * "0"
    )
    actions.save_checkpoint(held, stored=stored, step=step)


def hand_back_and_go_on(held: Claim, step: int) -> Claim:
    """The same job in the hands of the next attempt, from the step where this one was."""
    checkpoint(held, step)
    actions.release(held)
    again = claim()
    assert again.job == held.job
    actions.resumed(again, step=step)
    return again


def succeed(held: Claim) -> None:
    actions.succeed(held, [video_of(held)])


def history(job: UUID) -> list[dict[str, object]]:
    """What a viewer of the whole job has seen at the end, in this order."""
    rows = JobEvent.objects.filter(job=job).order_by("seq")
    return [to_wire(as_fact(row)) for row in rows]
