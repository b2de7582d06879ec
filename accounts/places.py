"""The workspaces of somebody as they are shown: in the header of every page, and to programs."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts import workspaces
from accounts.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    slug: str
    name: str
    role: str
    current: bool  # where they work when they name none


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    all: list[Place]

    @property
    def current(self) -> Place | None:
        return next((place for place in self.all if place.current), None)

    @property
    def others(self) -> bool:
        """Whether there is another one to go to."""
        return any(not place.current for place in self.all)


def of(user: User) -> list[Place]:
    """By name; two queries, one where the memberships were read before."""
    if not user.memberships:
        return []
    current = workspaces.current_id(user)
    return [
        Place(
            slug=each.slug,
            name=each.name,
            role=user.memberships[each.pk],
            current=each.pk == current,
        )
        for each in workspaces.of(user)
    ]


def here(request: HttpRequest) -> dict[str, object]:
    """here: looked up only by a page that shows it."""
    return {"here": SimpleLazyObject(lambda: _here(request))}


def _here(request: HttpRequest) -> Here:
    return Here(all=of(request.user) if isinstance(request.user, User) else [])
