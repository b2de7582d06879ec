"""The library: which clips it shows, page by page.

A page is read along one index, in its order: of all clips, of one's own, of one's favourites or of
a tag. What else is asked of a clip (another tag, a model, words that many prompts have) is looked
up for each on the way, for WALKED of them at the most: a page that is not full by then says where
to go on. So no page costs more than that, whatever is asked and however many clips there are.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import User
from accounts.roles import Permission
from jobs.access import may
from jobs.clip_filters import Filters, Shown
from jobs.cursors import Cursor
from jobs.lifecycle import FINAL, State
from jobs.models import Favourite, Job, JobRequest, JobTag, Tag
from jobs.spec import EXACT
from jobs.tag_name import key_of
from jobs.walk import Place, Reach, Walk

WALKED = 5_000  # rows that one page looks at; some 20 ms
READ = 2_000  # of them where it reads what was asked for, at some times the price
RARE = 1_000  # prompts with the words, on the whole site, that are looked up at once
COUNTED = 10_000  # clips that a total counts up to
COUNTED_READ = 500  # where it reads, and would not come to the end: 10 µs of Postgres for each
_MOST_WORDS = 10
_WORD = re.compile(r"[^\W_]+")
_UNDONE = sorted(state.value for state in FINAL if state is not State.SUCCEEDED)
_STATES = {
    Shown.CLIPS: [State.SUCCEEDED.value],
    Shown.ALL: None,
    Shown.UNDONE: _UNDONE,
    Shown.UNFINISHED: sorted(state.value for state in State if state not in FINAL),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """A page. It may hold fewer than its limit, or none, and have a next one all the same."""

    jobs: list[Job] = field(default_factory=list)  # with what jobs_to_dicts tells of them
    next: Cursor | None = None
    previous: Cursor | None = None
    total: "Total | None" = None  # where it was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    clips: int
    more: bool  # at least so many

    def __str__(self) -> str:
        words = f"{self.clips:,} {'clip' if self.clips == 1 else 'clips'}"
        return f"at least {words}" if self.more else words


def clips(user: User, workspace: int, filters: Filters, *, counted: bool = False) -> Clips:
    """Of what the user sees in that workspace. At most six queries, whatever is asked.

    counted: with the total, of all pages, as far as it can be told at that price: two more.
    """
    walk = _walk(user, workspace, filters)
    if walk is None:
        return Clips(total=Total(clips=0, more=False) if counted else None)
    cursor, back = filters.cursor, filters.cursor is not None and filters.cursor.back
    start = None
    if cursor is not None:
        start = Place(at=cursor.at, row=cursor.row)
    elif filters.at is not None:
        start = _place_of(workspace, filters.at)
    reach = Reach(
        start=start,
        inclusive=cursor is None,  # the page holds that clip itself
        descending=filters.ordering.startswith("-") != back,
    )
    floor = walk.floor(reach)
    found = list(walk.places(replace(reach, floor=floor), filters.limit + 1))
    more, places = len(found) > filters.limit, found[: filters.limit]

    def beside(place: Place, *, back: bool) -> Cursor:
        return Cursor(ordering=filters.ordering, at=place.at, row=place.row, back=back)

    # Where the page ends in the direction in which it was read, if there is more behind it; and
    # where it began, if it began anywhere but at the first clip.
    last = places[-1] if more else floor
    end = None if last is None else beside(last, back=back)
    first = None if start is None else places[0] if places else start
    begin = None if first is None else beside(first, back=not back)
    if back:
        places.reverse()
    total = None
    if counted and start is None and not more:  # so many are all there are within reach
        total = Total(clips=len(places), more=floor is not None)
    elif counted:
        total = _total(walk, descending=filters.ordering.startswith("-"))
    jobs = {job.pk: job for job in Job.objects.to_show().filter(pk__in=[one.row for one in places])}
    return Clips(
        jobs=[jobs[place.row] for place in places if place.row in jobs],
        next=begin if back else end,
        previous=end if back else begin,
        total=total,
    )


def _place_of(workspace: int, job: UUID) -> Place | None:
    """Where it stands in the order, or stood, as long as it is not purged."""
    kept = Job.objects.filter(pk=job, workspace=workspace)
    at = kept.values_list("created_at", flat=True).first()
    return None if at is None else Place(at=at, row=job)


def _total(walk: Walk, *, descending: bool) -> Total:
    reach = Reach(start=None, inclusive=False, descending=descending)
    floor = walk.floor(reach)
    rows, most = walk.rows(replace(reach, floor=floor)), COUNTED
    if floor is not None and walk.asked:
        # Any of those within reach: an order would be kept by sorting all of them.
        rows, most = rows.order_by(), COUNTED_READ
    counted = rows[: most + 1].count()
    return Total(clips=min(counted, most), more=floor is not None or counted > most)


def _walk(user: User, workspace: int, filters: Filters) -> Walk | None:
    """None where nothing can be found."""
    if not may(user, Permission.SEE, workspace=workspace):
        return None
    tags, words = _tag_ids(workspace, filters.tags), _words(filters.q)
    if tags is None or (filters.q and words is None):
        return None
    rare = None if words is None else _with_words(words)
    walk = _along(user, workspace, filters, tags=tags, rare=rare)
    along, asked = walk.along, list[Q]()
    if filters.created_after is not None:
        along = along.filter(**{f"{walk.at}__gte": filters.created_after})
    if filters.created_before is not None:
        along = along.filter(**{f"{walk.at}__lt": filters.created_before})
    if filters.model:
        asked.append(Q(spec__model=filters.model))
    if filters.quality:
        wanted = Q(spec__quality=filters.quality)
        if filters.quality == EXACT:  # also from before there were qualities
            wanted |= Q(spec__quality__isnull=True)
        asked.append(wanted)
    if words is not None and rare is None:
        asked.append(Q(words=words))
    most = None if rare is not None else min(READ, WALKED) if asked else WALKED
    return replace(walk, along=along, asked=asked, most=most)


def _along(
    user: User, workspace: int, filters: Filters, *, tags: list[int], rare: list[UUID] | None
) -> Walk:
    """The index that has the fewest rows to look through, and what it does not say itself."""
    owner = user.pk if filters.mine else filters.owner
    states = _STATES[filters.state]
    jobs = Job.objects.all()

    def looks(job: str = "") -> list[Q]:
        wanted = [Q(**{f"{job}deleted_at__isnull": True})]
        if states:
            wanted.append(Q(**{f"{job}state__in": states}))
        return wanted if owner is None else [*wanted, Q(whose=owner)]

    here = Q(place=workspace)
    if rare is not None:
        starred = Favourite.objects.filter(job=OuterRef("pk"), user=user)
        own = [Q(Exists(starred))] if filters.favourite else []
        rest = [here, *own, *looks()]
        return Walk(along=jobs.filter(pk__in=rare), looks=rest, tags=tags)
    if filters.favourite:
        own_marks = Favourite.objects.filter(user=user, workspace=workspace)
        return _marked(own_marks, looks("job__"), tags)
    if tags:
        return _marked(JobTag.objects.filter(tag=tags[0]), looks("job__"), tags[1:])
    if filters.state is Shown.CLIPS:
        clips = jobs.filter(workspace=workspace, state=State.SUCCEEDED, deleted_at__isnull=True)
        return Walk(along=clips if owner is None else clips.filter(owner=owner))
    if owner is not None:
        return Walk(along=jobs.filter(owner=owner), looks=[here, *looks()])
    along = jobs.filter(workspace=workspace)
    if filters.state is Shown.UNDONE:
        along = along.filter(state__in=_UNDONE)
    return Walk(along=along, looks=looks())


def _marked(marks: QuerySet[Any], looks: list[Q], tags: list[int]) -> Walk:
    return Walk(along=marks, at="job_created_at", row="job_id", job="job__", looks=looks, tags=tags)


def _tag_ids(workspace: int, names: Sequence[str]) -> list[int] | None:
    """The least used first; None where nobody has made one of them."""
    if not names:
        return []
    keys = {key_of(name) for name in names}
    rows = Tag.objects.filter(workspace=workspace, key__in=keys).order_by("used", "pk")
    found = list(rows.values_list("pk", flat=True))
    return found if len(found) == len(keys) else None


def _words(text: str) -> SearchQuery | None:
    """All of these words, or longer ones that begin so; a single letter is a word of its own.

    But not the last one, which somebody is about to type.
    """
    words = [word.lower() for word in _WORD.findall(text)][:_MOST_WORDS]
    if len(words) > 1 and len(words[-1]) == 1:
        words.pop()
    if not words:
        return None
    asked = " & ".join(word if len(word) == 1 else f"{word}:*" for word in words)
    return SearchQuery(asked, config="simple", search_type="raw")


def _with_words(words: SearchQuery) -> list[UUID] | None:
    """The jobs whose prompts have them, by the index jobs_prompt_words; None: more than RARE."""
    asked = JobRequest.objects.alias(words=SearchVector("prompt", config="simple"))
    found = list(asked.filter(words=words).values_list("job", flat=True)[: RARE + 1])
    return found if len(found) <= RARE else None
