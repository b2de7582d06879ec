"""An order of jobs that is an index, walked row by row, no further than a page may look.

What is asked of a row that the index does not say is looked up for each on the way, and never the
other way round: a page that is full after fifty rows has read fifty.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.search import SearchVector
from django.db.models import (
    BooleanField,
    Exists,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
)
from django.db.models.functions import Lower

from jobs.models import JobRequest, JobTag


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    at: datetime
    row: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The part of an order that a page may look at, in the direction in which it is read."""

    start: Place | None  # beyond which, or from which on
    inclusive: bool
    descending: bool
    floor: Place | None = None  # up to which, inclusive

    def condition(self, at: str, row: str) -> Q:
        found = Q()
        onward, backward = ("lt", "gt") if self.descending else ("gt", "lt")
        if self.start is not None:
            found &= _beyond(at, row, self.start, onward, inclusive=self.inclusive)
        if self.floor is not None:
            found &= _beyond(at, row, self.floor, backward, inclusive=True)
        return found


def _beyond(at: str, row: str, place: Place, side: str, *, inclusive: bool) -> Q:
    """The first condition is a range of the index; the second divides those of the same time."""
    equal = "e" if inclusive else ""
    return Q(**{f"{at}__{side}e": place.at}) & (
        Q(**{f"{at}__{side}": place.at}) | Q(**{f"{row}__{side}{equal}": place.row})
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """An order of jobs, or of marks on them, that is an index; and what is looked up of each.

    What is looked up stands there as an expression that no index has: so Postgres cannot choose one
    which seems to be better, and read all of it.
    """

    along: QuerySet[Any]
    at: str = "created_at"  # the columns of the order
    row: str = "pk"
    job: str = ""  # how the job's own columns are called from there
    looks: Sequence[Q] = ()
    tags: Sequence[int] = ()
    asked: Sequence[Q] = ()  # of its JobRequest, a wide row; "words" is its prompt as a vector
    most: int | None = None  # rows that a page looks at; None: it has few itself

    def rows(self, reach: Reach) -> QuerySet[Any]:
        found: QuerySet[Any] = self._ordered(reach).alias(
            place=F(f"{self.job}workspace_id") * 1, whose=F(f"{self.job}owner_id") * 1
        )
        for look in self.looks:
            found = found.filter(look)
        if self.asked:
            found = found.filter(self._asked())
        for tag in self.tags:
            marks = JobTag.objects.filter(reach.condition("job_created_at", "job_id"), tag=tag)
            found = found.filter(Exists(marks.filter(job=OuterRef(self.row))))
        return found

    def _asked(self) -> Subquery:
        """Whether its request is as asked: a value, which Postgres can only look up row by row.

        Of a join it guesses that one prompt in a hundred has the words. So it read all 2,000 rows
        and sorted them, or all requests there are, where 49 of the first 50 were what was wanted.
        """
        prompt = SearchVector(Lower("prompt"), config="simple")
        request = JobRequest.objects.filter(pk=OuterRef(self.row)).alias(words=prompt)
        fits = ExpressionWrapper(Q(*self.asked), output_field=BooleanField())
        return Subquery(request.values(fits=fits), output_field=BooleanField())

    def places(self, reach: Reach, most: int) -> list[Place]:
        rows = self.rows(reach).values_list(self.at, self.row)[:most]
        return [Place(at=at, row=row) for at, row in rows]

    def floor(self, reach: Reach) -> Place | None:
        """The last of the rows that a page looks at; None where it looks at all there are.

        One OFFSET, of that many rows of an index: the same for every page.
        """
        if self.most is None or not (self.looks or self.tags or self.asked):
            return None
        rows = self._ordered(reach).values_list(self.at, self.row)[self.most - 1 : self.most]
        return next((Place(at=at, row=row) for at, row in rows), None)

    def _ordered(self, reach: Reach) -> QuerySet[Any]:
        sign = "-" if reach.descending else ""
        among: QuerySet[Any] = self.along.filter(reach.condition(self.at, self.row))
        return among.order_by(f"{sign}{self.at}", f"{sign}{self.row}")
