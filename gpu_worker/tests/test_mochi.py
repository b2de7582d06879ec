"""Our fold is the stock pipeline's arithmetic, and can stop and go on anywhere."""

import io
import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.transformers.transformer_mochi import MochiTransformer3DModel
from diffusers.pipelines.mochi.pipeline_mochi import MochiPipeline, linear_quadratic_schedule
from PIL import Image
from safetensors.torch import load, save
from torch.utils._python_dispatch import TorchDispatchMode

from gpu_worker import registry
from gpu_worker.engine import RenderError
from gpu_worker.latents import MochiState
from gpu_worker.mochi import Mochi
from gpu_worker.mochi import load as load_mochi
from gpu_worker.schedule import sigma_schedule
from jobs.catalog import ModelEntry
from jobs.spec import RenderSpec

ROOT = Path(__file__).resolve().parents[2]
# The stock rotary angles ask for an autocast that a CPU has not; ours do not.
stock_warns = pytest.mark.filterwarnings("ignore:In CPU autocast:UserWarning")


@pytest.fixture(scope="module")
def stock(folder: Path) -> Any:
    """diffusers' own pipeline over the same folder, untouched."""
    pipeline = MochiPipeline.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def half(entry: ModelEntry, folder: Path) -> Mochi:
    """As the stock pipeline rounds in bf16: the latents too, and its own attention."""
    entry = replace(entry, dtype="bfloat16", attention="stock")
    return load_mochi(entry, folder, threads=1, latents_dtype=torch.bfloat16)


def states(model: Mochi, spec: RenderSpec) -> list[MochiState]:
    """Every state of a render: steps + 1 of them."""
    found = [model.begin(spec)]
    while found[-1].step < found[-1].steps:
        found.append(model.step(found[-1]))
    return found


def stock_clip(stock: Any, spec: RenderSpec, output_type: str) -> Any:
    return stock(
        spec.prompt,
        width=spec.width,
        height=spec.height,
        num_frames=spec.frames,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        generator=torch.Generator("cpu").manual_seed(spec.seed),
        max_sequence_length=32,
        output_type=output_type,
    ).frames


@stock_warns
@pytest.mark.parametrize("guidance", [4.5, 1.0])
def test_latents_equal_those_of_the_stock_pipeline(
    guidance: float, nano: Mochi, stock: Any, spec: RenderSpec
) -> None:
    spec = replace(spec, guidance=guidance)
    assert torch.equal(states(nano, spec)[-1].latents, stock_clip(stock, spec, "latent"))


@stock_warns
def test_in_bf16_with_bf16_latents_too(half: Mochi, folder: Path, spec: RenderSpec) -> None:
    pipeline = MochiPipeline.from_pretrained(
        folder, dtype=torch.bfloat16, local_files_only=True, low_cpu_mem_usage=False
    )
    pipeline.set_progress_bar_config(disable=True)
    latents = states(half, spec)[-1].latents
    assert latents.dtype == torch.bfloat16
    assert torch.equal(latents, stock_clip(pipeline, spec, "latent"))


def reference(model: Mochi, spec: RenderSpec, folder: Path) -> torch.Tensor:
    """The final latents by a loop and a transformer in fp64, from the same noise and text.

    What diffusers' modules cast to fp32 themselves (norms, rotary angles) stays so.
    """
    transformer = MochiTransformer3DModel.from_pretrained(
        folder / "transformer", local_files_only=True, low_cpu_mem_usage=False
    )
    transformer.double().eval()
    state = model.begin(spec)
    latents, embeds = state.latents.double(), state.embeds.double()
    shares = [1 - noise for noise in sigma_schedule(spec.steps)] + [1.0]
    with torch.no_grad():
        for now, then in itertools.pairwise(shares):
            without, along = transformer(
                hidden_states=torch.cat([latents] * 2),
                encoder_hidden_states=embeds,
                timestep=torch.full((2,), 1000 * now, dtype=torch.float64),
                encoder_attention_mask=state.mask,
                return_dict=False,
            )[0].chunk(2)
            latents = latents + (then - now) * (without + spec.guidance * (along - without))
    return latents


