"""Files for the processes of one machine to count in: a place for each that lives, not one for each
that ever lived.

Prometheus' client names a process' files after its number, and those of the dead stay: a worker's
child that starts a thousand times leaves a thousand. Here a process takes the first free place,
whose lock the kernel frees however it ends, and counts on from what lies there. So nothing that was
counted is lost, and there are as many files as processes ever ran side by side.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.mmap_dict import MmapedDict

# Reserved on the disk at once: a page of a mapped file that a full disk has no room for kills the
# process that touches it.
RESERVED = {"counter": 1 << 18, "histogram": 1 << 20}
GAUGES = ("livesum",)  # the modes of instruments.py
GAUGE_BYTES = 1 << 16
MOST = 256  # processes of one machine


# The client has no types here.
read_values: Callable[[str], Iterable[Any]] = MmapedDict.read_all_values_from_file


class NoSlot(Exception):
    """There is no place to count in."""


class Slot:
    """A place, held until this process ends."""

    def __init__(self, folder: Path, number: int, lock: int) -> None:
        self.folder, self.number, self._lock = folder, number, lock

    def let_go(self) -> None:
        os.close(self._lock)


def take(root: Path, schema: str) -> Slot:
    """schema names what is counted: what another version counts lies in a folder of its own.

    Raises OSError, and NoSlot.
    """
    folder = root / schema
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        _clear_away(root, but=folder)
        for number in range(MOST):
            lock = _try(folder, number)
            if lock is not None:
                _prepare(folder, number)
                return Slot(folder, number, lock)
    raise NoSlot(f"{MOST} processes count in {folder} already")


def files(folder: Path) -> list[str]:
    """To be read; what only the living tell is removed of the dead."""
    with _alone(folder):
        for path in folder.glob("gauge_live*.db"):
            lock = _try(folder, int(path.stem.rpartition("_")[2]))
            if lock is not None:
                path.unlink()
                os.close(lock)
    return sorted(str(path) for path in folder.glob("*.db"))


def whole(paths: list[str]) -> list[str]:
    """Those that can be read."""
    return [path for path in paths if _is_whole(Path(path))]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # held for a moment by whoever has it
        yield
    finally:
        os.close(lock)


def _try(folder: Path, number: int) -> int | None:
    return _lock(folder / f"{number}.lock")


def _lock(path: Path) -> int | None:
    """None when a living process has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _prepare(folder: Path, number: int) -> None:
    for mode in GAUGES:
        (folder / f"gauge_{mode}_{number}.db").unlink(missing_ok=True)
        _reserve(folder / f"gauge_{mode}_{number}.db", GAUGE_BYTES)
    for kind, size in RESERVED.items():
        path = folder / f"{kind}_{number}.db"
        if not _is_whole(path):
            path.unlink(missing_ok=True)
        _reserve(path, size)


def _is_whole(path: Path) -> bool:
    """A power cut may leave half of one."""
    try:
        for _ in read_values(str(path)):
            pass
    except FileNotFoundError:
        return True
    except Exception:  # whatever stumbles over what it holds
        return False
    return True


def _reserve(path: Path, size: int) -> None:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(file, 0, max(size, os.fstat(file).st_size))
    finally:
        os.close(file)


def _clear_away(root: Path, *, but: Path) -> None:
    """Folders of other versions in which nobody counts any more."""
    for folder in root.iterdir():
        if folder == but or not folder.is_dir():
            continue
        # The folder's own too: who is just taking a place there has none of the others yet.
        places = [path for path in folder.glob("*.lock") if path.stem.isdecimal()]
        locks = [_lock(path) for path in (folder / "lock", *places)]
        if places and None not in locks:
            shutil.rmtree(folder, ignore_errors=True)
        for lock in locks:
            if lock is not None:
                os.close(lock)
