"""The qualities that a model offers: how much of the arithmetic a render may leave out. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs import spec

CACHES = ("first_block", "faster", "pyramid", "mag")  # of gpu_worker/caches.py


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How much of the arithmetic a render may leave out."""

    name: str
    title: str
    cache: str | None = None  # one of CACHES; None: nothing is left out
    options: Mapping[str, Any] = field(default_factory=dict)  # of the cache: numbers, or tuples


EXACT = Quality(name=spec.EXACT, title="Exact")


def parse_qualities(values: Mapping[str, Any]) -> tuple[Quality, ...]:
    """The exact one and those of the table. Raises ValueError that names a bad one."""
    if EXACT.name in values:
        raise ValueError(f"qualities: {EXACT.name!r} is there by itself and is no step cache")
    return (EXACT, *(_quality(name, table) for name, table in values.items()))


def _quality(name: str, values: Mapping[str, Any]) -> Quality:
    if not isinstance(values, Mapping):
        raise ValueError(f"quality {name}: it is no table")  # noqa: TRY004 - as everything else
    options = {key: value for key, value in values.items() if key not in {"title", "cache"}}
    if not isinstance(values.get("title"), str) or not values["title"].strip():
        raise ValueError(f"quality {name}: it has no title")
    if values.get("cache") not in CACHES:
        known = ", ".join(CACHES)
        raise ValueError(f"quality {name}: cache {values.get('cache')!r} is none of {known}")
    for key, value in options.items():
        numbers = value if isinstance(value, list) else [value]
        if not numbers or not all(_is_number(number) for number in numbers):
            raise ValueError(f"quality {name}: {key} is {value!r}, neither a number nor several")
    return Quality(
        name=name,
        title=values["title"],
        cache=values["cache"],
        options={k: tuple(v) if isinstance(v, list) else v for k, v in options.items()},
    )


def _is_number(value: object) -> bool:
    is_bool = isinstance(value, bool)  # a kind of int to Python
    return isinstance(value, int | float) and not is_bool and math.isfinite(value)
