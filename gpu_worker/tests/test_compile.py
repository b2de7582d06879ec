"""Compiled blocks render the same clip, once compiled for all prompts."""

import shutil
from dataclasses import replace

import pytest
import torch
from torch._dynamo.utils import counters

from gpu_worker import registry
from gpu_worker.mochi import Mochi
from gpu_worker.tests.conftest import ROOT
from jobs.catalog import ModelEntry
from jobs.qualities import EXACT, Quality
from jobs.spec import RenderSpec

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="a CPU's blocks are compiled by g++"),
    pytest.mark.skipif(" " in torch.__file__, reason="torch's compiler cuts paths at a space"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of torch's own compiler
    pytest.mark.timeout(400),  # 10 s on an idle machine, minutes on a busy one
]


@pytest.mark.long
def test_blocks_are_compiled_once_for_all_prompts_and_render_the_same(
    entry: ModelEntry, nano: Mochi, spec: RenderSpec
) -> None:
    pyramid = Quality(name="pyramid", title="Fast", cache="pyramid")
    model = registry.load_model(replace(entry, compile=True, qualities=(EXACT, pyramid)), ROOT)
    assert isinstance(model, Mochi)
    assert model.fingerprint()["compiled"] == "blocks"
    spec = replace(spec, frames=7, steps=2)
    torch._dynamo.reset()
    counters.clear()
    first = model.step(model.begin(spec))
    graphs = counters["stats"]["unique_graphs"]
    assert graphs > 0
    expected = nano.step(nano.begin(spec))
    torch.testing.assert_close(first.latents, expected.latents, rtol=0, atol=1e-4)
    for prompt in ("a star", "a large green circle moving right on a brown background", "x " * 40):
        model.step(model.begin(replace(spec, prompt=prompt)))
    assert counters["stats"]["unique_graphs"] == graphs
    # A fast quality's hooks run uncompiled, and leave the compiled blocks as they were.
    model.step(model.begin(replace(spec, quality="pyramid")))
    assert counters["stats"]["unique_graphs"] == graphs
    assert torch.equal(model.step(model.begin(spec)).latents, first.latents)
