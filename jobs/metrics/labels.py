"""Keeps labels bounded: a pool, a model or a worker too many is told as "other". Pure: no I/O."""

from collections.abc import Iterable

from jobs.metrics.catalogue import MOST, OTHER

LONGEST = 100  # characters of a value


class Known:
    """The first MOST values of one label; whatever comes after them is OTHER."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._known = set(values)

    def told(self, value: str) -> str:
        value = value[:LONGEST] or OTHER
        if value in self._known or value == OTHER:
            return value
        if len(self._known) >= MOST:
            return OTHER
        self._known.add(value)
        return value
