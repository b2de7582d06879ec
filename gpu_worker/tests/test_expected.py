"""What a preview shows is x0 = x + (1 - s)·v, by hand from what the transformer said."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from gpu_worker.latents import MochiState
from gpu_worker.mochi import Mochi
from gpu_worker.schedule import sigma_schedule
from jobs.spec import RenderSpec


@contextmanager
def overheard(model: Mochi) -> Iterator[list[Tensor]]:
    """Every velocity that the transformer says, (2 or 1, 12, T, h, w)."""
    said: list[Tensor] = []

    def hear(module: Any, inputs: Any, output: tuple[Tensor]) -> None:
        said.append(output[0].clone())

    hook = model._transformer.register_forward_hook(hear)
    try:
        yield said
    finally:
        hook.remove()


def by_hand(before: MochiState, velocity: Tensor) -> Tensor:
    """The final latents if the last velocity stayed, calmly guided: docs/reference/rendering.md."""
    spec = before.spec
    share = 1 - sigma_schedule(spec.steps)[before.step]  # of data
    if spec.guidance <= 1:
        return before.latents + (1 - share) * velocity
    calm = 1.5 + (spec.guidance - 1.5) * share if spec.guidance > 1.5 else spec.guidance
    return before.latents + (1 - share) * (velocity[:1] + calm * (velocity[1:] - velocity[:1]))


@pytest.mark.parametrize(
    ("quality", "guidance"),
    [
        ("exact", 4.5),
        ("exact", 1.2),
        ("exact", 1.0),
        ("fast", 4.5),
        ("fast", 1.0),
        ("fast-faster", 4.5),
        ("fast-pyramid", 4.5),
    ],
)
def test_a_preview_shows_what_the_last_velocity_leads_to(
    quality: str, guidance: float, nano: Mochi, spec: RenderSpec
) -> None:
    spec = replace(spec, quality=quality, guidance=guidance, steps=12)
    state = nano.begin(spec)
    with overheard(nano) as said:
        while state.step < state.steps:
            before, state = state, nano.step(state)
            if state.step == state.steps:
                break
            wanted = by_hand(before, said[-1])
            assert torch.allclose(nano.expected(state), wanted, atol=1e-4)
            if state.step == 3:
                shown = nano.preview(state)
                assert shown == nano.preview(replace(state, step=state.steps, latents=wanted))
                assert shown != nano.preview(replace(state, step=state.steps))
    assert len(said) == spec.steps
    assert torch.equal(nano.expected(state), state.latents), "nothing is left to expect"


@pytest.mark.parametrize("quality", ["exact", "fast"])
def test_a_resumed_render_expects_what_the_undisturbed_one_does(
    quality: str, nano: Mochi, spec: RenderSpec
) -> None:
    spec = replace(spec, quality=quality, steps=12)
    state = nano.begin(spec)
    while state.step < 8:
        state = nano.step(state)
    tensors = load(save(nano.to_tensors(state)))
    after = nano.step(state)
    resumed = nano.from_tensors(spec, tensors, 8)
    assert torch.equal(nano.expected(resumed), nano.expected(state))
    assert torch.equal(nano.expected(nano.step(resumed)), nano.expected(after))


def test_before_the_first_step_there_is_only_the_noise(nano: Mochi, spec: RenderSpec) -> None:
    state = nano.begin(spec)
    assert torch.equal(nano.expected(state), state.latents)
