"""One operation of the API as data, and the table of all of them by method and address."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from drf_spectacular.utils import OpenApiExample, OpenApiParameter

from jobs.errors import Refusal

JSON = "application/json"
Body = Any  # a serializer class, or a schema as it stands in the document; None: no body
_IN_QUERY: Final = "query"
_IN_HEADER: Final = "header"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    says: str
    body: Body = None
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)  # name → what it says
    media_types: tuple[str, ...] = ()  # others of the same body


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a program may go on from an answer: its id is the next one's parameter."""

    operation: str  # id
    parameter: str
    value: str = "$response.body#/id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    id: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]  # those that are no refusals
    says: str = ""  # more than the summary
    body: Body = None  # of the request
    body_media_type: str = JSON
    body_media_types: tuple[str, ...] = ()  # others that do as well
    refusals: tuple[type[Refusal], ...] = ()  # its own; jobs/schema/problems.py adds what all have
    parameters: tuple[OpenApiParameter, ...] = ()
    examples: tuple[OpenApiExample, ...] = ()
    links: tuple[Link, ...] = ()  # of its success
    public: bool = False  # nobody needs to sign in
    live: bool = False  # an endless stream: no test by machine ends with it


OPERATIONS: dict[str, Operation] = {}  # "GET /api/v1/jobs" → …


def add(operations: Mapping[str, Operation]) -> None:
    """Raises ValueError for an address or an id that is known already."""
    ids = {operation.id for operation in OPERATIONS.values()}
    for place, operation in operations.items():
        if place in OPERATIONS or operation.id in ids:
            raise ValueError(f"{place} ({operation.id}) is described twice")
        OPERATIONS[place] = operation
        ids.add(operation.id)


def query(name: str, says: str, schema: Any = str, *, many: bool = False) -> OpenApiParameter:
    return OpenApiParameter(name, schema, _IN_QUERY, description=says, many=many)


def header(name: str, says: str, schema: Any = str) -> OpenApiParameter:
    return OpenApiParameter(name, schema, _IN_HEADER, description=says)
