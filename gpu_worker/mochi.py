"""Mochi, step by step: the stock modules of MochiPipeline over one explicit state.

The arithmetic is that of diffusers 0.42.1, pipelines/mochi/pipeline_mochi.py, `__call__`, with two
differences: the latents stay in fp32 whatever the weights are (in bf16, 83 % of the updates of the
schedule's first half round to nothing), and the noise is drawn on the CPU, so that a seed means the
same clip on every machine. With fp32 weights the two are equal bit for bit (tests/test_mochi.py).
"""

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import diffusers
import numpy as np
import torch
import transformers

# From their own modules: the packages' roots would import every pipeline's dependencies as well.
from diffusers.models.autoencoders.autoencoder_kl_mochi import AutoencoderKLMochi
from diffusers.models.transformers.transformer_mochi import MochiRoPE, MochiTransformer3DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from torch import Tensor
from transformers.models.t5.modeling_t5 import T5EncoderModel
from transformers.tokenization_utils_tokenizers import PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from gpu_worker import preview
from gpu_worker.engine import RenderError, Sprite
from jobs.catalog import ModelEntry
from jobs.spec import RenderSpec

THRESHOLD_NOISE = 0.025  # pipeline_mochi.py: how far the schedule's linear half goes
LATENT_SIDE = 8  # pixels a latent stands for, in each direction
LATENT_FRAMES = 6  # frames a latent stands for; the first one stands for one frame
PATCH_SIDE = 2  # latents the transformer reads as one token, in each direction
PREVIEW_FRAMES = 8
# A preview's own guidance scale amid pure noise; it rises to the render's with the share of data.
# Full guidance overshoots there: after step 12 of 24 such a preview is 14 to 31 levels away from
# the final clip, this one 6 to 14 (four prompts, mean absolute difference).
CALM_GUIDANCE = 1.5

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class MochiState:
    """A render between two steps. The step index is the scheduler's only state."""

    spec: RenderSpec
    step: int
    latents: Tensor  # (1, 12, T, H/8, W/8) fp32, VAE-normalised
    clean: Tensor | None  # the same shape: the final latents as the last step expected them
    embeds: Tensor  # (2, L, D), of the empty prompt and the prompt; (1, L, D) without guidance
    mask: Tensor  # (2 or 1, L) bool, True where there is a token
    sigmas: Tensor  # (steps + 1,) fp32, the share of data, 0 to 1
    timesteps: Tensor  # (steps,) fp32, what the transformer is told, 0 to 1000

    @property
    def steps(self) -> int:
        return self.spec.steps


def sigma_schedule(steps: int) -> list[float]:
    """Noise levels from 1.0 down: steps values, the final 0.0 not among them.

    The first half falls linearly by THRESHOLD_NOISE in all, the rest quadratically.
    Raises RenderError when steps < 2: the linear half would have no step.
    Source: diffusers 0.42.1, pipeline_mochi.py, linear_quadratic_schedule.
    """
    if steps < 2:
        raise RenderError("bad_steps", "Mochi needs at least 2 steps.", permanent=True)
    linear_steps = steps // 2
    quadratic_steps = steps - linear_steps
    gap = linear_steps - THRESHOLD_NOISE * steps
    quadratic = gap / (linear_steps * quadratic_steps**2)
    linear = THRESHOLD_NOISE / linear_steps - 2 * gap / (quadratic_steps**2)
    constant = quadratic * (linear_steps**2)
    falls = [index * THRESHOLD_NOISE / linear_steps for index in range(linear_steps)]
    falls += [
        quadratic * (index**2) + linear * index + constant for index in range(linear_steps, steps)
    ]
    return [1.0 - fall for fall in falls]


def state_tensors(state: MochiState) -> dict[str, Tensor]:
    """All of a state but its spec and step, ready for safetensors."""
    tensors = {
        "latents": state.latents,
        "embeds": state.embeds,
        "mask": state.mask,
        "sigmas": state.sigmas,
        "timesteps": state.timesteps,
    }
    return tensors if state.clean is None else tensors | {"clean": state.clean}


