"""What tests of quotas have in common: a team, and short words for what happens to its jobs."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import User, Workspace
from conftest import video_of
from jobs import actions, offer, usage
from jobs.actions import Claim
from jobs.models import Attempt, GpuSeconds, Job
from jobs.quotas import month_of
from jobs.spec import RenderSpec

Submit = Callable[..., Job]
Take = Callable[..., Claim]


@dataclass(frozen=True, kw_only=True)
class Team:
    workspace: Workspace
    alice: User
    bob: User


def spec(seed: int = 1) -> RenderSpec:
    blank: dict[str, Any] = dict.fromkeys(("model", "size", "frames", "steps", "guidance"))
    return offer.make_spec(prompt="a red circle moving right", seed=seed, **blank)


def claimed() -> list[UUID]:
    """Everything that can be claimed, in that order."""
    jobs = []
    while (taken := actions.claim(worker="worker/1", pool="default")) is not None:
        jobs.append(taken.job)
    return jobs


def are_held(jobs: Sequence[Job]) -> list[bool]:
    now = dict(Job.objects.values_list("pk", "over_quota"))
    return [now[job.pk] for job in jobs]


def together(*verbs: Callable[[], list[str]]) -> list[list[str]]:
    start = Barrier(len(verbs))

    def run(verb: Callable[[], list[str]]) -> list[str]:
        try:
            connection.ensure_connection()
            start.wait(20)
            return verb()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(verbs)) as threads:
        return list(threads.map(run, verbs))


def render(held: Claim, seconds: float, end: Callable[[Claim], object]) -> None:
    began = Now() - timedelta(seconds=seconds)
    Attempt.objects.filter(job=held.job, number=held.attempt).update(started_at=began)
    Job.objects.filter(pk=held.job).update(started_at=began)
    end(held)
    this = month_of(datetime.now(UTC)).date()
    for before in GpuSeconds.objects.filter(month__lt=this):  # where a month has just begun
        same = GpuSeconds.objects.filter(workspace=before.workspace, user=before.user, month=this)
        same.update(seconds=F("seconds") + before.seconds)
        before.delete()


def rendered() -> float:
    """Seconds of all attempts that have ended: those given to render, and what it took itself."""
    ended = Attempt.objects.exclude(ended_at=None).values_list("started_at", "ended_at")
    return sum(((end - began).total_seconds() for began, end in ended if end), 0.0)


def succeed(held: Claim) -> None:
    actions.succeed(held, [video_of(held)])


def fail(held: Claim, *, permanent: bool = False) -> None:
    actions.fail(held, code="bad", message="It broke.", permanent=permanent)


def share_of(workspace: Workspace) -> usage.Share:
    return usage.in_workspace(workspace, now=datetime.now(UTC)).whole
