"""The short chaos run: every kind of fault once, real parts, in under three minutes."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.chaos.plan import FAULTS
from tests.stage import ROOT

pytestmark = [pytest.mark.whole, pytest.mark.timeout(900)]


@contextmanager
def _chaos(folder: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """A run whose own folder lies in this one; told to end if it does not end by itself.

    A killed one would leave its file systems mounted, and pytest could not clear its folder away.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos", *options],
        cwd=ROOT,
        env=clean | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _left(folder: Path) -> list[str]:
    """Command lines of what runs for a run in this folder, its Postgres and Redis too."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.cwd(), process.environ().get("CHAOS_RUN", "")]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in words):
            found.append(" ".join(words))
    return found


def test_no_accepted_job_is_lost_whatever_dies(tmp_path: Path) -> None:
    options = ["--seed", "4", "--jobs", "45", "--faults", str(len(FAULTS)), "--minutes", "2.7"]
    with _chaos(tmp_path, *options) as process:
        told, _ = process.communicate(timeout=800)
    assert process.returncode == 0, told
    assert re.search(r"^seed 4: \d+ passed, 0 failed$", told, re.MULTILINE), told
    assert _left(tmp_path) == []
    assert list(tmp_path.iterdir()) == [], "a run that went well keeps nothing"


@pytest.mark.long
def test_a_run_that_is_interrupted_leaves_no_process_behind(tmp_path: Path) -> None:
    with _chaos(tmp_path, "--jobs", "30", "--faults", "0", "--minutes", "3") as process:
        assert process.stdout is not None
        assert any(line.startswith("ready after") for line in process.stdout)
        assert len(_left(tmp_path)) > 10
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert _left(tmp_path) == []
