"""The bundled model's making can be stopped at any moment, and goes through from end to end."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.mochi.pipeline_mochi import MochiPipeline
from django.core.management import CommandError, call_command
from torch import nn

from gpu_worker.nano import training
from gpu_worker.nano.training import Optimiser, Run, cosine


class Tied(nn.Module):
    """Two layers, the second of which shares the first one's weight, as in a text encoder."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inside = nn.Linear(6, 6)
        self.again = nn.Linear(6, 6)
        self.again.weight = self.inside.weight
        self.proj_out = nn.Linear(6, 2)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def begin(path: Path) -> tuple[Run, Tied]:
    module = Tied()
    optimiser = Optimiser(
        dict(module.named_parameters()),
        matrix_rate=0.01,
        other_rate=0.01,
        decay=0.0,
        outside=("proj_out",),
    )
    return Run(path, {"tied": module}, optimiser, minutes=1.0, average=0.9), module


def go(run: Run, module: Tied, steps: int) -> None:
    for _, rng in zip(range(steps), run.steps(), strict=False):
        data = torch.randn(8, 6) + rng.random()
        loss = module.proj_out(module.again(module.inside(data))).square().mean()
        run.learn(loss, rate=1.0, told={"loss": loss})


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, straight = begin(tmp_path / "whole.safetensors")
    go(whole, straight, 8)
    first, module = begin(tmp_path / "halves.safetensors")
    go(first, module, 4)
    first.save()
    second, module = begin(tmp_path / "halves.safetensors")
    assert second.step == 4
    go(second, module, 4)
    whole.finish()
    second.finish()
    for name, value in straight.state_dict().items():
        assert torch.equal(module.state_dict()[name], value), name


def test_a_run_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, module = begin(tmp_path / "run.safetensors")
    go(run, module, 2 * training.LOG_STEPS)
    first, last = (json.loads(line)["loss"] for line in capsys.readouterr().out.splitlines())
    assert last < first / 4


def test_the_learning_rate_rises_stays_and_falls() -> None:
    assert cosine(0.0, step=0, warm_up=10) == pytest.approx(0.1)
    assert cosine(0.3, step=100, warm_up=10, constant=0.3) == pytest.approx(1.0)
    assert cosine(1.0, step=100, warm_up=10, constant=0.3) == pytest.approx(0.02)


@pytest.mark.filterwarnings("ignore:In CPU autocast:UserWarning")
def test_one_command_makes_a_folder_that_the_stock_pipeline_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "weights"
    times = ["--vae-minutes", "0.02", "--transformer-minutes", "0.02", "--threads", "1"]
    command = ["nano", "train", "--work", str(tmp_path / "work"), "--out", str(out), "--try-out"]
    call_command(*command, *times)
    pipeline = MochiPipeline.from_pretrained(
        out, dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
    )
    assert pipeline.vae.config.latents_std != [1.0] * 12
    assert "PreTrainedTokenizerFast" in (out / "model_index.json").read_text()
    assert pipeline.tokenizer("A red").input_ids == pipeline.tokenizer("a red").input_ids
    with pytest.raises(CommandError, match="exists already"):
        call_command(*command, *times)
