"""A prompt is read once, alone, and kept for a while."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.mochi.pipeline_mochi import MochiPipeline

from gpu_worker import mochi
from gpu_worker.engine import RenderError
from gpu_worker.mochi import Mochi
from gpu_worker.text import KEPT_PROMPTS
from jobs.catalog import ModelEntry
from jobs.spec import RenderSpec


@pytest.fixture
def fresh(entry: ModelEntry, folder: Path) -> Mochi:
    return mochi.load(entry, folder, threads=1)


@contextmanager
def calls(model: Mochi) -> Iterator[list[int]]:
    """Tokens of each prompt that the text encoder reads."""
    found: list[int] = []
    hook = model._reader._encoder.register_forward_pre_hook(
        lambda module, args, kwargs: found.append(int(kwargs["attention_mask"].sum())),
        with_kwargs=True,
    )
    yield found
    hook.remove()


def test_a_prompt_is_read_once_and_its_embeddings_are_the_same(
    fresh: Mochi, spec: RenderSpec
) -> None:
    with calls(fresh) as read:
        first = fresh.begin(spec)
        assert len(read) == 2  # the empty one as well
        again = fresh.begin(replace(spec, seed=8))
        assert len(read) == 2
        fresh.begin(replace(spec, prompt="a blue star growing"))
        assert len(read) == 3
    assert torch.equal(first.embeds, again.embeds)
    assert torch.equal(first.mask, again.mask)
    assert first.lengths == again.lengths == tuple(first.mask.sum(1).tolist())


def test_a_prompt_that_is_used_again_stays(fresh: Mochi) -> None:
    for number in range(KEPT_PROMPTS):
        fresh._reader.read(str(number))
    fresh._reader.read("0")
    fresh._reader.read("one more")
    with calls(fresh) as read:
        fresh._reader.read("0")
        assert read == []
        fresh._reader.read("1")
        assert len(read) == 1


def test_the_oldest_prompt_goes_and_the_empty_one_stays(fresh: Mochi) -> None:
    for number in range(KEPT_PROMPTS + 5):
        fresh._reader.read(str(number))
        fresh._reader.read("")
    assert len(fresh._reader._kept) == KEPT_PROMPTS
    with calls(fresh) as read:
        fresh._reader.read("")
        fresh._reader.read(str(KEPT_PROMPTS + 4))
        assert read == []
        fresh._reader.read("0")
        assert len(read) == 1


@pytest.mark.filterwarnings("ignore:In CPU autocast:UserWarning")
def test_a_model_that_zeroes_empty_prompts_does_so_as_the_stock_pipeline(
    entry: ModelEntry, folder: Path, nano: Mochi, spec: RenderSpec, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "model_index.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"force_zeros_for_empty_prompt": True})
    )
    model = mochi.load(entry, tmp_path, threads=1)
    pipeline = MochiPipeline.from_pretrained(
        tmp_path, dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
    )
    pipeline.set_progress_bar_config(disable=True)
    state = model.begin(spec)
    assert state.lengths[0] == 0
    assert state.lengths[1] == nano.begin(spec).lengths[1]
    while state.step < state.steps:
        state = model.step(state)
    stock = pipeline(
        spec.prompt,
        width=spec.width,
        height=spec.height,
        num_frames=spec.frames,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        generator=torch.Generator("cpu").manual_seed(spec.seed),
        max_sequence_length=32,
        output_type="latent",
    ).frames
    assert torch.equal(state.latents, stock)


def test_a_tokenizer_that_pads_on_the_left_is_refused_at_load(
    entry: ModelEntry, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "tokenizer" / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding_side": "left"}))
    with pytest.raises(RenderError) as caught:
        mochi.load(entry, tmp_path, threads=1)
    assert caught.value.code == "model_unreadable"