def from_tensors(spec: RenderSpec, tensors: Mapping[str, Tensor], step: int) -> MochiState:
    """The inverse of state_tensors, on whatever device the tensors are."""
    return MochiState(
        spec=spec,
        step=step,
        latents=tensors["latents"],
        clean=tensors.get("clean"),
        embeds=tensors["embeds"],
        mask=tensors["mask"],
        sigmas=tensors["sigmas"],
        timesteps=tensors["timesteps"],
    )


def load(entry: ModelEntry, folder: Path, *, threads: int) -> "Mochi":
    """The model of a folder that registry.check_folder found in order. Raises RenderError."""
    torch.set_num_threads(threads)
    # Bars belong in a terminal, and these two draw them into the worker's log.
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        return Mochi(entry, folder)
    except (OSError, ValueError, KeyError) as error:
        raise RenderError(
            "model_unreadable",
            f"The files of the model {entry.name} cannot be read ({type(error).__name__}).",
            permanent=False,
        ) from error


def _out_of_memory_is_said(function: Callable[P, R]) -> Callable[P, R]:
    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise RenderError(
                "out_of_memory",
                "The GPU ran out of memory; fewer frames or a smaller size need less.",
                permanent=False,
            ) from error

    return wrapped


class _Rope(MochiRoPE):  # type: ignore[misc]  # diffusers has no types
    """The stock rotary angles, without the autocast to fp32 that torch warns about on a CPU."""

    def _create_rope(self, freqs: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        angles = torch.einsum("nd,dhf->nhf", pos.float(), freqs.float())
        return torch.cos(angles), torch.sin(angles)


class Mochi:
    """Four functions over MochiState (gpu_worker/engine.py). One at a time: not for two threads."""

    def __init__(self, entry: ModelEntry, folder: Path) -> None:
        self._entry = entry
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[entry.dtype]
        self._tokenizer = PreTrainedTokenizerFast.from_pretrained(
            folder / "tokenizer", local_files_only=True
        )
        self._scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(
            folder / "scheduler", local_files_only=True
        )
        if self._scheduler.config.stochastic_sampling or not self._scheduler.config.invert_sigmas:
            raise ValueError(
                "a Mochi scheduler runs from noise at 0 to data at 1 without new noise"
            )
        self._text_encoder = self._part(T5EncoderModel, folder / "text_encoder")
        self._transformer = self._part(
            MochiTransformer3DModel, folder / "transformer", low_cpu_mem_usage=False
        )
        self._transformer.rope = _Rope()
        self._vae = self._part(AutoencoderKLMochi, folder / "vae", low_cpu_mem_usage=False)

    def _part(self, kind: Any, folder: Path, **options: Any) -> Any:
        part = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=self._dtype, **options
        )
        return part.to(self._device).eval().requires_grad_(False)

    def fingerprint(self) -> dict[str, str]:
        on_gpu = self._device.type == "cuda"
        capability = torch.backends.cpu.get_cpu_capability()
        return {
            "model": self._entry.name,
            "weights": self._entry.digest,
            "device": (
                torch.cuda.get_device_name(self._device)
                if on_gpu
                else f"CPU {platform.machine()} {capability}"
            ),
            "dtype": self._entry.dtype,
            "threads": str(torch.get_num_threads()),
            "attention": "torch scaled_dot_product_attention",
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "transformers": transformers.__version__,
        }

    @_out_of_memory_is_said
    @torch.no_grad()
    def begin(self, spec: RenderSpec) -> MochiState:
        side = LATENT_SIDE * PATCH_SIDE
        if spec.width % side or spec.height % side or (spec.frames - 1) % LATENT_FRAMES:
            raise RenderError(
                "bad_size",
                f"Mochi makes sizes in multiples of {side} pixels and clips of "
                f"{LATENT_FRAMES}k + 1 frames.",
                permanent=True,
            )
        self._scheduler.set_timesteps(
            device=self._device, sigmas=np.array(sigma_schedule(spec.steps))
        )
        shape = (
            1,
            self._transformer.config.in_channels,
            (spec.frames - 1) // LATENT_FRAMES + 1,
            spec.height // LATENT_SIDE,
            spec.width // LATENT_SIDE,
        )
        noise = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(spec.seed))
        prompts = ["", spec.prompt] if spec.guidance > 1.0 else [spec.prompt]
        embeds, mask = zip(*(self._read(prompt) for prompt in prompts), strict=True)
        return MochiState(
            spec=spec,
            step=0,
            latents=noise.to(self._device),
            clean=None,
            embeds=torch.cat(embeds),
            mask=torch.cat(mask),
            sigmas=self._scheduler.sigmas.clone(),
            timesteps=self._scheduler.timesteps.clone(),
        )

    def _read(self, prompt: str) -> tuple[Tensor, Tensor]:
        """(1, L, D) embeddings and (1, L) mask. What exceeds L tokens is not read.

        One prompt at a time, as the pipeline does it: a batch rounds otherwise.
        """
        tokens = self._tokenizer(
            [prompt],
            padding="max_length",
            max_length=self._entry.max_sequence_length,
            truncation=True,
            return_tensors="pt",
        ).to(self._device)
        mask = tokens.attention_mask.bool()
        return self._text_encoder(tokens.input_ids, attention_mask=mask)[0].to(self._dtype), mask

    @_out_of_memory_is_said
    @torch.no_grad()
    def step(self, state: MochiState) -> MochiState:
        batch = len(state.embeds)
        velocity = self._transformer(
            hidden_states=torch.cat([state.latents.to(self._dtype)] * batch),
            encoder_hidden_states=state.embeds,
            timestep=state.timesteps[state.step].expand(batch),
            encoder_attention_mask=state.mask,
            return_dict=False,
        )[0].float()  # (2 or 1, 12, T, H/8, W/8)
        sigma = state.sigmas[state.step]
        expected = velocity
        if batch == 2:
            without, along = velocity.chunk(2)
            guidance = state.spec.guidance
            velocity = without + guidance * (along - without)
            calm = min(guidance, CALM_GUIDANCE)
            expected = without + (calm + (guidance - calm) * sigma) * (along - without)
        return replace(
            state,
            step=state.step + 1,
            latents=state.latents + (state.sigmas[state.step + 1] - sigma) * velocity,
            clean=state.latents + (1.0 - sigma) * expected,
        )

    @_out_of_memory_is_said
    def preview(self, state: MochiState) -> Sprite:
        """The clip that the last step expected, truly decoded; at both ends the latents."""
        ended = state.step == state.steps
        pixels = self._pixels(state.latents if state.clean is None or ended else state.clean)
        return preview.make_sprite([pixels[i] for i in preview.pick(len(pixels), PREVIEW_FRAMES)])

    def decode(self, state: MochiState) -> Iterator[NDArray[np.uint8]]:
        if not bool(torch.isfinite(state.latents).all()):
            raise RenderError(
                "not_finite", "The render ended in numbers that are not finite.", permanent=False
            )
        yield from _out_of_memory_is_said(self._pixels)(state.latents)

    @torch.no_grad()
    def _pixels(self, latents: Tensor) -> NDArray[np.uint8]:
        """(T, H, W, 3) of (1, 12, T', H/8, W/8). Untiled: tiles cost 1.65 times the arithmetic."""
        config = self._vae.config
        mean, std = (
            torch.tensor(values, device=latents.device).view(1, -1, 1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        latents = latents * std / config.scaling_factor + mean
        video = self._vae.decode(latents.to(self._dtype), return_dict=False)[0][0].float()
        levels = (video * 0.5 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
        pixels: NDArray[np.uint8] = levels.permute(1, 2, 3, 0).contiguous().cpu().numpy()
        return pixels