@stock_warns
def test_fp32_latents_stay_within_a_thousandth_of_fp64_and_bf16_latents_do_not(
    nano: Mochi, half: Mochi, folder: Path, spec: RenderSpec
) -> None:
    """The largest difference anywhere, by the standard deviation of the fp64 latents."""
    exact = reference(nano, spec, folder)

    def error(latents: torch.Tensor) -> float:
        return float((latents.double() - exact).abs().max() / exact.std())

    ours, stock = error(states(nano, spec)[-1].latents), error(states(half, spec)[-1].latents)
    assert ours <= 1e-3
    assert stock > 10 * ours


@stock_warns
def test_frames_equal_those_of_the_stock_pipeline(
    nano: Mochi, stock: Any, spec: RenderSpec
) -> None:
    ours = list(nano.decode(states(nano, spec)[-1]))
    theirs = [np.array(image) for image in stock_clip(stock, spec, "pil")[0]]
    assert len(ours) == spec.frames
    assert ours[0].dtype == np.uint8
    assert np.array_equal(np.stack(ours), np.stack(theirs))


@pytest.mark.parametrize("steps", [2, 3, 8, 31, 64, 1000])
def test_the_schedule_is_the_stock_one(steps: int) -> None:
    assert sigma_schedule(steps) == linear_quadratic_schedule(steps, 0.025)


def test_the_last_noise_level_is_none(nano: Mochi, spec: RenderSpec) -> None:
    sigmas = nano.begin(spec).sigmas
    assert sigmas[0] == 0
    assert sigmas[-1] == 1
    assert bool((sigmas.diff() > 0).all())


def test_the_same_seed_gives_the_same_clip_and_another_seed_another(
    nano: Mochi, spec: RenderSpec
) -> None:
    first = states(nano, spec)[-1].latents
    states(nano, replace(spec, prompt="a blue star growing", seed=8))  # leaves nothing behind
    assert torch.equal(states(nano, spec)[-1].latents, first)
    assert not torch.equal(states(nano, replace(spec, seed=8))[-1].latents, first)


def test_two_renders_in_turns_do_not_mix(nano: Mochi, spec: RenderSpec) -> None:
    other = replace(spec, prompt="a blue star growing", steps=5, seed=9)
    alone = states(nano, spec)[-1].latents
    state, between = nano.begin(spec), nano.begin(other)
    for _ in range(other.steps):
        state, between = nano.step(state), nano.step(between)
    while state.step < state.steps:
        state = nano.step(state)
    assert torch.equal(state.latents, alone)


def test_a_step_leaves_the_state_before_it_as_it_was(nano: Mochi, spec: RenderSpec) -> None:
    before = nano.begin(spec)
    copies = {name: tensor.clone() for name, tensor in nano.to_tensors(before).items()}
    nano.step(before)
    assert all(
        torch.equal(tensor, copies[name]) for name, tensor in nano.to_tensors(before).items()
    )


def test_a_render_goes_on_bit_for_bit_from_any_saved_step(nano: Mochi, spec: RenderSpec) -> None:
    whole = states(nano, spec)
    for saved in whole:
        state = nano.from_tensors(spec, load(save(nano.to_tensors(saved))), saved.step)
        while state.step < state.steps:
            state = nano.step(state)
        assert torch.equal(state.latents, whole[-1].latents)


def test_a_file_that_is_no_state_is_refused(nano: Mochi, spec: RenderSpec) -> None:
    tensors = nano.to_tensors(nano.begin(spec))
    del tensors["mask"]
    with pytest.raises(RenderError) as caught:
        nano.from_tensors(spec, tensors, 0)
    assert caught.value.code == "bad_checkpoint"


def test_a_resumed_render_has_its_preview_at_once(nano: Mochi, spec: RenderSpec) -> None:
    saved = nano.step(nano.begin(spec))
    resumed = nano.from_tensors(spec, load(save(nano.to_tensors(saved))), saved.step)
    assert nano.preview(resumed) == nano.preview(saved)


def test_without_guidance_only_the_prompt_is_computed(nano: Mochi, spec: RenderSpec) -> None:
    assert len(nano.begin(replace(spec, guidance=1.0)).embeds) == 1
    assert len(nano.begin(spec).embeds) == 2


