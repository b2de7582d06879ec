"""The models that this installation offers: what a page or the API may ask for."""

import random
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from jobs import catalog, models_switch, spec
from jobs.catalog import ModelEntry
from jobs.errors import BadSpec, ModelOff
from jobs.metrics import instruments
from jobs.spec import EXACT, MAX_SEED, RenderSpec


def known() -> dict[str, ModelEntry]:
    """Every model of the models file, on offer or not; a downloaded one's source is its folder."""
    return _placed(Path(settings.T2V_MODELS_FILE), Path(settings.T2V_MODELS_DIR))


@cache
def _placed(file: Path, folder: Path) -> dict[str, ModelEntry]:
    return {
        name: entry if entry.source else replace(entry, source=str((folder / name).absolute()))
        for name, entry in catalog.load(file).items()
    }


def configured() -> dict[str, ModelEntry]:
    """What this site has on offer by its files and settings, by name and in their order.

    Raises ImproperlyConfigured when T2V_MODELS names a model that the models file has not.
    """
    entries = known()
    if not settings.T2V_MODELS:
        return {name: entry for name, entry in entries.items() if entry.offered}
    if missing := [name for name in settings.T2V_MODELS if name not in entries]:
        raise ImproperlyConfigured(
            f"T2V_MODELS names {', '.join(missing)}; the models file has {', '.join(entries)}."
        )
    return {name: entries[name] for name in settings.T2V_MODELS}


def models() -> dict[str, ModelEntry]:
    """What one may ask for now: configured, less what operators switched off or narrowed.

    The first is the default.
    """
    return models_switch.on_offer(configured())


def find(name: str, *, among: Mapping[str, ModelEntry] | None = None) -> ModelEntry:
    """Raises BadSpec when the model is not among those given, or those on offer.

    ModelOff, which is a BadSpec, for one that operators have switched off.
    """
    offered = models() if among is None else among
    if name not in offered:
        if among is None:
            refuse_off(name)
        raise BadSpec({"model": f"There is no model {name!r}; choose {', '.join(offered)}."})
    return offered[name]


def refuse_off(name: str) -> None:
    """Raises ModelOff for one that operators have switched off."""
    offered = models()
    if name in configured() and name not in offered:
        note = models_switch.switches()[name].note
        instruments.refused(ModelOff.code)
        raise ModelOff(name, note=note, others=", ".join(offered))


def make_spec(
    *,
    model: str | None,
    prompt: str,
    size: tuple[int, int] | None,
    frames: int | None,
    steps: int | None,
    guidance: float | None,
    seed: int | None,
    quality: str | None = None,
    among: Mapping[str, ModelEntry] | None = None,
) -> RenderSpec:
    """A checked spec; what is None comes from the model, a seed is drawn. Raises BadSpec.

    among are the models to choose from; those on offer when it is None.
    """
    entry = find(model or next(iter(models() if among is None else configured())), among=among)
    usual = entry.defaults
    width, height = size or (usual.width, usual.height)
    asked = RenderSpec(
        model=entry.name,
        prompt=prompt.strip(),
        width=width,
        height=height,
        frames=usual.frames if frames is None else frames,
        fps=entry.fps,
        steps=usual.steps if steps is None else steps,
        guidance=usual.guidance if guidance is None else guidance,
        seed=random.randint(0, MAX_SEED) if seed is None else seed,
        quality=EXACT if quality is None else quality,
    )
    return spec.check(asked, entry.limits)


def quality_title(model: str, quality: str) -> str:
    """For people; the bare name where the model, or its quality, is no longer on offer."""
    entry = configured().get(model)
    titles = {each.name: each.title for each in entry.qualities} if entry else {}
    return titles.get(quality, quality)
