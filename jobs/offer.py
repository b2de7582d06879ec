"""The models that this installation offers: what a page or the API may ask for."""

import random
from pathlib import Path

from django.conf import settings

from jobs import catalog, spec
from jobs.catalog import ModelEntry
from jobs.errors import BadSpec
from jobs.spec import MAX_SEED, RenderSpec


def models() -> dict[str, ModelEntry]:
    """By name, in the order of the models file; the first is the default."""
    return catalog.load(Path(settings.T2V_MODELS_FILE))


def find(name: str) -> ModelEntry:
    """Raises BadSpec when this installation does not offer the model."""
    offered = models()
    if name not in offered:
        raise BadSpec({"model": f"There is no model {name!r}; choose {', '.join(offered)}."})
    return offered[name]


def make_spec(
    *,
    model: str | None,
    prompt: str,
    size: tuple[int, int] | None,
    frames: int | None,
    steps: int | None,
    guidance: float | None,
    seed: int | None,
) -> RenderSpec:
    """A checked spec; what is None comes from the model, a seed is drawn. Raises BadSpec."""
    entry = find(model or next(iter(models())))
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
    )
    return spec.check(asked, entry.limits)
