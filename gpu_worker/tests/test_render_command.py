"""manage.py render: a clip at a shell, and a way on after Ctrl-C and kill -9."""

import hashlib
import os
import re
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import av
import pytest
from django.core.management import CommandError, call_command

from gpu_worker import checkpoint

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "a red circle moving right"


def render(*words: object) -> str:
    out = StringIO()
    call_command("render", *map(str, words), stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def pixels(path: Path) -> str:
    """SHA-256 over all decoded frames."""
    digest = hashlib.sha256()
    with av.open(str(path)) as clip:
        for frame in clip.decode(video=0):
            digest.update(frame.to_ndarray(format="rgb24").tobytes())
    return digest.hexdigest()


def test_a_prompt_becomes_a_clip(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    options = ("--frames", 19, "--steps", 4, "--seed", 3)
    assert render(PROMPT, "-o", clip, *options) == str(clip)
    with av.open(str(clip)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 19
        assert video.metadata["comment"].startswith("recipe ")
        assert video.metadata["title"] == PROMPT
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    again = tmp_path / "again.mp4"
    render(PROMPT, "-o", again, *options)
    assert pixels(again) == pixels(clip)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "x.mp4"], "Say what the video should show"),
        ([PROMPT], "Name the MP4"),
        ([PROMPT, "-o", "nowhere/x.mp4"], "There is no folder"),
        ([PROMPT, "-o", "x.mp4", "--size", "big"], "WIDTHxHEIGHT"),
        ([PROMPT, "-o", "x.mp4", "--frames", "24"], r"frames: .*\[bad_spec\]"),
        ([PROMPT, "-o", "x.mp4", "--model", "sora"], r"model: .*\[bad_spec\]"),
        (["--resume", "x.checkpoint"], r"\[bad_checkpoint\]"),
    ],
)
def test_what_cannot_be_made_is_said(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match=told):
        render(*words)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_clip_is_replaced_only_by_force(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"mine")
    with pytest.raises(CommandError, match="exists already"):
        render(PROMPT, "-o", clip, "--steps", 4)
    assert clip.read_bytes() == b"mine"
    render(PROMPT, "-o", clip, "--steps", 4, "--frames", 19, "--force")
    assert clip.stat().st_size > 100


# manage.py, but each step takes a tenth of a second and more: nobody comes too late to stop it.
SLOWLY = """
import sys, time
import manage
from gpu_worker.mochi import Mochi
step = Mochi.step
def slowly(model, state):
    time.sleep(0.1)
    return step(model, state)
Mochi.step = slowly
manage.main(["manage.py", *sys.argv[1:]])
"""


def start(clip: Path, *, steps: int) -> "subprocess.Popen[bytes]":
    """A render as a process of its own."""
    words = [PROMPT, "-o", str(clip), "--frames", "19", "--steps", str(steps), "--seed", "5"]
    return subprocess.Popen(
        [sys.executable, "-c", SLOWLY, "render", *words],
        cwd=ROOT,
        env=os.environ,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A checkpoint of a render of 150 steps that Ctrl-C stopped."""
    clip = tmp_path / "clip.mp4"
    process = start(clip, steps=150)
    assert process.stderr is not None
    told = b""
    while not re.search(rb"\b[1-9]\d*/150", told):  # the bar: some steps are done
        read = os.read(process.stderr.fileno(), 4096)
        assert read, told
        told += read
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=90)
    assert process.returncode == 130, rest
    assert b"--resume" in rest
    assert not clip.exists()
    return tmp_path / "clip.mp4.checkpoint"


def test_ctrl_c_leaves_a_checkpoint_and_resuming_gives_the_same_clip(stopped: Path) -> None:
    saved = checkpoint.read(stopped)
    assert 0 < saved.step < 150
    with pytest.raises(CommandError, match="brings its own seed"):
        render("--resume", stopped, "--seed", 5)
    resumed, straight = stopped.with_name("resumed.mp4"), stopped.with_name("straight.mp4")
    render("--resume", stopped, "-o", resumed)
    render(PROMPT, "-o", straight, "--frames", 19, "--steps", 150, "--seed", 5)
    assert resumed.read_bytes() == straight.read_bytes()
    assert not stopped.exists(), "what was used up is gone"


def test_a_killed_render_goes_on_from_the_last_file_to_the_same_clip(tmp_path: Path) -> None:
    clip, kept = tmp_path / "clip.mp4", tmp_path / "clip.mp4.checkpoint"
    process = start(clip, steps=150)  # longer than the five seconds between two files
    assert process.stderr is not None
    while not kept.exists():
        assert os.read(process.stderr.fileno(), 4096), "it ended early"  # a bar every 0.1 s
    process.kill()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert not clip.exists()
    assert 0 < checkpoint.read(kept).step < 150
    render("--resume", kept)
    straight = tmp_path / "straight.mp4"
    render(PROMPT, "-o", straight, "--frames", 19, "--steps", 150, "--seed", 5)
    assert clip.read_bytes() == straight.read_bytes()
