"""What to render, and what a model accepts. Pure: no I/O, no framework."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jobs.errors import BadSpec

EXACT = "exact"  # the quality that leaves nothing out; every model has it
MAX_SEED = 2**32 - 1  # fits every generator and survives JavaScript's number type


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one model accepts. Sizes are (width, height) in pixels, lengths in frames."""

    sizes: tuple[tuple[int, int], ...]
    frames: tuple[int, ...]  # Mochi makes 6k + 1 frames and floors anything else
    min_steps: int
    max_steps: int
    min_guidance: float
    max_guidance: float
    max_prompt_chars: int
    qualities: tuple[str, ...] = (EXACT,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderSpec:
    """One render, complete: the same spec on the same kind of machine gives the same video."""

    model: str
    prompt: str
    width: int  # pixels
    height: int  # pixels
    frames: int
    fps: int  # frames a second of the file
    steps: int  # denoising steps
    guidance: float  # classifier-free guidance scale
    seed: int  # 0 to MAX_SEED, drawn before submit when the user left it blank
    quality: str = EXACT  # or the name of a fast one that the model offers

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RenderSpec":
        """Also of a spec that was stored before there were qualities: it was an exact one."""
        return cls(**values)

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal: equal specs have equal digests.

        "exact" is left out of it, so that the digests in rows and videos from before there were
        qualities stay those of the same recipe.
        """
        values = self.as_dict()
        if self.quality == EXACT:
            del values["quality"]
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def check(spec: RenderSpec, limits: Limits) -> RenderSpec:
    """The spec itself. Raises BadSpec naming every field outside the limits."""
    bad: dict[str, str] = {}
    if not spec.prompt.strip():
        bad["prompt"] = "Say what the video should show."
    elif len(spec.prompt) > limits.max_prompt_chars:
        bad["prompt"] = (
            f"At most {limits.max_prompt_chars} characters; this prompt has {len(spec.prompt)}."
        )
    elif "\x00" in spec.prompt:
        bad["prompt"] = "The prompt holds a NUL character; remove it."
    if (spec.width, spec.height) not in limits.sizes:
        accepted = ", ".join(f"{width}×{height}" for width, height in limits.sizes)
        bad["size"] = f"This model makes {accepted} pixels, not {spec.width}×{spec.height}."
    if spec.frames not in limits.frames:
        accepted = ", ".join(str(count) for count in limits.frames)
        bad["frames"] = f"This model makes clips of {accepted} frames, not {spec.frames}."
    if not limits.min_steps <= spec.steps <= limits.max_steps:
        bad["steps"] = f"From {limits.min_steps} to {limits.max_steps} steps, not {spec.steps}."
    in_range = limits.min_guidance <= spec.guidance <= limits.max_guidance
    if not math.isfinite(spec.guidance) or not in_range:
        bad["guidance"] = (
            f"From {limits.min_guidance:g} to {limits.max_guidance:g}, not {spec.guidance:g}."
        )
    if not 0 <= spec.seed <= MAX_SEED:
        bad["seed"] = f"From 0 to {MAX_SEED}, or blank to have one drawn."
    if spec.quality not in limits.qualities:
        accepted = ", ".join(limits.qualities)
        bad["quality"] = f"This model offers {accepted}, not {spec.quality!r}."
    if bad:
        raise BadSpec(bad)
    return spec
