"""A process beside the worker makes the files; whatever becomes of it, nothing is left behind."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from PIL import Image

from gpu_worker import tail as tail_module
from gpu_worker.engine import RenderError
from gpu_worker.preview import make_sprite
from gpu_worker.scratch import Scratch
from gpu_worker.sheets import Preview
from gpu_worker.tail import Clip, Tail

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["video.mp4", "poster.png", "sprite.jpg", "strip.jpg"]


def make_clip(frames: int = 13, height: int = 64, width: int = 64) -> Clip:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    previews = tuple(Preview(step=step, sprite=make_sprite(list(pixels[:8]))) for step in (1, 2))
    return Clip(pixels=pixels, fps=12, steps=8, metadata={"comment": "recipe 1"}, previews=previews)


LARGE = {"frames": 40, "height": 144, "width": 256}  # 4 MB of noise: far more than a pipe holds


@pytest.fixture
def tail() -> Iterator[Tail]:
    made = Tail()
    yield made
    made.close()


def _until(seen: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


def test_a_clip_becomes_four_files_with_their_hashes(tail: Tail, tmp_path: Path) -> None:
    made = tail.make_files(make_clip(), tmp_path)
    assert [file["name"] for file in made] == NAMES
    for file in made:
        content = (tmp_path / file["name"]).read_bytes()
        assert (file["size"], file["sha256"]) == (
            len(content),
            hashlib.sha256(content).hexdigest(),
        )
    with av.open(str(tmp_path / "video.mp4")) as container:
        assert container.metadata["comment"] == "recipe 1"
        assert len(list(container.decode(video=0))) == 13


def test_the_layout_of_both_grids_is_told_as_it_stands_in_them(tail: Tail, tmp_path: Path) -> None:
    facts = {file["name"]: file["facts"] for file in tail.make_files(make_clip(), tmp_path)}
    assert (facts["video.mp4"], facts["poster.png"]) == ({}, {})
    for name in ("sprite.jpg", "strip.jpg"):
        with Image.open(tmp_path / name) as image:
            assert facts[name] == json.loads(image.info["comment"])
    assert facts["strip.jpg"]["steps"] == [1, 2, 8]


def test_one_process_serves_many_clips(tail: Tail, tmp_path: Path) -> None:
    first = tail.make_files(make_clip(), tmp_path)
    pid = tail.pid
    assert tail.make_files(make_clip(1), tmp_path) != first
    assert tail.make_files(make_clip(), tmp_path) == first
    assert tail.pid == pid


def test_a_process_killed_between_two_clips_is_replaced(tail: Tail, tmp_path: Path) -> None:
    made = tail.make_files(make_clip(), tmp_path)
    assert tail.pid is not None
    os.kill(tail.pid, signal.SIGKILL)
    assert tail.make_files(make_clip(), tmp_path) == made


def _killing(tail: Tail, folder: Path, killed: list[int], times: int) -> Callable[[], None]:
    """A check that kills the process in the middle of its clip, so many times."""

    def kill() -> None:
        pid = tail.pid
        at_work = pid not in killed and (folder / "video.mp4.part").exists()
        if pid is not None and at_work and len(killed) < times:
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    return kill


def test_a_process_killed_at_work_makes_the_clip_again(tail: Tail, tmp_path: Path) -> None:
    wanted = tail.make_files(make_clip(**LARGE), tmp_path)
    killed: list[int] = []
    check = _killing(tail, tmp_path, killed, 1)
    assert tail.make_files(make_clip(**LARGE), tmp_path, check=check) == wanted
    assert len(killed) == 1


def test_a_process_that_dies_twice_at_one_clip_gives_it_up(tail: Tail, tmp_path: Path) -> None:
    killed: list[int] = []
    with pytest.raises(RenderError) as caught:
        tail.make_files(make_clip(**LARGE), tmp_path, check=_killing(tail, tmp_path, killed, 2))
    assert (caught.value.code, caught.value.permanent) == ("tail_broken", False)
    assert list(tmp_path.iterdir()) == []
    assert tail.make_files(make_clip(), tmp_path), "the next clip has a fresh process"


def test_a_process_that_hangs_counts_as_dead(
    tail: Tail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tail.make_files(make_clip(), tmp_path)
    assert tail.pid is not None
    hung, usual = tail.pid, tail_module.HANG_SECONDS
    os.kill(hung, signal.SIGSTOP)
    monkeypatch.setattr(tail_module, "HANG_SECONDS", 1.0)

    def check() -> None:  # the new one needs 1 s to begin, and on a busy machine many
        if tail.pid != hung:
            monkeypatch.setattr(tail_module, "HANG_SECONDS", usual)

    assert tail.make_files(make_clip(), tmp_path, check=check) == wanted
    assert tail.pid != hung
    assert not psutil.pid_exists(hung)


def test_an_order_to_stop_is_obeyed_at_work_and_the_next_clip_is_made(
    tail: Tail, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    tail.make_files(make_clip(), tmp_path)
    assert tail.pid is not None
    os.kill(tail.pid, signal.SIGSTOP)
    began = time.monotonic()

    def check() -> None:
        if time.monotonic() - began > 0.3:
            raise Stop

    with pytest.raises(Stop):
        tail.make_files(make_clip(**LARGE), tmp_path, check=check)
    assert time.monotonic() - began < 60, "not only when it is taken for hung"
    assert tail.make_files(make_clip(), tmp_path)


@pytest.mark.parametrize("large", [False, True])
def test_a_full_disk_is_said_and_the_next_clip_is_made(
    large: bool, tail: Tail, tmp_path: Path
) -> None:
    (tmp_path / "video.mp4.part").symlink_to("/dev/full")
    with pytest.raises(RenderError, match="disk of this worker is full") as caught:
        tail.make_files(make_clip(**LARGE) if large else make_clip(), tmp_path)
    assert (caught.value.code, caught.value.permanent) == ("disk_full", False)
    assert tail.make_files(make_clip(), tmp_path)


def test_ctrl_c_and_a_stop_of_the_group_leave_the_clip_at_hand_alone(
    tail: Tail, tmp_path: Path
) -> None:
    wanted = tail.make_files(make_clip(), tmp_path)
    assert tail.pid is not None
    pid = tail.pid
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    assert tail.make_files(make_clip(), tmp_path) == wanted
    assert tail.pid == pid


def test_closing_ends_the_process(tail: Tail, tmp_path: Path) -> None:
    tail.make_files(make_clip(), tmp_path)
    pid = tail.pid
    assert pid is not None
    tail.close()
    assert not psutil.pid_exists(pid)
    tail.close()


PARENT = """
import os
import sys
import time
from pathlib import Path
from gpu_worker.scratch import Scratch
from gpu_worker.tail import Tail
from gpu_worker.tests.test_tail import LARGE, make_clip
tail, scratch = Tail(), Scratch()
folder = scratch.folder()
seen = sys.argv[1]
if seen == "video.mp4":
    os.mkfifo(folder / "poster.png")  # whoever opens it to write waits for ever
