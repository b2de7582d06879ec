"""docs/howto/api.md as a reader follows it: every block, in order, on a site with a real worker."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from tests.stage import ROOT, System, running

pytestmark = [pytest.mark.whole, pytest.mark.timeout(600)]
PAGE = ROOT / "docs/howto/api.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("tour") / "var") as started:
        yield started


def _script(folder: Path, url: str) -> str:
    """The page as one shell's session. Each block says on standard error that its turn has come."""
    lines = ["set -euo pipefail"]
    for number, (kind, text) in enumerate(BLOCK.findall(PAGE.read_text(encoding="utf-8")), 1):
        lines.append(f"echo '--- block {number}' >&2")
        if kind == "python":
            file = folder / f"block{number}.py"
            file.write_text(text)
            lines.append(f"{sys.executable} {file}")
        else:
            assert kind == "sh", f"who should run a block of {kind!r}?"
            python = ".venv/bin/python"  # of this run, wherever it lies
            here = text.replace(f"{python} manage.py", f"{{python}} {ROOT}/manage.py")
            here = here.replace(python, "{python}").replace("http://127.0.0.1:8000", url)
            lines.append(here.replace("{python}", sys.executable))
    return "\n".join(lines)


def test_every_snippet_of_the_tour_works(system: System, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    done = subprocess.run(
        ["bash", "-c", _script(tmp_path, system.url)],
        cwd=tmp_path,
        env=clean | home | {"T2V_VAR": str(system.var), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    clips = [tmp_path / name for name in ("curl.mp4", "sdk.mp4", "circle.mp4")]
    clips += (tmp_path / "clips").iterdir()
    assert len(clips) == 6
    for clip in clips:
        with av.open(str(clip), mode="r") as video:
            assert len(list(video.decode(video=0))) == 25, clip
    assert "exit code 1: it did not succeed" in done.stdout
    assert "From 4 to 1000 steps, not 100000." in done.stdout
    assert "event: fact" in done.stdout
    # Only the command that makes the token prints it, and the page keeps it in a variable.
    assert "t2v_" not in done.stdout + done.stderr.replace("t2v_cli", "")


def test_the_page_shows_all_three_ways() -> None:
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    text = "".join(text for _, text in blocks)
    assert {kind for kind, _ in blocks} == {"sh", "python"}
    for part in ("curl -K", "OpenAI(", "t2v submit"):
        assert part in text
