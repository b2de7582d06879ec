"""Step caches: what a "fast" quality leaves out, by diffusers' own hooks.

diffusers 0.42.1, hooks/. Its caches keep what they saw in the transformer's blocks, so that one
render's leftovers would change the next one's clip. Here they start anew at fixed steps, belong to
one state at a time, and are made again from the last such step when another render came between.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from diffusers.hooks.faster_cache import FasterCacheConfig
from diffusers.hooks.first_block_cache import FirstBlockCacheConfig
from diffusers.hooks.hooks import CacheContext
from diffusers.hooks.mag_cache import (
    _MAG_CACHE_LEADER_BLOCK_HOOK,
    MagCacheConfig,
)
from diffusers.hooks.pyramid_attention_broadcast import PyramidAttentionBroadcastConfig
from torch import Tensor

from gpu_worker.engine import RenderError
from gpu_worker.latents import is_barrier
from gpu_worker.schedule import sigma_schedule
from jobs.qualities import EXACT, Quality

CONTEXT = "cond_uncond"  # both rows in one forward, as the pipeline names it
OUTSIDE = float("inf")  # a timestep in nobody's range

# diffusers' ranges are for schedules that fall evenly. Mochi's spends its first half between 1000
# and 975, where neighbouring steps differ least: the ranges reach up to there.
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "first_block": {"threshold": 0.05},
    "faster": {
        "spatial_attention_timestep_skip_range": (-1, 990),
        "unconditional_batch_timestep_skip_range": (-1, 990),
        "unconditional_batch_skip_range": 5,
    },
    "pyramid": {
        "spatial_attention_block_skip_range": 2,
        "spatial_attention_timestep_skip_range": (100, 990),
    },
    "mag": {"threshold": 0.06, "max_skip_steps": 3, "retention_ratio": 0.2},
}


class StepCache:
    """The cache hooks of one transformer. For one thread."""

    def __init__(self, transformer: Any) -> None:
        self._transformer = transformer
        self._enabled: object = None  # what the hooks were made for
        self._quality: Quality | None = None
        self._follows: Tensor | None = None  # the latents that the contents are valid for
        self._timestep = OUTSIDE  # 1000 for noise to 0, as caches count it; Mochi counts up
        # Hooks replace the forward that a compiled block was traced from, and decide on the host.
        self._compiled = [block._compiled_call_impl for block in transformer.transformer_blocks]

    @contextmanager
    def forward(self, quality: Quality, step: int, steps: int, *, guided: bool) -> Iterator[None]:
        """Around one forward: the hooks that quality wants, and none for an exact one."""
        self._enable(quality, steps=steps, guided=guided)
        if quality.cache is None:
            yield
            return
        if is_barrier(step):
            self.reset(step)
        self._timestep = 1000 * sigma_schedule(steps)[step]
        if quality.cache == "faster" and not guided and is_barrier(step):
            # Without guidance the hook would skip before there is anything to reuse.
            self._timestep = OUTSIDE
        with self._transformer.cache_context(CONTEXT), warnings.catch_warnings():
            # FasterCache calls torch.meshgrid in its old form.
            warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)
            yield

    def follows(self, quality: Quality, latents: Tensor) -> bool:
        """Whether the contents are those of the step that made these very latents."""
        return self._quality == quality and self._follows is latents

    def belongs_to(self, latents: Tensor | None) -> None:
        """Notes the latents that the last forward led to; None: nobody's."""
        self._follows = latents

    def reset(self, step: int = 0) -> None:
        """Empties the cache; step is the one that comes next."""
        self._follows = None
        if self._enabled is None:
            return
        self._transformer._reset_stateful_cache()
        if self._quality is not None and self._quality.cache == "mag":
            # Its hook counts steps to find each one's ratio; a reset would send it back to 0.
            manager = _mag_states(self._transformer)
            manager.set_context(CacheContext(name=CONTEXT))
            manager.get_state().step_index = step
            manager.set_context(None)

    def _enable(self, quality: Quality, *, steps: int, guided: bool) -> None:
        wanted = None
        if quality.cache is not None:
            wanted = (quality, steps if quality.cache == "mag" else 0, guided)
        if wanted == self._enabled:
            return
        self._follows = None
        if self._enabled is not None:
            self._transformer._reset_stateful_cache()
            self._transformer.disable_cache()
            self._enabled = self._quality = None
            self._use_compiled(True)
        if wanted is not None:
            config = make_config(
                quality, steps=steps, guided=guided, timestep=lambda: self._timestep
            )
            self._use_compiled(False)
            self._transformer.enable_cache(config)
            self._enabled, self._quality = wanted, quality

    @contextmanager
    def calibration(self, steps: int) -> Iterator[list[float]]:
        """Around one whole exact render: fills the list with MagCache's ratios, one for each step.

        A ratio is the mean over tokens of |residual| by |residual one step before|.
        """
        ratios: list[float] = []
        self._enable(EXACT, steps=steps, guided=True)
        self._use_compiled(False)
        # One step more than there will be: at its last one the hook prints and forgets.
        self._transformer.enable_cache(
            MagCacheConfig(calibrate=True, num_inference_steps=steps + 1)
        )
        try:
            with self._transformer.cache_context(CONTEXT):
                yield ratios
                ratios.extend(_mag_states(self._transformer).get_state().calibration_ratios)
        finally:
            self._transformer._reset_stateful_cache()
            self._transformer.disable_cache()
            self._use_compiled(True)

    def _use_compiled(self, wanted: bool) -> None:
        blocks = zip(self._transformer.transformer_blocks, self._compiled, strict=True)
        for block, compiled in blocks:
            block._compiled_call_impl = compiled if wanted else None


def make_config(
    quality: Quality, *, steps: int, guided: bool, timestep: Callable[[], float]
) -> Any:
    """diffusers' configuration. Raises RenderError for a cache or an option it does not know."""
    name = quality.cache
    if name is None or name not in DEFAULTS:
        raise _unusable(f"its cache {name!r} is unknown")
    options: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) and key != "mag_ratios" else value
        for key, value in {**DEFAULTS[name], **quality.options}.items()
    }
    try:
        if name == "first_block":
            return FirstBlockCacheConfig(**options)
        if name == "mag":
            if not options.get("mag_ratios"):
                raise _unusable("its cache was not calibrated for this model")
            return MagCacheConfig(num_inference_steps=steps, **options)
        if name == "pyramid":
            return PyramidAttentionBroadcastConfig(current_timestep_callback=timestep, **options)
        weight = float(options.pop("attention_weight", 0.5))
        return FasterCacheConfig(
            current_timestep_callback=timestep,
            attention_weight_callback=lambda _module: weight,
            tensor_format="BCFHW",
            # Without guidance there is no second row to leave out.
            is_guidance_distilled=not guided,
            **options,
        )
    except TypeError as error:
        raise _unusable("it has an option that its cache does not know") from error


def check(quality: Quality, *, steps: int, guided: bool) -> None:
    """Raises RenderError for a quality that cannot be rendered."""
    if quality.cache is not None:
        make_config(quality, steps=steps, guided=guided, timestep=lambda: OUTSIDE)


def _unusable(why: str) -> RenderError:
    return RenderError("bad_quality", f"This quality cannot be rendered: {why}.", permanent=False)


def _mag_states(transformer: Any) -> Any:
    first = transformer.transformer_blocks[0]
    return first._diffusers_hook.get_hook(_MAG_CACHE_LEADER_BLOCK_HOOK).state_manager