def tell():
    if (folder / seen).exists():
        print(tail.pid, folder, flush=True)
        time.sleep(600)  # the clip is not finished before this is killed
tail.make_files(make_clip(**LARGE), folder, check=tell)
"""


@pytest.mark.parametrize("seen", ["video.mp4.part", "video.mp4"])  # at work, and hanging
def test_a_parent_that_is_killed_leaves_no_process_and_no_file(
    seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, seen],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": ""},
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        assert psutil.pid_exists(int(pid))
        parent.kill()
    _until(lambda: not psutil.pid_exists(int(pid)))
    assert not Path(folder).exists()
    assert [path.name for path in Path(folder).parent.iterdir()] == ["lock"]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    Scratch().close()
    assert list(tmp_path.iterdir()) == []


def test_the_next_worker_removes_what_a_killed_one_left_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "t2v-tail-being-made").mkdir()
    (tmp_path / "else").mkdir()
    (tmp_path / "t2v-tail-link").symlink_to(tmp_path / "else")
    living = Scratch()
    dead = tmp_path / "t2v-tail-dead"
    (dead / "clip-1").mkdir(parents=True)
    (dead / "lock").touch()
    (dead / "clip-1" / "video.mp4").write_bytes(b"x")
    fresh = Scratch()
    assert not dead.exists()
    assert living.folder().exists()
    assert (tmp_path / "t2v-tail-being-made").exists()
    assert (tmp_path / "else").exists()
    for one in (living, fresh):
        one.close()
        assert not one.path.exists()


def test_the_process_knows_neither_torch_nor_django_nor_a_secret(
    tail: Tail, tmp_path: Path
) -> None:
    code = (
        "import sys, gpu_worker.tail_process; "
        "print(sorted({'torch', 'diffusers', 'django', 'celery'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    tail.make_files(make_clip(1), tmp_path)
    assert not [name for name in psutil.Process(tail.pid).environ() if name.startswith("T2V_")]
