"""One small run through the real command: a site, Locust's users, a burst that is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.load.page import PLOTS
from tests.stage import ROOT

pytestmark = [pytest.mark.whole, pytest.mark.timeout(660)]
SECONDS = 600.0  # of a busy machine; an idle one takes 40
RUN = "--shape burst --users 12 --minutes 0.2 --max-wait 1 --jobs 60 --seed 7"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
) -> "tuple[subprocess.CompletedProcess[str], Path]":
    out = tmp_path_factory.mktemp("load")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.load", *RUN.split(), "--out", str(out)],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done, out


def test_a_small_burst_loses_nothing_and_its_report_can_be_read(
    run: "tuple[subprocess.CompletedProcess[str], Path]",
) -> None:
    done, out = run
    told = f"{done.stdout}{done.stderr}"
    assert (out / "report.json").exists(), told
    report: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    schema = json.loads((ROOT / "tests/load/report.schema.json").read_text(encoding="utf-8"))
    jsonschema_rs.validate(schema, report)
    assert report["run_errors"] == [], told
    assert report["jobs"]["accepted"] > 0, told
    assert report["jobs"]["lost"] == [], told
    assert report["errors"]["failed"] == 0, told
    broken = [goal for goal in report["verdict"] if goal["hard"] and not goal["held"]]
    assert done.returncode == bool(broken), told
    assert {"web", "worker", "sweep", "postgres", "redis", "crowd"} <= report["parts"].keys()
    for name in PLOTS:
        assert (out / name).read_bytes().startswith(PNG), name
        assert f"({name})" in (out / "report.md").read_text(encoding="utf-8")
