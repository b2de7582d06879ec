"""A child that stands still as a whole is killed by its parent; one whose parent died ends."""

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpu_worker.pulse import Watch

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import os, sys, time
from pathlib import Path
from gpu_worker.pulse import Pulse
Pulse(Path(sys.argv[1]), on_orphaned=lambda: os._exit(3)).start()
print("beats", flush=True)
time.sleep(600)
"""
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}, sys.argv[1]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


def until(seen: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.05)


def start(code: str, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def beaten(folder: Path) -> float:
    """CLOCK_MONOTONIC of the only child's last beat; 0 while it is being written."""
    raw = next(folder.glob("*.pulse")).read_bytes()
    return float(struct.unpack("<d", raw)[0]) if raw else 0.0


@pytest.fixture
def child(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    process = start(CHILD, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    until(lambda: list(tmp_path.glob("*.pulse")))
    yield process
    process.kill()
    process.wait(10)
    process.stdout.close()


def test_a_stopped_child_is_killed_and_a_beating_one_is_left_alone(
    child: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    watch = Watch(tmp_path, lambda: [child.pid], silent_seconds=4.0)
    assert watch.look() == []
    os.kill(child.pid, signal.SIGSTOP)
    killed: list[list[int]] = []

    def kills() -> bool:
        killed.append(watch.look())
        return bool(killed[-1])

    until(kills)
    assert killed[-1] == [child.pid]
    assert child.wait(10) == -signal.SIGKILL
    watch._children = list
    watch.look()
    assert list(tmp_path.iterdir()) == [], "a dead child's file goes"


def test_a_parent_that_was_stopped_itself_gives_its_child_time_to_beat(
    child: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    watch = Watch(tmp_path, lambda: [child.pid], silent_seconds=4.0)
    os.kill(child.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    until(lambda: time.monotonic() - stopped > 5.0)  # nobody looks: this process stands still too
    assert watch.look() == []
    woken = time.monotonic()
    os.kill(child.pid, signal.SIGCONT)
    # Not the file's own time: a child that was stopped in a beat first writes the time it had read.
    until(lambda: beaten(tmp_path) > woken)
    assert watch.look() == []


def test_a_pulse_of_an_earlier_life_with_the_same_numbers_kills_nobody(tmp_path: Path) -> None:
    """As a container has that is started again: same host, same process ids, same folder."""
    old = tmp_path / f"{socket.gethostname()}-{os.getpid()}-4242.pulse"
    old.write_bytes(struct.pack("<d", time.monotonic() - 3600))
    strangers = tmp_path / "another-host-1-2.pulse"
    strangers.write_bytes(old.read_bytes())
    watch = Watch(tmp_path, list)
    watch.start()
    assert list(tmp_path.iterdir()) == [strangers]


def test_a_child_whose_parent_was_killed_ends_by_itself(tmp_path: Path) -> None:
    parent = start(PARENT, tmp_path)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    until(lambda: list(tmp_path.glob("*.pulse")))
    parent.kill()
    parent.wait(10)
    until(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child))
    assert list(tmp_path.glob("*.pulse")) == []
    parent.stdout.close()


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
