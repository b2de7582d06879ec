"""Models that operators have switched off or narrowed: read by jobs/offer.py, written here alone.

Each process reads the table once in KEPT_SECONDS and keeps it, so that no request pays for it; a
switch is heard everywhere that much later. It concerns what is asked for from then on: a job that
was accepted before is rendered, and so is an operator's retry of one.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.models import User
from jobs.catalog import ModelEntry
from jobs.errors import BadFields
from jobs.models import ModelSwitch
from jobs.spec import Limits

KEPT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    on: bool = True
    max_frames: int | None = None
    max_steps: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    switches: Mapping[str, Switch]
    until: float  # of time.monotonic


_seen: Seen | None = None


def switches() -> Mapping[str, Switch]:
    """By model; at most KEPT_SECONDS old."""
    global _seen  # noqa: PLW0603 - one for each process
    seen = _seen
    if seen is None or time.monotonic() >= seen.until:
        columns = ("name", "on", "max_frames", "max_steps", "note")
        rows = ModelSwitch.objects.values(*columns)
        found = {row.pop("name"): Switch(**row) for row in rows}
        seen = _seen = Seen(found, time.monotonic() + KEPT_SECONDS)
    return seen.switches


def forget() -> None:
    """The next look reads the table."""
    global _seen  # noqa: PLW0603
    _seen = None


def on_offer(entries: Mapping[str, ModelEntry]) -> dict[str, ModelEntry]:
    """Those that are on, narrowed, in their order.

    All of them where none is on: switch refuses that, and only another models file or T2V_MODELS
    can bring it about, after which a site with no model at all would answer nobody.
    """
    found = switches()
    left = {
        name: narrowed(entry, found[name]) if name in found else entry
        for name, entry in entries.items()
        if name not in found or found[name].on
    }
    return left or dict(entries)


def narrowed(entry: ModelEntry, switch: Switch) -> ModelEntry:
    """Never so far that nothing is left: the shortest clip and the fewest steps always are."""
    limits = _limits(entry.limits, switch)
    usual = entry.defaults
    frames = max((each for each in limits.frames if each <= usual.frames), default=limits.frames[0])
    usual = replace(usual, frames=frames, steps=min(usual.steps, limits.max_steps))
    return replace(entry, limits=limits, defaults=usual)


def _limits(limits: Limits, switch: Switch) -> Limits:
    frames, steps = limits.frames, limits.max_steps
    if switch.max_frames is not None:
        frames = tuple(each for each in frames if each <= switch.max_frames) or (min(frames),)
    if switch.max_steps is not None:
        steps = max(limits.min_steps, min(steps, switch.max_steps))
    return replace(limits, frames=frames, max_steps=steps)


@transaction.atomic
def _write(name: str, switch: Switch, *, by: User, reason: str) -> None:
    ModelSwitch.objects.update_or_create(
        name=name,
        defaults={
            "on": switch.on,
            "max_frames": switch.max_frames,
            "max_steps": switch.max_steps,
            "note": switch.note,
            "changed_at": Now(),
            "changed_by": by,
        },
    )
    audit.record(
        "model.switched",
        actor=by,
        subject=name,
        on=switch.on,
        max_frames=switch.max_frames or 0,
        max_steps=switch.max_steps or 0,
        reason=reason,
    )


def switch(
    name: str, switch: Switch, *, among: Mapping[str, ModelEntry], by: User, reason: str
) -> None:
    """Sets all of it, for one of those that the site has. Raises BadFields."""
    entry = among[name]
    bad = dict[str, str]()
    found = ModelSwitch.objects.filter(name__in=among, on=False).values_list("name", flat=True)
    if not switch.on and not set(among) - {name, *found}:
        bad["on"] = "It is the last one that is on; to stop everything, drain the workers."
    least = min(entry.limits.frames)
    if switch.max_frames is not None and switch.max_frames < least:
        bad["max_frames"] = f"At least {least}: the shortest clip that it makes."
    if switch.max_steps is not None and switch.max_steps < entry.limits.min_steps:
        bad["max_steps"] = f"At least {entry.limits.min_steps}: the fewest that it takes."
    if bad:
        raise BadFields(bad)
    _write(name, switch, by=by, reason=reason)
    forget()
