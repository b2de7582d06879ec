"""How clips are marked: by each person's favourites, and by the tags of their workspace."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from accounts.models import User
from jobs.models import Favourite, Job, JobTag, Tag
from jobs.tag_name import key_of

MOST_TAGS_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    favourite: bool = False  # of whoever asks
    tags: tuple[str, ...] = ()  # in the order in which they were put on


def marks_of(user: User, jobs: Sequence[Job]) -> dict[UUID, Marks]:
    """Of each of these, which the user sees. Two queries, however many."""
    ids = [job.pk for job in jobs]
    own = set(Favourite.objects.filter(user=user, job__in=ids).values_list("job", flat=True))
    tags: dict[UUID, list[str]] = {}
    rows = JobTag.objects.filter(job__in=ids).order_by("pk").values_list("job", "tag__name")
    for job, name in rows:
        tags.setdefault(job, []).append(name)
    return {one: Marks(favourite=one in own, tags=tuple(tags.get(one, ()))) for one in ids}


@dataclass(frozen=True, slots=True, kw_only=True)
class TagUse:
    name: str
    used: int  # jobs that have it; deleted ones count until they are purged


def tags_of(workspace: int, beginning: str = "") -> list[TagUse]:
    """Most used first, at most MOST_TAGS_SHOWN; those that begin so, in any case."""
    rows = Tag.objects.filter(
        workspace=workspace, used__gt=0, key__startswith=key_of(beginning)
    ).order_by("-used", "key")
    return [TagUse(name=name, used=used) for name, used in rows.values_list("name", "used")][
        :MOST_TAGS_SHOWN
    ]
