"""A small file for each part that nobody can ask over HTTP: that it lives, and what hinders it.

In T2V_VAR/signs, for `manage.py healthy` (t2v_site/healthy.py), which reads them without Django, so
this knows none. Times are CLOCK_MONOTONIC: one clock for all processes of a machine.
"""

import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER = "signs"  # below T2V_VAR
# A part of whose process nothing was heard for so long hangs. A worker's child may keep Python's
# lock while it loads weights; a sweep waits a lease's 60 s when Postgres was away.
SILENT_SECONDS = {"worker": 180.0, "sweep": 150.0, "sender": 90.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The last sign of one living process."""

    pid: int
    age: float  # seconds
    hindrance: str  # why it does not do its work now; empty when it does


class Sign:
    """One process's. For one thread at a time."""

    def __init__(self, var: Path, part: str) -> None:
        """part: of SILENT_SECONDS."""
        self._folder, self._part = var / FOLDER, part
        self._path = self._folder / _name(part, os.getpid())
        self._born = _born(os.getpid())
        self._said = ""  # the trouble with writing it, once told

    def show(self, hindrance: str = "") -> None:
        """Nobody ends because a sign cannot be written; the log hears of it once."""
        try:
            if not self._path.exists():
                self._folder.mkdir(parents=True, exist_ok=True)
                _forget_the_dead(self._folder, self._part)
            new = self._path.with_suffix(".new")
            told = {"at": time.monotonic(), "hindrance": hindrance, "born": self._born}
            new.write_text(json.dumps(told))
            new.replace(self._path)
            self._said = ""
        except OSError as error:
            if self._said != str(error):
                self._said = str(error)
                logger.warning("no sign of life can be written (%s)", error.strerror)

    def take_away(self) -> None:
        """At the end of the process."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("the sign of life stays (%s)", error.strerror)


def shown(var: Path, part: str) -> list[Shown]:
    """By every living process of that part on this machine. Raises OSError."""
    found = []
    for path, pid in _files(var / FOLDER, part):
        if not _lives(pid):
            continue  # nor read: a power cut may have left half of it
        try:
            told = json.loads(path.read_text())
        except FileNotFoundError:
            continue  # it has just ended
        if not _lives(pid, told.get("born", "")):
            continue
        age = time.monotonic() - float(told["at"])
        # The clock of an earlier start of this machine was further on.
        found.append(Shown(pid=pid, age=age if age >= 0 else 1e9, hindrance=told["hindrance"]))
    return found


def _name(part: str, pid: int) -> str:
    """Containers that share the folder count their processes alike, so the host's name is in it."""
    return f"{part}-{socket.gethostname()}-{pid}.sign"


def _files(folder: Path, part: str) -> Iterator[tuple[Path, int]]:
    before = f"{part}-{socket.gethostname()}-"
    for path in folder.glob(f"{part}-*.sign"):
        number = path.stem.removeprefix(before)
        if path.stem.startswith(before) and number.isdecimal():
            yield path, int(number)


def _forget_the_dead(folder: Path, part: str) -> None:
    for path, pid in _files(folder, part):
        try:
            born = json.loads(path.read_text())["born"]
        except (OSError, ValueError, KeyError, TypeError):
            born = ""
        if not _lives(pid, born):
            path.unlink(missing_ok=True)


def _born(pid: int) -> str:
    """Clock ticks from the machine's start to the process', proc(5); empty where nobody tells."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def _lives(pid: int, born: str = "") -> bool:
    """Numbers are given again, after a kill of all and a new start soon: born tells them apart."""
    if born and (now := _born(pid)) and now != born:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another person's
        return True
    return True
