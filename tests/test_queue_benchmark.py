"""The benchmarks of the queue, of checkpoints and of the API run through, too short to believe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stage import ROOT

pytestmark = pytest.mark.whole


def _run(*words: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
    done = subprocess.run(
        [sys.executable, "-m", *words, "--no-write"],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _folders_of_benchmarks() -> set[str]:
    return {str(path) for path in Path("/dev/shm").glob("t2v-bench-*")}  # noqa: S108


@pytest.mark.long
def test_the_benchmark_of_the_queue_answers_every_question_and_leaves_nothing_behind() -> None:
    before = _folders_of_benchmarks()
    told = _run("benchmarks.queue", "--rows", "20000", "--quick")
    for title in (
        "claims at depth",
        "claims under an old snapshot",
        "what depth costs",
        "single readings",
        "what the guards cost",
        "from commit to wake-up",
    ):
        assert f"\n{title} " in told
    assert _folders_of_benchmarks() <= before


def test_the_benchmark_of_checkpoints_stores_some() -> None:
    told = _run("benchmarks.checkpoints", "--rounds", "1", "--steps", "30")
    often = next(line for line in told.splitlines() if line.startswith("  as often as it may  "))
    assert float(often.split()[-1]) >= 1


@pytest.mark.long
def test_the_benchmark_of_the_api_answers_its_questions() -> None:
    before = _folders_of_benchmarks()
    asked = ["admitted", "depth", "lists", "batches", "readings"]
    told = _run("benchmarks.api", "--rows", "2000", "--quick", "--only", *asked)
    for title in (
        "a job beside one INSERT",
        "what depth costs",
        "lists",
        "batches",
        "single readings",
    ):
        assert f"\n{title} " in told
    assert _folders_of_benchmarks() <= before
