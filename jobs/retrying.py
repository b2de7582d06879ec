"""Trying jobs again, one or many, for an operator."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from accounts.models import User
from jobs.actions import retry
from jobs.errors import NotFound, NotPossible
from jobs.models import JobRequest

AT_ONCE = 500  # jobs in one request; 5 s on two busy cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    made: list[tuple[UUID, UUID]]  # the old job, the new one
    refused: list[tuple[UUID, str]]  # and why
    left: int  # that were too many for one request


def retry_each(ids: Iterable[UUID], *, by: User, at_once: int) -> Retried:
    """All that can be tried again.

    Each in a transaction of its own: one for all would keep everybody else of their workspaces
    from submitting until the last, and two operators could wait for each other. When the database
    fails in the middle, the same click again does the rest.
    """
    wanted = sorted(set(ids))
    before = JobRequest.objects.filter(retry_of__in=wanted).values_list("retry_of", "job")
    made: list[tuple[UUID, UUID]] = [(old, new) for old, new in before if old is not None]
    refused: list[tuple[UUID, str]] = []
    known = dict(made)
    fresh = [job for job in wanted if job not in known]
    for job in fresh[:at_once]:
        try:
            new = retry(job, by=by)
        except NotPossible as refusal:
            refused.append((job, str(refusal)))
        except NotFound:
            refused.append((job, "There is no such job any more."))
        else:
            made.append((job, new.pk))
    return Retried(made=made, refused=refused, left=len(fresh[at_once:]))
