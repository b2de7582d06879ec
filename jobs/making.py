"""What the studio shows below its composer: what is being made, and what was made last.

Each read is bounded, whatever there is of a person, of a workspace, or of its deleted jobs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F

from accounts.models import User
from jobs.access import listed_jobs
from jobs.lifecycle import FINAL, State
from jobs.models import Job, JobQuerySet

MINE = 50  # unfinished jobs of one's own on the page
MATES = 30  # of others; a page may watch 100 jobs in all (jobs/viewer.py)
MADE = 8  # that ended last
PROMPTS = 8  # of one's own, each once
LOOKED_AT = 200  # rows at most that are read to find MATES, or MADE
REMEMBERED = 100  # of one's own newest jobs, read to find PROMPTS
COUNTED = 1_000  # unfinished of one's own; beyond it a person only wants to know "many"

_UNFINISHED = [state.value for state in State if state not in FINAL]
_SHOWN = [State.SUCCEEDED.value, State.FAILED.value, State.PARKED.value, State.EXPIRED.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    jobs: list[Job]  # those that run, then those that wait, in the order of the queue
    more: int  # of one's own that are not among them; COUNTED - MINE at most


def unfinished(user: User, workspace: int) -> Unfinished:
    """One's own oldest MINE, and MATES of others, with all that a page shows of them.

    Three queries; four where one's own are more. Of a workspace with more than LOOKED_AT by others,
    which of these are shown is left to the index.
    """
    # By the indexes of unfinished jobs, and by no others: see JobQuerySet.unfinished_of.
    inside = Job.objects.kept().alias(inside=F("workspace_id") * 1).filter(inside=workspace)
    own = inside.unfinished_of(user)
    mine = list(own.values_list("pk", flat=True)[:MINE])
    counted = own[:COUNTED].count() if len(mine) == MINE else len(mine)
    near = inside.filter(state__in=_UNFINISHED).exclude(owner=user)[:LOOKED_AT]
    theirs = [job.pk for job in sorted(near, key=_turn)[:MATES]]
    jobs = listed_jobs(user, workspace).filter(pk__in=[*mine, *theirs]).to_show()
    return Unfinished(jobs=sorted(jobs, key=_turn), more=counted - len(mine))


def _turn(job: Job) -> tuple[Any, ...]:
    if job.state == State.RUNNING:
        return (0, False, 0, job.started_at, job.pk)
    return (1, job.over_quota, -job.priority, job.run_at, job.pk)


def just_made(user: User, workspace: int) -> Sequence[Job]:
    """The newest of the workspace that ended, but for those that were cancelled; MADE at most.

    Looked for among the newest LOOKED_AT: whoever cancelled or deleted so many since sees none.
    Two queries.
    """
    ended = newest_ended(workspace).values_list("pk", "state", "deleted_at")
    shown = [job for job, state, gone in ended if state in _SHOWN and gone is None][:MADE]
    jobs = listed_jobs(user, workspace).filter(pk__in=shown).to_show()
    return sorted(jobs, key=lambda job: shown.index(job.pk))


def newest_ended(workspace: int) -> JobQuerySet:
    ended = Job.objects.filter(workspace=workspace, finished_at__isnull=False)
    return ended.order_by("-finished_at", "-pk")[:LOOKED_AT]


def recent_prompts(user: User, workspace: int) -> list[str]:
    """One's own in that workspace, newest first, each once; of deleted jobs none."""
    own = Job.objects.filter(owner=user).newest_first()
    rows = own.values_list("workspace", "deleted_at", "request__prompt")[:REMEMBERED]
    prompts = [prompt for where, gone, prompt in rows if where == workspace and gone is None]
    return list(dict.fromkeys(prompts))[:PROMPTS]
