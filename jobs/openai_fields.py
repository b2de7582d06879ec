"""What /v1/videos is asked: fields of a form or of JSON, onto what the models offer. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from jobs.catalog import ModelEntry
from jobs.errors import BadSpec, UnsupportedByModel
from jobs.openai_shapes import lengths

CREATE = frozenset(
    {
        *("prompt", "input_reference", "model", "seconds", "size"),
        *("negative_prompt", "seed", "steps", "guidance_scale", "fps", "num_frames", "priority"),
    }
)
REMIX = CREATE - {"input_reference", "model", "fps", "priority"}
RENAMED = {"frames": "num_frames", "guidance": "guidance_scale"}  # our words to theirs
LOWEST_PRIORITY = -100
ONE = "Give it once."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was given of a render; None: the model's default, or what the remixed video had."""

    prompt: str | None
    size: tuple[int, int] | None  # pixels
    frames: int | None
    steps: int | None
    guidance: float | None
    seed: int | None
    priority: int = 0


def rebuilt(lists: Iterable[tuple[str, list[Any]]]) -> dict[str, Any]:
    """A form's fields: `a[b]` becomes a dict in a. The same value twice is one; two are refused.

    Raises BadSpec that names the field.
    """
    fields: dict[str, Any] = {}
    for name, values in lists:
        if not values:
            continue
        if any(value != values[0] for value in values[1:]):
            raise BadSpec({name: ONE})
        outer, inner = _bracket(name)
        if inner is None:
            if outer in fields:
                raise BadSpec({outer: ONE})
            fields[outer] = values[0]
        else:
            inside = fields.setdefault(outer, {})
            if not isinstance(inside, dict):
                raise BadSpec({outer: ONE})
            inside[inner] = values[0]
    return fields


def _bracket(name: str) -> tuple[str, str | None]:
    """(outer, inner) of `outer[inner]`; anything else is a name as it stands."""
    outer, bracket, rest = name.partition("[")
    if not outer or not bracket or not rest.endswith("]"):
        return name, None
    return outer, rest[:-1]


def refuse_unknown(fields: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raises BadSpec that names each: what is not read must not look as if it had been."""
    unknown = sorted(set(fields) - known)[:10]
    if unknown:
        accepted = ", ".join(sorted(known))
        raise BadSpec(
            {_shown(name): f"There is no such field; use {accepted}." for name in unknown}
        )


def model_name(fields: Mapping[str, Any]) -> str | None:
    """None for the default one. Raises BadSpec."""
    given = fields.get("model")
    if given is None or given == "":
        return None
    if not isinstance(given, str):
        raise BadSpec({"model": "Give the model's name."})
    return given


def asked(fields: Mapping[str, Any], entry: ModelEntry) -> Asked:
    """Raises BadSpec that names every bad field, and UnsupportedByModel."""
    reading = _Reading(fields, entry)
    found = Asked(
        prompt=reading.prompt(),
        size=reading.size(),
        frames=reading.frames(),
        steps=reading.whole("steps"),
        guidance=reading.number("guidance_scale"),
        seed=reading.whole("seed"),
        priority=reading.priority(),
    )
    reading.fps()
    if reading.bad:
        raise BadSpec(reading.bad)
    if fields.get("negative_prompt") not in (None, ""):
        raise UnsupportedByModel(f"{entry.title} reads no negative prompt.", "negative_prompt")
    return found


def renamed(refused: BadSpec) -> BadSpec:
    """With their names of the fields in place of ours."""
    return BadSpec({RENAMED.get(name, name): why for name, why in refused.fields.items()})


class _Reading:
    """Reads one field after the other; bad says what is wrong with which."""

    def __init__(self, fields: Mapping[str, Any], entry: ModelEntry) -> None:
        self._fields, self._entry = fields, entry
        self.bad: dict[str, str] = {}

    def _given(self, name: str) -> Any:
        """None also for an empty form field."""
        value = self._fields.get(name)
        return None if value == "" else value

    def prompt(self) -> str | None:
        given = self._fields.get("prompt")
        if given is not None and not (isinstance(given, str) and _is_text(given)):
            self.bad["prompt"] = "Give a text."
            return None
        return given

    def size(self) -> tuple[int, int] | None:
        given = self._given("size")
        if given is None:
            return None
        width, _, height = str(given).lower().replace("×", "x").partition("x")
        if _is_number(width, 5) and _is_number(height, 5):
            return int(width), int(height)
        sizes = ", ".join(f"{width}x{height}" for width, height in self._entry.limits.sizes)
        self.bad["size"] = f"Write the size as WIDTHxHEIGHT; this model makes {sizes}."
        return None

    def frames(self) -> int | None:
        """By seconds or by num_frames; both, when they say the same."""
        count, named = self.whole("num_frames"), self._given("seconds")
        if named is None:
            return count
        wanted = self._frames_of(named)
        if wanted is None:
            names = ", ".join(lengths(self._entry.limits.frames, self._entry.fps))
            self.bad["seconds"] = f"This model makes clips of {names} seconds, not {_shown(named)}."
        elif count not in (None, wanted):
            self.bad["num_frames"] = f"{named} seconds are {wanted} frames; give one of the two."
        return wanted

    def _frames_of(self, given: Any) -> int | None:
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            return None
        text = str(given).strip()
        try:
            number = Decimal(text) if text.isascii() and len(text) < 20 else Decimal("nan")
        except InvalidOperation:
            return None
        if not number.is_finite():
            return None
        fps, limits = self._entry.fps, self._entry.limits
        for name, count in lengths(limits.frames, fps).items():
            if number == Decimal(name) or number == Decimal(f"{count / fps:.2f}"):
                return count
        return None

    def fps(self) -> None:
        given = self.whole("fps")
        if given is not None and given != self._entry.fps:
            self.bad["fps"] = f"This model makes {self._entry.fps} frames a second, not {given}."

    def priority(self) -> int:
        given = self.whole("priority")
        if given is not None and not LOWEST_PRIORITY <= given <= 0:
            self.bad["priority"] = f"From {LOWEST_PRIORITY} (after all others) to 0, not {given}."
        return given or 0

    def whole(self, name: str) -> int | None:
        given = self._given(name)
        if given is None:
            return None
        if isinstance(given, int) and not isinstance(given, bool) and abs(given) < 10**18:
            return given
        if isinstance(given, float) and given.is_integer() and abs(given) < 10**18:
            return int(given)
        if isinstance(given, str) and _is_number(given.strip().removeprefix("-"), 18):
            return int(given)
        self.bad[name] = f"Give a whole number, not {_shown(given)}."
        return None

    def number(self, name: str) -> float | None:
        given = self._given(name)
        if given is None:
            return None
        numeric = isinstance(given, str | int | float) and not isinstance(given, bool)
        try:
            found = float(given) if numeric else math.nan
        except (ValueError, OverflowError):
            found = math.nan
        if not math.isfinite(found):
            self.bad[name] = f"Give a number, not {_shown(given)}."
            return None
        return found


def _is_number(text: str, most: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= most


def _is_text(text: str) -> bool:
    """Without halves of characters, which no database stores."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _shown(value: Any) -> str:
    """For a message: a file has no business there, and a long text neither."""
    text = str(value) if isinstance(value, str | int | float) else type(value).__name__
    safe = text.encode("utf-8", "replace").decode()
    return safe if len(safe) <= 60 else f"{safe[:60]}…"
