"""What Mochi renders in: the state between two steps, its shape, and what it cannot be."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gpu_worker.engine import RenderError
from gpu_worker.schedule import sigma_schedule
from jobs.spec import MAX_SEED, RenderSpec

LATENT_SIDE = 8  # pixels a latent stands for, in each direction
LATENT_FRAMES = 6  # frames a latent stands for; the first one stands for one frame
PATCH_SIDE = 2  # latents the transformer reads as one token, in each direction
# Steps from one clean start of a step cache to the next. Each costs one full step; a render can go
# on exactly from there and nowhere else.
BARRIER_STEPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class MochiState:
    """A render between two steps. The step index is the scheduler's only state."""

    spec: RenderSpec
    step: int
    latents: Tensor  # (1, 12, T, H/8, W/8) fp32, VAE-normalised
    clean: Tensor | None  # the same shape: the final latents as the last step expected them
    embeds: Tensor  # (2, L, D), of the empty prompt and the prompt; (1, L, D) without guidance
    mask: Tensor  # (2 or 1, L) bool, True where there is a token
    lengths: tuple[int, ...]  # tokens of each row of mask, known on the host
    sigmas: Tensor  # (steps + 1,) fp32, the share of data, 0 to 1
    timesteps: Tensor  # (steps,) fp32, what the transformer is told, 0 to 1000
    # With a step cache: the latents at the last barrier, from which its contents can be made again.
    anchor: Tensor | None = None

    @property
    def steps(self) -> int:
        return self.spec.steps

    @property
    def resumable(self) -> bool:
        return self.anchor is None or is_barrier(self.step) or self.step == self.steps


def is_barrier(step: int) -> bool:
    """Whether a step cache starts anew before this step: of the index alone, in every run."""
    return step % BARRIER_STEPS == 0


def check_spec(spec: RenderSpec) -> None:
    """Raises a permanent RenderError for what Mochi cannot make. Touches no tensor.

    The stock pipeline floors frames (84 gives 79), lets 72 pixels fail inside the transformer,
    divides by zero at one step, and takes a guidance that is no number.
    """
    side = LATENT_SIDE * PATCH_SIDE
    if not spec.prompt.strip():
        raise RenderError("bad_prompt", "The prompt is empty.", permanent=True)
    sized = min(spec.width, spec.height) >= side and spec.frames >= 1
    if not sized or spec.width % side or spec.height % side or (spec.frames - 1) % LATENT_FRAMES:
        raise RenderError(
            "bad_size",
            f"Mochi makes sizes in multiples of {side} pixels and clips of "
            f"{LATENT_FRAMES}k + 1 frames.",
            permanent=True,
        )
    if not math.isfinite(spec.guidance):
        raise RenderError("bad_guidance", "The guidance is not a number.", permanent=True)
    if not 0 <= spec.seed <= MAX_SEED:
        raise RenderError("bad_seed", f"Seeds go from 0 to {MAX_SEED}.", permanent=True)
    sigma_schedule(spec.steps)


def latent_shape(spec: RenderSpec, channels: int) -> tuple[int, int, int, int, int]:
    """(1, channels, T, H/8, W/8)."""
    return (
        1,
        channels,
        (spec.frames - 1) // LATENT_FRAMES + 1,
        spec.height // LATENT_SIDE,
        spec.width // LATENT_SIDE,
    )


def draw_noise(spec: RenderSpec, channels: int) -> Tensor:
    """Of latent_shape, fp32, drawn on the CPU: a seed means the same everywhere."""
    shape = latent_shape(spec, channels)
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(spec.seed))
