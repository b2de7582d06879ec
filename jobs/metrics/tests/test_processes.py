"""What processes count: exact after a kill, bounded in files, and cheap to refuse."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from jobs.hub import MAX_VIEWERS, Hub, TooManyViewers
from jobs.metrics import instruments, slots
from jobs.metrics.instruments import Counted, _Files

SCHEMA = instruments._schema()
# A process of ours that counts below the folder, says so, and lives until it is killed.
COUNTS = """
import os, pathlib, sys
from jobs.metrics import instruments
instruments.start(pathlib.Path(sys.argv[1]))
for _ in range(3):
    instruments.opened("ws")
instruments.preview_sent()
{more}
print("counted", flush=True)
sys.stdin.read()
"""
FORKS = """
if os.fork() == 0:
    instruments.preview_sent()
    os._exit(0)
os.wait()
instruments.preview_sent()
"""


def process(root: Path, more: str = "") -> "subprocess.Popen[bytes]":
    child = subprocess.Popen(
        [sys.executable, "-c", COUNTS.format(more=more), str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"counted\n"
    return child


def kill(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    child.communicate(timeout=30)


def told(root: Path, name: str, **labels: str) -> float:
    samples = [
        sample
        for family in _Files(root / SCHEMA).collect()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return sum(sample.value for sample in samples)


def test_what_a_killed_process_counted_stays_and_its_sockets_are_gone(tmp_path: Path) -> None:
    first, second = process(tmp_path), process(tmp_path)
    assert told(tmp_path, "t2v_sockets", kind="ws") == 6
    kill(first)
    assert told(tmp_path, "t2v_sockets", kind="ws") == 3
    assert told(tmp_path, "t2v_previews_sent_total") == 2
    third = process(tmp_path)  # in the place of the first one, and counts on from there
    assert told(tmp_path, "t2v_sockets", kind="ws") == 6
    assert told(tmp_path, "t2v_previews_sent_total") == 3
    assert len(list((tmp_path / SCHEMA).glob("counter_*.db"))) == 2
    kill(second)
    kill(third)


def test_a_fork_counts_in_a_place_of_its_own(tmp_path: Path) -> None:
    child = process(tmp_path, FORKS)
    assert told(tmp_path, "t2v_previews_sent_total") == 3
    kill(child)


def test_a_thousand_starts_leave_the_files_of_one(tmp_path: Path) -> None:
    for _ in range(1000):
        slots.take(tmp_path, SCHEMA).let_go()
    held = [slots.take(tmp_path, SCHEMA) for _ in range(2)]
    assert [slot.number for slot in held] == [0, 1]
    assert len(os.listdir(tmp_path / SCHEMA)) == 1 + 2 * 4  # each a lock and three files
    for slot in held:
        slot.let_go()


def test_half_a_file_is_dropped_and_the_start_goes_on(tmp_path: Path) -> None:
    slots.take(tmp_path, SCHEMA).let_go()
    broken = tmp_path / SCHEMA / "counter_0.db"
    broken.write_bytes(b"\xff\xff\xff\x7f" + 100 * b"x")
    slots.take(tmp_path, SCHEMA).let_go()
    assert broken.read_bytes() == bytes(slots.RESERVED["counter"])


def test_what_another_version_counted_goes_with_its_last_process(tmp_path: Path) -> None:
    old = slots.take(tmp_path, "older")
    new = slots.take(tmp_path, SCHEMA)
    assert (tmp_path / "older").exists()
    old.let_go()
    slots.take(tmp_path, SCHEMA).let_go()
    assert not (tmp_path / "older").exists()
    new.let_go()


def test_a_folder_where_a_process_is_just_taking_a_place_is_left(tmp_path: Path) -> None:
    slots.take(tmp_path, "older").let_go()
    with slots._alone(tmp_path / "older"):
        slots.take(tmp_path, SCHEMA).let_go()
        assert (tmp_path / "older" / "0.lock").exists()
    (tmp_path / "new").mkdir()  # or has made its folder, and nothing more
    slots.take(tmp_path, SCHEMA).let_go()
    assert not (tmp_path / "older").exists()
    assert (tmp_path / "new").exists()


def test_a_broken_file_silences_no_other(tmp_path: Path) -> None:
    folder = tmp_path / SCHEMA
    held = slots.take(tmp_path, SCHEMA)
    for number, text in ((0, None), (7, b"\xff\xff\x00\x00\x00\x00\x00\x00nonsense" * 9)):
        file = folder / f"counter_{number}.db"
        if text is None:
            dict_of: Any = MmapedDict(str(file))  # type: ignore[no-untyped-call]
            key = mmap_key("t2v_previews_sent_total", "t2v_previews_sent_total", [], [], "")
            dict_of.write_value(key, 3.0, 0.0)
            dict_of.close()
        else:
            file.write_bytes(text)
    (told,) = _Files(folder).collect()
    assert [sample.value for sample in told.samples] == [3.0]
    held.let_go()


def test_where_nothing_can_be_written_a_process_counts_in_memory(
    tmp_path: Path, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    instruments._take(tmp_path / "file", SCHEMA)
    instruments.preview_sent()
    assert "told by itself alone" in caplog.text
    assert instruments._here.registry.get_sample_value("t2v_previews_sent_total") == 1


class Page:
    """A viewer that only comes and goes."""

    def __init__(self, kind: str, owner: int) -> None:
        self.kind, self.owner = kind, owner

    def topics(self) -> Iterator[Any]:
        return iter(())


async def test_sockets_are_exact_after_a_hundred_came_and_went(
    counted: Counted,
) -> None:
    hub = Hub([])

    def open_now(kind: str) -> float | None:
        return counted.registry.get_sample_value("t2v_sockets", {"kind": kind})

    pages: list[Any] = [Page("ws" if n % 2 else "sse", owner=n) for n in range(100)]
    for page in pages:
        hub.join(page)
    assert (open_now("ws"), open_now("sse")) == (50, 50)
    for page in pages:
        await hub.leave(page)
        await hub.leave(page)  # a connection may end twice
    assert (open_now("ws"), open_now("sse")) == (0, 0)


async def test_who_is_not_let_in_is_no_socket(counted: Counted) -> None:
    hub = Hub([])
    pages: list[Any] = [Page("ws", owner=1) for _ in range(MAX_VIEWERS + 1)]
    for page in pages[:-1]:
        hub.join(page)
    with pytest.raises(TooManyViewers):
        hub.join(pages[-1])
    await hub.leave(pages[-1])
    assert counted.registry.get_sample_value("t2v_sockets", {"kind": "ws"}) == MAX_VIEWERS
