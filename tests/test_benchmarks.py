"""The benchmarks that need a GPU run at tiny size anywhere, so that they are known to work."""

import shutil

import pytest
import torch

from benchmarks import gpu_mochi


@pytest.mark.skipif(shutil.which("g++") is None, reason="a CPU's blocks are compiled by g++")
@pytest.mark.skipif(" " in torch.__file__, reason="torch's compiler cuts paths at a space")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own compiler
@pytest.mark.filterwarnings("ignore:In CPU autocast:UserWarning")  # the stock rotary angles
@pytest.mark.timeout(400)
@pytest.mark.long
def test_the_gpu_benchmark_runs_through_and_resumes_bit_for_bit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gpu_mochi.main(tiny=True, write=False)
    told = capsys.readouterr().out
    assert "resumed_bit_for_bit True" in told
    for arm in ("stock", "sdpa", "packed", "sdpa compiled"):
        assert any(f"  {arm} " in line for line in told.splitlines()), arm
