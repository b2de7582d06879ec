"""Mochi, step by step: the stock modules of MochiPipeline over one explicit state.

The arithmetic is that of diffusers 0.42.1, pipelines/mochi/pipeline_mochi.py, `__call__`, with two
differences: the latents stay in fp32 whatever the weights are (in bf16, 83 % of the updates of the
schedule's first half round to nothing), and the noise is drawn on the CPU, so that a seed means the
same clip on every machine. With fp32 weights the two are equal bit for bit, and in bf16 too where
the latents are bf16 (tests/test_mochi.py).
"""

import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from transformers.utils import logging as transformers_logging

from gpu_worker import attention, caches, device, pixels, preview
from gpu_worker.engine import RenderError, Sprite
from gpu_worker.glimpse import Glimpses
from gpu_worker.latents import (
    BARRIER_STEPS,
    MochiState,
    check_spec,
    draw_noise,
    is_barrier,
    latent_shape,
)
from gpu_worker.memory import Ladder
from gpu_worker.schedule import sigma_schedule
from gpu_worker.text import PromptReader
from jobs.catalog import ModelEntry
from jobs.qualities import EXACT, Quality
from jobs.spec import RenderSpec

PREVIEW_FRAMES = 8
# A preview's own guidance scale amid pure noise; it rises to the render's with the share of data.
# Full guidance overshoots there: after step 12 of 24 such a preview is 14 to 31 levels away from
# the final clip, this one 6 to 14 (four prompts, mean absolute difference).
CALM_GUIDANCE = 1.5


def load(
    entry: ModelEntry,
    folder: Path,
    *,
    threads: int,
    latents_dtype: torch.dtype = torch.float32,
) -> "Mochi":
    """The model of a folder that registry.check_folder found in order. Raises RenderError."""
    torch.set_num_threads(threads)
    # Timing the kernels anew after a restart could choose others, with other bits.
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # Bars belong in a terminal, and these two draw them into the worker's log.
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        return Mochi(entry, folder, latents_dtype=latents_dtype)
    except (OSError, ValueError, KeyError) as error:
        raise RenderError(
            "model_unreadable",
            f"The files of the model {entry.name} cannot be read ({type(error).__name__}).",
            permanent=False,
        ) from error


