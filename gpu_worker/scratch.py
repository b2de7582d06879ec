"""One folder below the system's own for temporary files, gone when its process is gone.

A process that is killed removes nothing; the next one that starts here does. Whether a folder's
process lives is asked of a lock, not of a process id: containers that share the folder count
their processes from 1.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from pathlib import Path

logger = logging.getLogger(__name__)

PREFIX = "t2v-tail-"
LOCK = "lock"


def free_mb() -> int:
    """Of the disk for temporary files."""
    return shutil.disk_usage(tempfile.gettempdir()).free // 1_000_000


class Scratch:
    def __init__(self) -> None:
        """Removes what dead processes of this user left, then makes its own folder."""
        _sweep(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))  # 0700
        # Locked before it has its name: a folder with a free lock is a dead one's.
        new = self.path / f"{LOCK}.new"
        self._lock = new.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        new.rename(self.path / LOCK)

    def folder(self) -> Path:
        """A new empty folder for one clip."""
        return Path(tempfile.mkdtemp(prefix="clip-", dir=self.path))

    def close(self) -> None:
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)


def _sweep(parent: Path) -> None:
    with os.scandir(parent) as entries:
        left = [
            Path(entry.path)
            for entry in entries
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False)
        ]
    for folder in left:
        if _is_dead(folder):
            logger.warning("removing %s, left by a process that was killed", folder.name)
            shutil.rmtree(folder, ignore_errors=True)


def _is_dead(folder: Path) -> bool:
    try:
        if folder.stat().st_uid != os.getuid():
            return False
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it lives, is being made, is gone already, or is none of our business
        return False
    return True
