"""Pages of a list by keyset: each begins where the one before ended, at (a time, an id).

So a page costs the same wherever it lies, and what is made meanwhile moves nobody's place. Each
order is an index of jobs/models, read in one direction or the other.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from rest_framework.request import Request

from jobs.errors import BadFields

Row = TypeVar("Row", bound=Model)

USUAL = 20  # rows of a page
MOST = 100
ORDERINGS = ("-created_at", "created_at", "-finished_at", "finished_at")
_LONGEST = 300  # characters of a cursor; ours have 150 or so


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place between two rows of an order."""

    ordering: str  # one of ORDERINGS
    at: datetime  # of the row beside it, in the order's column
    row: UUID
    back: bool = False  # the page before that row, not the one after

    def encode(self) -> str:
        parts = [self.ordering, self.at.isoformat(), self.row.hex, self.back]
        return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Raises BadFields for what encode did not make."""
        try:
            if len(text) > _LONGEST:
                raise ValueError
            padded = text + "=" * (-len(text) % 4)
            parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            ordering, at, row, back = parts
            when = datetime.fromisoformat(at)
            if ordering not in ORDERINGS or when.tzinfo is None or not isinstance(back, bool):
                raise ValueError
            # Of an offset of 16 hours or more Postgres knows nothing.
            return cls(ordering=ordering, at=when.astimezone(UTC), row=UUID(row), back=back)
        except (
            *(ValueError, TypeError, AttributeError, OverflowError),
            *(binascii.Error, RecursionError),
        ) as error:
            raise BadFields({"cursor": "Use one that a list gave you."}) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row]):
    rows: list[Row]
    next: Cursor | None
    previous: Cursor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which page, as a query says it."""

    ordering: str
    limit: int
    cursor: Cursor | None

    @property
    def column(self) -> str:
        return self.ordering.removeprefix("-")

    @property
    def back(self) -> bool:
        return self.cursor is not None and self.cursor.back

    @classmethod
    def read(cls, given: Mapping[str, str], *, orderings: Sequence[str] = ORDERINGS) -> "Wanted":
        """limit, ordering and cursor of a query. Raises BadFields. More than MOST count as MOST."""
        cursor = Cursor.decode(given["cursor"]) if given.get("cursor") else None
        ordering = given.get("ordering") or (cursor.ordering if cursor else orderings[0])
        bad = {}
        if ordering not in orderings:
            bad["ordering"] = f"Use one of {', '.join(orderings)}."
        elif cursor is not None and cursor.ordering != ordering:
            bad["cursor"] = f"It belongs to the order {cursor.ordering}, not to {ordering}."
        limit = given.get("limit") or str(USUAL)
        if not (limit.isascii() and limit.isdigit() and len(limit) < 10 and int(limit) > 0):
            bad["limit"] = f"Use a number from 1 to {MOST}."
        if bad:
            raise BadFields(bad)
        return cls(ordering=ordering, limit=min(int(limit), MOST), cursor=cursor)


def turn_to(among: QuerySet[Row], wanted: Wanted) -> Page[Row]:
    """One query. An order by finished_at lists what has ended only."""
    rows, back = list(select(among, wanted)), wanted.back
    more, rows = len(rows) > wanted.limit, rows[: wanted.limit]
    if back:
        rows.reverse()

    def beside(row: Row, *, back: bool) -> Cursor:
        at = getattr(row, wanted.column)
        return Cursor(ordering=wanted.ordering, at=at, row=row.pk, back=back)

    ahead = bool(rows) and (more or back)
    behind = bool(rows) and (more if back else wanted.cursor is not None)
    return Page(
        rows=rows,
        next=beside(rows[-1], back=False) if ahead else None,
        previous=beside(rows[0], back=True) if behind else None,
    )


def select(among: QuerySet[Row], wanted: Wanted) -> QuerySet[Row]:
    """The page and one more, in the direction in which the page is read."""
    column, descending = wanted.column, wanted.ordering.startswith("-") != wanted.back
    if column == "finished_at":
        among = among.filter(finished_at__isnull=False)
    if wanted.cursor is not None:
        # The first condition is a range of the index; the second divides those of the same time.
        beyond, at, row = ("lt" if descending else "gt"), wanted.cursor.at, wanted.cursor.row
        among = among.filter(
            Q(**{f"{column}__{beyond}": at}) | Q(**{f"pk__{beyond}": row}),
            **{f"{column}__{beyond}e": at},
        )
    sign = "-" if descending else ""
    return among.order_by(f"{sign}{column}", f"{sign}pk")[: wanted.limit + 1]


def address(request: Request, cursor: Cursor | None) -> str | None:
    """Of another page of the same list."""
    if cursor is None:
        return None
    query = request.query_params.copy()
    query["cursor"] = cursor.encode()
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
