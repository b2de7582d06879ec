"""A step cache makes a render shorter, stays its own render's, and can be resumed exactly."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gpu_worker import registry
from gpu_worker.engine import RenderError
from gpu_worker.latents import BARRIER_STEPS, MochiState
from gpu_worker.mochi import Mochi
from gpu_worker.tests.conftest import ROOT
from jobs.catalog import ModelEntry
from jobs.qualities import EXACT, Quality
from jobs.spec import RenderSpec

Alone = Callable[[RenderSpec], torch.Tensor]
NAMES = ("first_block", "faster", "pyramid", "mag")


@pytest.fixture(scope="module")
def ratios(nano: Mochi) -> list[float]:
    spec = RenderSpec(
        model="nano",
        prompt="a red circle moving right",
        width=64,
        height=64,
        frames=7,
        fps=12,
        steps=20,
        guidance=4.5,
        seed=1,
    )
    found = nano.calibrate(spec)
    assert len(found) == spec.steps
    return found


def _qualities(ratios: list[float]) -> tuple[Quality, ...]:
    options: dict[str, dict[str, Any]] = {
        "first_block": {"threshold": 0.2},
        "mag": {"mag_ratios": ratios, "threshold": 0.2},
    }
    return (
        EXACT,
        *(
            Quality(name=name, title=name, cache=name, options=options.get(name, {}))
            for name in NAMES
        ),
    )


@pytest.fixture(scope="module")
def fast(entry: ModelEntry, ratios: list[float]) -> Mochi:
    model = registry.load_model(replace(entry, qualities=_qualities(ratios)), ROOT)
    assert isinstance(model, Mochi)
    return model


@pytest.fixture
def long(spec: RenderSpec) -> RenderSpec:
    """Two barriers on its way, and a step after the last one."""
    return replace(spec, frames=7, steps=17)


@pytest.fixture(scope="module")
def alone(fast: Mochi) -> Alone:
    """The final latents of a render by a model that has just begun it; each made once."""
    made: dict[str, torch.Tensor] = {}

    def latents(spec: RenderSpec) -> torch.Tensor:
        if spec.digest() not in made:
            made[spec.digest()] = render(fast, spec).latents
        return made[spec.digest()]

    return latents


def finish(model: Mochi, state: MochiState, until: int | None = None) -> MochiState:
    while state.step < (state.steps if until is None else until):
        state = model.step(state)
    return state


def render(model: Mochi, spec: RenderSpec, until: int | None = None) -> MochiState:
    return finish(model, model.begin(spec), until)


@contextmanager
def rows_computed(model: Mochi) -> Iterator[list[int]]:
    """Rows of the batch that went through a block's attention and its feed-forward."""
    rows: list[int] = []

    def count(module: object, args: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        rows.append(args[0].shape[0])

    hooks = [
        module.register_forward_hook(count)
        for block in model._transformer.transformer_blocks
        for module in (block.attn1.to_q, block.ff)
    ]
    yield rows
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("guidance", [4.5, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_a_fast_quality_computes_less_and_ends_near_the_exact_clip(
    name: str, guidance: float, fast: Mochi, long: RenderSpec
) -> None:
    long = replace(long, guidance=guidance)
    with rows_computed(fast) as all_rows:
        exact = render(fast, long).latents
    with rows_computed(fast) as fewer_rows:
        found = render(fast, replace(long, quality=name)).latents
    assert sum(fewer_rows) < 0.9 * sum(all_rows)
    assert not torch.equal(found, exact)
    other = render(fast, replace(long, seed=long.seed + 1)).latents
    assert (found - exact).abs().mean() < 0.8 * (other - exact).abs().mean()


@pytest.mark.parametrize("name", NAMES)
def test_an_exact_render_after_a_fast_one_is_as_if_alone(
    name: str, fast: Mochi, nano: Mochi, long: RenderSpec
) -> None:
    render(fast, replace(long, quality=name), until=11)  # and broken off
    assert torch.equal(render(fast, long).latents, render(nano, long).latents)


@pytest.mark.parametrize("name", ["exact", *NAMES])
def test_a_render_that_was_cancelled_leaves_the_next_one_as_if_alone(
    name: str, fast: Mochi, long: RenderSpec, alone: Alone
) -> None:
    spec = replace(long, quality=name)
    expected = alone(spec)
    other = replace(spec, prompt="a large blue star growing", seed=99)
    render(fast, other, until=10)
    assert torch.equal(render(fast, spec).latents, expected)


@contextmanager
def exploding(model: Mochi, error: Exception) -> Iterator[None]:
    """In the middle of the transformer, so that hooks before it have seen the step."""

    def explode(module: object, args: object) -> None:
        raise error

    hook = model._transformer.transformer_blocks[0].norm2.register_forward_pre_hook(explode)
    yield
    hook.remove()


@pytest.mark.parametrize("name", ["exact", *NAMES])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("full"), ValueError("broken")])
def test_a_render_that_broke_inside_a_step_leaves_the_next_one_as_if_alone(
    name: str, error: Exception, fast: Mochi, long: RenderSpec, alone: Alone
) -> None:
    spec = replace(long, quality=name)
    expected = alone(spec)
    state = render(fast, replace(spec, prompt="a blue star growing", seed=5), until=9)
    with exploding(fast, error), pytest.raises((RenderError, ValueError)):
        finish(fast, state)  # a cache may step without that block once or twice
    assert torch.equal(render(fast, spec).latents, expected)


@pytest.mark.parametrize("name", NAMES)
def test_fast_renders_in_turns_do_not_mix(
    name: str, fast: Mochi, long: RenderSpec, alone: Alone
) -> None:
    spec = replace(long, quality=name)
    other = replace(long, quality="pyramid", prompt="a blue star growing", seed=9)
    expected = alone(spec)
    state, between = render(fast, spec, until=5), fast.begin(other)
    while state.step < state.steps:
        between = fast.step(between) if between.step < between.steps else between
        state = fast.step(state)
    assert torch.equal(state.latents, expected)


def test_only_barriers_and_the_end_can_be_gone_on_from(fast: Mochi, long: RenderSpec) -> None:
    state = fast.begin(replace(long, quality="pyramid"))
    found = [state.resumable]
    while state.step < state.steps:
        state = fast.step(state)
        found.append(state.resumable)
    assert found == [step % BARRIER_STEPS == 0 or step == 17 for step in range(18)]
    between = render(fast, replace(long, quality="pyramid"), until=5)
    with pytest.raises(RenderError) as caught:
        fast.from_tensors(between.spec, fast.to_tensors(between), between.step)
    assert caught.value.code == "bad_checkpoint"


def test_every_step_of_an_exact_render_can_be_gone_on_from(fast: Mochi, long: RenderSpec) -> None:
    assert fast.step(fast.begin(long)).resumable


RESUME = """
import sys
from dataclasses import replace
from pathlib import Path
from safetensors.torch import load_file, save_file
from gpu_worker import registry
from jobs import catalog
from jobs.qualities import EXACT, Quality
from jobs.spec import RenderSpec
root, folder = Path(sys.argv[1]), Path(sys.argv[2])
entry = catalog.load(root / "deploy" / "models.toml")["nano"]
model = registry.load_model(replace(entry, qualities=eval(sys.argv[3])), root, threads=1)
ended = {}
for file in sorted(folder.glob("saved-*")):
    _, name, step = file.stem.split("-")
    spec = RenderSpec.from_dict(eval(sys.argv[4]) | {"quality": name})
    state = model.from_tensors(spec, load_file(file), int(step))
    while state.step < state.steps:
        state = model.step(state)
    ended[file.stem] = state.latents
save_file(ended, folder / "ended.safetensors")
"""


def test_another_process_goes_on_bit_for_bit_from_every_barrier(
    fast: Mochi, long: RenderSpec, ratios: list[float], tmp_path: Path
) -> None:
    expected: dict[str, torch.Tensor] = {}
    for name in NAMES:
        state = fast.begin(replace(long, quality=name))
        saved = []
        while state.step < state.steps:
            if state.resumable:
                key = f"saved-{name}-{state.step}"
                tensors = {k: v.contiguous() for k, v in fast.to_tensors(state).items()}
                save_file(tensors, tmp_path / f"{key}.safetensors")
                saved.append(key)
            state = fast.step(state)
        expected |= dict.fromkeys(saved, state.latents)
    arguments = [str(ROOT), str(tmp_path), repr(_qualities(ratios)), repr(long.as_dict())]
    done = subprocess.run(
        [sys.executable, "-c", RESUME, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    ended = load_file(tmp_path / "ended.safetensors")
    assert len(ended) == 3 * len(NAMES)
    assert all(torch.equal(ended[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    "quality",
    [
        Quality(name="fast", title="", cache="mag"),
        Quality(name="fast", title="", cache="nonsense"),
        Quality(name="fast", title="", cache="pyramid", options={"nonsense": 1}),
    ],
)
def test_a_quality_that_cannot_be_rendered_is_refused(
    quality: Quality, entry: ModelEntry, long: RenderSpec
) -> None:
    model = registry.load_model(replace(entry, qualities=(EXACT, quality)), ROOT)
    with pytest.raises(RenderError) as caught:
        model.begin(replace(long, quality="fast"))
    assert caught.value.code == "bad_quality"


def test_a_quality_that_the_model_has_not_is_refused(nano: Mochi, long: RenderSpec) -> None:
    with pytest.raises(RenderError) as caught:
        nano.begin(replace(long, quality="nonsense"))
    assert caught.value.code == "bad_quality"