class Rope(MochiRoPE):  # type: ignore[misc]  # diffusers has no types
    """The stock rotary angles, without the autocast to fp32 that torch warns about on a CPU."""

    def _create_rope(self, freqs: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        angles = torch.einsum("nd,dhf->nhf", pos.float(), freqs.float())
        return torch.cos(angles), torch.sin(angles)


class Mochi:
    """Four functions over MochiState (gpu_worker/engine.py). One at a time: not for two threads."""

    def __init__(
        self, entry: ModelEntry, folder: Path, *, latents_dtype: torch.dtype = torch.float32
    ) -> None:
        """latents_dtype: another than fp32 only to compare with the stock pipeline's rounding."""
        self._entry = entry
        self.device = device.find()
        self._dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[entry.dtype]
        self._latents_dtype = latents_dtype
        self._scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(
            folder / "scheduler", local_files_only=True
        )
        if self._scheduler.config.stochastic_sampling or not self._scheduler.config.invert_sigmas:
            raise ValueError(
                "a Mochi scheduler runs from noise at 0 to data at 1 without new noise"
            )
        self._reader = PromptReader(
            folder,
            self._part(T5EncoderModel, folder / "text_encoder"),
            device=self.device,
            dtype=self._dtype,
            max_length=entry.max_sequence_length,
        )
        self._transformer = self._part(
            MochiTransformer3DModel, folder / "transformer", low_cpu_mem_usage=False
        )
        self._transformer.rope = Rope()
        self._attention = self._set_attention()
        if entry.compile:
            for block in self._transformer.transformer_blocks:
                block.compile()  # all share one graph, or two: the last block has no text
        self.vae = self._part(AutoencoderKLMochi, folder / "vae", low_cpu_mem_usage=False)
        self._glimpses = Glimpses(self.vae, entry.preview)
        self._cache = caches.StepCache(self._transformer)
        self._ladder = Ladder(
            {
                "VAE tiled": self.vae.enable_tiling,
                "text encoder on the CPU": self._reader.move_to_cpu,
            }
        )

    def _part(self, kind: Any, folder: Path, **options: Any) -> Any:
        part = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=self._dtype, **options
        )
        return part.to(self.device).eval().requires_grad_(False)

    def _set_attention(self) -> attention.Attention:
        config = self._transformer.config
        name = attention.choose(
            self._entry.attention,
            attention.preference(self.device),
            device=self.device,
            dtype=self._dtype,
            heads=config.num_attention_heads,
            dim=config.attention_head_dim,
        )
        processor = attention.Attention(name)
        if name != attention.STOCK:
            for block in self._transformer.transformer_blocks:
                block.attn1.processor = processor
        return processor

    @property
    def on_pressure(self) -> Callable[[], None] | None:
        """Called when memory runs out, to evict what else is on the device."""
        return self._ladder.on_pressure

    @on_pressure.setter
    def on_pressure(self, evict: Callable[[], None] | None) -> None:
        self._ladder.on_pressure = evict

    def fingerprint(self) -> dict[str, str]:
        on_gpu = self.device.type == "cuda"
        capability = torch.backends.cpu.get_cpu_capability()
        return {
            "model": self._entry.name,
            "weights": self._entry.digest,
            "device": (
                torch.cuda.get_device_name(self.device)
                if on_gpu
                else f"CPU {platform.machine()} {capability}"
            ),
            "dtype": self._entry.dtype,
            "latents": str(self._latents_dtype).removeprefix("torch."),
            "threads": str(torch.get_num_threads()),
            "attention": self._attention.name,
            "compiled": "blocks" if self._entry.compile else "nothing",
            "qualities": self._entry.qualities_digest,
            "memory": ", ".join(self._ladder.taken) or "nothing given up",
            "torch": torch.__version__,
            "cudnn": _cudnn() if on_gpu else "none",
            "diffusers": diffusers.__version__,
            "transformers": transformers.__version__,
        }

    def begin(self, spec: RenderSpec) -> MochiState:
        check_spec(spec)
        caches.check(self._quality(spec), steps=spec.steps, guided=spec.guidance > 1.0)
        self._relax()
        return self._ladder.run(lambda: self._begin(spec))

    @torch.no_grad()
    def _begin(self, spec: RenderSpec) -> MochiState:
        self._scheduler.set_timesteps(
            device=self.device, sigmas=np.array(sigma_schedule(spec.steps))
        )
        prompts = ["", spec.prompt] if spec.guidance > 1.0 else [spec.prompt]
        read = [self._reader.read(prompt) for prompt in prompts]
        noise = draw_noise(spec, self._transformer.config.in_channels)
        latents = noise.to(self.device, self._latents_dtype)
        return MochiState(
            spec=spec,
            step=0,
            latents=latents,
            clean=None,
            embeds=torch.cat([prompt.embeds for prompt in read]),
            mask=torch.cat([prompt.mask for prompt in read]),
            lengths=tuple(prompt.length for prompt in read),
            sigmas=self._scheduler.sigmas.clone(),
            timesteps=self._scheduler.timesteps.clone(),
            anchor=None if self._quality(spec).cache is None else latents,
        )

    def _quality(self, spec: RenderSpec) -> Quality:
        try:
            return self._entry.quality(spec.quality)
        except KeyError as error:
            raise RenderError(
                "bad_quality", f"This model has no quality {spec.quality!r}.", permanent=False
            ) from error

    def _relax(self) -> None:
        """Takes back what another render had to give up: it would change this one's bits."""
        self._ladder.taken.clear()
        self.vae.disable_tiling()
        self._reader.on_cpu = False
        self._cache.reset()

    def step(self, state: MochiState) -> MochiState:
        return self._ladder.run(lambda: self._settled(self._step(state)))

    def _settled(self, state: MochiState) -> MochiState:
        """The state once the device has computed it: then a step's time is its own, not the
        preview's that would have waited for it, and its errors come out here."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return state

    @torch.no_grad()
    def _step(self, state: MochiState) -> MochiState:
        quality = self._quality(state.spec)
        if quality.cache is None:
            return self._denoise(state, quality)
        at_barrier = is_barrier(state.step)
        if not at_barrier and not self._cache.follows(quality, state.latents):
            # Another render came between, or this step broke off: the steps since the barrier,
            # once more, leave in the cache what they left the first time.
            assert state.anchor is not None
            since = state.step % BARRIER_STEPS
            again = replace(state, step=state.step - since, latents=state.anchor)
            for _ in range(since):
                again = self._denoise(again, quality)
        self._cache.belongs_to(None)  # until this step is through
        after = self._denoise(state, quality)
        if at_barrier:
            after = replace(after, anchor=state.latents)
        if after.step == after.steps:
            self._cache.reset()  # decoding may need the memory
        else:
            self._cache.belongs_to(after.latents)
        return after

    def _denoise(self, state: MochiState, quality: Quality) -> MochiState:
        batch = len(state.embeds)
        self._attention.lengths = state.lengths
        with self._cache.forward(quality, state.step, state.steps, guided=batch == 2):
            velocity = self._transformer(
                hidden_states=torch.cat([state.latents.to(self._dtype)] * batch),
                encoder_hidden_states=state.embeds,
                timestep=state.timesteps[state.step].expand(batch).to(state.latents.dtype),
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
        latents = state.latents.float()
        moved = latents + (state.sigmas[state.step + 1] - sigma) * velocity
        return replace(
            state,
            step=state.step + 1,
            latents=moved.to(state.latents.dtype),
            clean=latents + (1.0 - sigma) * expected,
        )

    @torch.no_grad()
    def calibrate(self, spec: RenderSpec) -> list[float]:
        """MagCache's ratios of this model, one for each step, from one exact render of spec."""
        state = self.begin(spec)
        with self._cache.calibration(spec.steps) as ratios:
            while state.step < state.steps:
                state = self._denoise(state, EXACT)
        return ratios

    def expected(self, state: MochiState) -> Tensor:
        """The final latents as the last step expected them, fp32; at both ends the latents."""
        ended = state.step == state.steps
        return (state.latents if state.clean is None or ended else state.clean).float()

    def preview(self, state: MochiState, *, seconds: float = math.inf) -> Sprite:
        shown = self._ladder.run(
            lambda: self._glimpses.frames(
                self.expected(state), at_most=PREVIEW_FRAMES, seconds=seconds
            )
        )
        return preview.make_sprite(shown)

    def to_tensors(self, state: MochiState) -> dict[str, Tensor]:
        tensors = {
            "latents": state.latents,
            "embeds": state.embeds,
            "mask": state.mask,
            "sigmas": state.sigmas,
            "timesteps": state.timesteps,
        }
        return tensors if state.clean is None else tensors | {"clean": state.clean}

    def from_tensors(
        self, spec: RenderSpec, tensors: Mapping[str, Tensor], step: int
    ) -> MochiState:
        """Raises RenderError "bad_checkpoint" where the tensors are not this spec's."""
        self._relax()
        try:
            moved = {name: tensor.to(self.device) for name, tensor in tensors.items()}
            lengths = tuple(int(length) for length in moved["mask"].sum(dim=1))
            cached = self._quality(spec).cache is not None
            anchor = moved["latents"] if cached else None
            values: dict[str, Any] = {"clean": None} | moved
            state = MochiState(spec=spec, step=step, lengths=lengths, anchor=anchor, **values)
        except (TypeError, KeyError) as error:
            raise _bad_checkpoint() from error
        shape = latent_shape(spec, self._transformer.config.in_channels)
        sound = state.latents.shape == shape and len(state.sigmas) == spec.steps + 1
        if not sound or not 0 <= step <= spec.steps or not state.resumable:
            raise _bad_checkpoint()
        return state

    def decode(self, state: MochiState) -> Iterator[NDArray[np.uint8]]:
        if not bool(torch.isfinite(state.latents).all()):
            raise RenderError(
                "not_finite", "The render ended in numbers that are not finite.", permanent=False
            )
        latents, began = state.latents.float(), time.perf_counter()
        chunks = self._ladder.run(lambda: pixels.send(pixels.decode(self.vae, latents)))
        for index, chunk in enumerate(chunks):
            frames = self._ladder.run(chunk.wait)
            if index == 0:  # on its way only after the whole decode
                self._glimpses.learn(latents, time.perf_counter() - began)
            yield from frames


def _cudnn() -> str:
    return str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]


def _bad_checkpoint() -> RenderError:
    return RenderError(
        "bad_checkpoint", "The saved render is not one of this model's.", permanent=False
    )
