"""Which clips of the library are asked for, as an address says it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.http import QueryDict

from jobs.cursors import Cursor
from jobs.errors import BadFields, BadTag
from jobs.filters import MomentField
from jobs.tag_name import TagName

USUAL = 48  # clips of a page
MOST = 100
_MOST_TAGS = 5  # of one filter
_MOST_CHARS = 200
ORDERINGS = ("-created_at", "created_at")


class Shown(StrEnum):
    CLIPS = "clips"  # what succeeded
    ALL = "all"
    UNDONE = "undone"  # ended without a video
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which clips, in what order, and which page of them."""

    q: str = ""  # words of the prompt, or their beginnings, in any order
    tags: tuple[str, ...] = ()  # all of them
    favourite: bool = False
    mine: bool = False
    owner: int | None = None  # somebody's, by id
    model: str = ""
    quality: str = ""
    state: Shown = Shown.CLIPS
    created_after: datetime | None = None  # at that time or later
    created_before: datetime | None = None
    ordering: str = "-created_at"  # one of ORDERINGS
    cursor: Cursor | None = None
    at: UUID | None = None  # the page that begins with this one, where there is no cursor
    limit: int = USUAL

    @property
    def narrows(self) -> bool:
        """Whether it leaves out any clip that the library shows at first."""
        usual = Filters(ordering=self.ordering, cursor=self.cursor, at=self.at, limit=self.limit)
        return self != usual

    @classmethod
    def read(cls, query: QueryDict) -> "Filters":
        """As an address says it; names that are not of ours are left alone. Raises BadFields."""
        bad: dict[str, str] = {}

        def chosen(name: str, choices: Sequence[str]) -> str:
            value = query.get(name) or choices[0]
            if value not in choices:
                bad[name] = f"Use one of {', '.join(choices)}."
                return choices[0]
            return value

        def short(name: str, most: int) -> str:
            value = query.get(name, "").strip()
            if len(value) > most or "\0" in value:
                bad[name] = f"Use at most {most} characters."
            return value

        def number(name: str) -> int | None:
            value = query.get(name, "")
            if value and not (value.isascii() and value.isdigit() and len(value) < 10):
                bad[name] = "Use a whole number."
            return int(value) if value and name not in bad else None

        def moment(name: str) -> datetime | None:
            try:
                found: datetime | None = MomentField(required=False).clean(query.get(name, ""))
            except ValidationError as error:
                bad[name] = " ".join(error.messages)
                return None
            return found

        def parsed(name: str, kind: Any) -> Any:
            try:
                return kind(query[name]) if query.get(name) else None
            except (BadFields, ValueError):
                bad[name] = "Use one that this page gave you."
                return None

        names = [name for name in query.getlist("tag") if name.strip()]
        tags: list[str] = []
        if len(names) > _MOST_TAGS:
            bad["tag"] = f"Use at most {_MOST_TAGS} tags."
        else:
            try:
                tags = [TagName.read(name).name for name in names]
            except BadTag as error:
                bad |= error.fields
        cursor = parsed("cursor", Cursor.decode)
        ordering = chosen("ordering", ORDERINGS)
        if cursor is not None and cursor.ordering != ordering:
            bad["cursor"] = f"It belongs to the order {cursor.ordering}."
        filters = cls(
            q=short("q", _MOST_CHARS),
            tags=tuple(tags),
            favourite=chosen("favourite", ("", "1")) == "1",
            mine=chosen("mine", ("", "1")) == "1",
            owner=number("owner"),
            model=short("model", 100),
            quality=short("quality", 100),
            state=Shown(chosen("state", list(Shown))),
            created_after=moment("created_after"),
            created_before=moment("created_before"),
            ordering=ordering,
            cursor=cursor,
            at=parsed("at", UUID),
            limit=min(number("limit") or USUAL, MOST),
        )
        if bad:
            raise BadFields(bad)
        return filters
