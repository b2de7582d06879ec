"""The benchmark of the live view runs through; too short to say how fast."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stage import ROOT

pytestmark = [pytest.mark.whole, pytest.mark.long, pytest.mark.timeout(300)]


def _folders_of_benchmarks() -> set[str]:
    return {str(path) for path in Path("/dev/shm").glob("t2v-bench-*")}  # noqa: S108


@pytest.fixture(scope="module")
def told() -> str:
    """What it prints: one run for all questions, because each start takes its time."""
    before = _folders_of_benchmarks()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.live", "--quick", "--no-write"],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert _folders_of_benchmarks() <= before, "it left a folder behind"
    return done.stdout


def _median(told: str, what: str) -> float:
    """Of the first row that begins so."""
    found = re.search(rf"^  {re.escape(what)}.*\)\s+([\d.,]+)", told, re.MULTILINE)
    assert found is not None, f"no row {what!r} in:\n{told}"
    return float(found[1].replace(",", ""))


def test_frames_reach_the_viewers_of_every_arm_under_both_servers(told: str) -> None:
    for server in ("daphne", "uvicorn"):
        for arm in (f"group_send on {server}", f"ours on {server}", f"ours on {server}, an ack"):
            assert _median(told, arm) > 0
        assert f"one of 20 viewers stalls, {server}" in told
        assert _median(told, f"ours on {server}, delivered") > 0.5


def test_idle_sockets_are_weighed_under_both_servers(told: str) -> None:
    for server in ("daphne", "uvicorn"):
        for arm in ("group_send", "ours", "ours, my queue of 4 jobs"):
            assert _median(told, f"{arm} on {server}, a socket") > 0


def test_the_first_preview_of_every_job_is_timed(told: str) -> None:
    assert _median(told, "claim → first preview, minus one step, p99") > 0
