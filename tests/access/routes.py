"""Every address of the site, as Django's resolver knows it, by name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OURS = ("accounts", "jobs")  # apps whose views are written here
_VALUE = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>(?:[^()\[\]]|\[[^\]]*\])*\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    name: str  # as reverse() takes it; the address itself where there is none
    pattern: str  # as in urls.py, from the root
    ours: bool  # a view of ours, outside the console

    @property
    def area(self) -> str:
        """Which part of the matrix looks at it; so that processes can share the work."""
        if not self.ours:
            return "console" if self.pattern.startswith("admin/") else "allauth"
        if self.pattern.startswith("v1/"):
            return "v1"
        if self.pattern.startswith("api/"):
            return "jobs" if self.pattern.startswith("api/v1/jobs") else "rest"
        return "pages"

    @property
    def values(self) -> tuple[str, ...]:
        """The names of what stands in the address."""
        return tuple(one or other for one, other in _VALUE.findall(self.pattern))

    def address(self, values: dict[str, str]) -> str:
        filled = _VALUE.sub(lambda found: values[found[1] or found[2]], self.pattern)
        return "/" + re.sub(r"[\^$\\]", "", filled)


def _walk(resolver: Any, before: str, space: str) -> Iterator[Route]:
    for each in resolver.url_patterns:
        pattern = before + str(each.pattern)
        if isinstance(each, URLResolver):
            inner = f"{space}{each.namespace}:" if each.namespace else space
            yield from _walk(each, pattern, inner)
        elif isinstance(each, URLPattern):
            app = each.callback.__module__.partition(".")[0]
            yield Route(
                name=f"{space}{each.name}" if each.name else pattern,
                pattern=pattern,
                ours=app in OURS and not pattern.startswith("admin/"),
            )


@cache
def routes() -> tuple[Route, ...]:
    return tuple(_walk(get_resolver(), "", ""))