def test_two_steps_are_the_fewest(nano: Mochi, spec: RenderSpec) -> None:
    assert bool(torch.isfinite(states(nano, replace(spec, steps=2))[-1].latents).all())


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"width": 72}, "bad_size"),
        ({"height": 8}, "bad_size"),
        ({"width": 0}, "bad_size"),
        ({"frames": 84}, "bad_size"),
        ({"frames": -5}, "bad_size"),
        ({"steps": 1}, "bad_steps"),
        ({"guidance": float("nan")}, "bad_guidance"),
        ({"guidance": float("inf")}, "bad_guidance"),
        ({"seed": -1}, "bad_seed"),
        ({"seed": 2**32}, "bad_seed"),
        ({"prompt": " \n"}, "bad_prompt"),
    ],
)
def test_what_mochi_cannot_make_is_refused_before_anything_is_computed(
    wrong: dict[str, Any], code: str, nano: Mochi, spec: RenderSpec
) -> None:
    def compute(*args: object) -> None:
        raise AssertionError("the text encoder was asked")

    hook = nano._reader._encoder.register_forward_pre_hook(compute)
    try:
        nothing = Nothing()  # type: ignore[no-untyped-call]
        with nothing, pytest.raises(RenderError) as caught:
            nano.begin(replace(spec, **wrong))
        assert caught.value.code == code
        assert caught.value.permanent
        with pytest.raises(AssertionError):  # the hook does watch
            nano.begin(replace(spec, prompt="never read before"))
    finally:
        hook.remove()


class Nothing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"a tensor was touched: {func}")


@pytest.mark.parametrize("config", [{"stochastic_sampling": True}, {"invert_sigmas": False}])
def test_a_scheduler_of_another_kind_is_refused_at_load(
    config: dict[str, bool], entry: ModelEntry, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    with pytest.raises(RenderError) as caught:
        load_mochi(entry, tmp_path, threads=1)
    assert caught.value.code == "model_unreadable"


def test_latents_stay_in_fp32_under_bf16_weights(entry: ModelEntry, spec: RenderSpec) -> None:
    model = registry.load_model(replace(entry, dtype="bfloat16"), ROOT)
    assert isinstance(model, Mochi)
    state = model.step(model.begin(spec))
    assert state.latents.dtype == torch.float32
    assert state.embeds.dtype == torch.bfloat16


def test_a_prompt_longer_than_the_model_reads_is_cut(
    nano: Mochi, entry: ModelEntry, spec: RenderSpec
) -> None:
    long = replace(spec, prompt=f"{spec.prompt} {'on a black background ' * 12}")
    state = nano.begin(long)
    assert state.embeds.shape[1] == entry.max_sequence_length == 40
    assert bool(state.mask[-1].all())


def test_numbers_that_are_not_finite_are_no_video(nano: Mochi, spec: RenderSpec) -> None:
    state = nano.begin(spec)
    broken = replace(state, latents=torch.full_like(state.latents, torch.nan))
    with pytest.raises(RenderError) as caught:
        list(nano.decode(broken))
    assert caught.value.code == "not_finite"


def tiles(model: Mochi, state: MochiState) -> np.ndarray[Any, np.dtype[np.float64]]:
    sprite = model.preview(state)
    assert (sprite.frames, sprite.tile_width, sprite.tile_height) == (8, 64, 64)
    assert len(sprite.image) <= 30_000
    with Image.open(io.BytesIO(sprite.image)) as image:
        assert image.size == (8 * 64, 64)
        return np.array(image, dtype=np.float64)


def test_previews_come_closer_to_the_final_clip_and_end_as_it(
    nano: Mochi, whole: RenderSpec
) -> None:
    prompt = "a large green circle moving right on a brown background"
    steps = states(nano, replace(whole, prompt=prompt))
    frames = list(nano.decode(steps[-1]))
    final = np.concatenate([frames[index] for index in (0, 3, 7, 10, 14, 17, 21, 24)], axis=1)
    distances = [np.abs(tiles(nano, steps[step]) - final).mean() for step in (0, 1, 8, 12, 16)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 2.0  # levels: what JPEG costs
    noise, first = distances[:2]
    assert first < 0.6 * noise


def test_the_fingerprint_names_all_that_a_repeat_depends_on(nano: Mochi, entry: ModelEntry) -> None:
    found = nano.fingerprint()
    assert found["weights"] == entry.digest
    assert found["threads"] == "1"
    assert found["torch"] == torch.__version__
    assert {"model", "device", "dtype", "attention", "diffusers", "transformers"} < found.keys()
