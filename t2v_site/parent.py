"""The make that started us: whether it was interrupted, or killed, without a word to us."""

import os
import signal
from pathlib import Path


class Parent:
    """GNU make passes SIGTERM on, but not SIGINT: it trusts that the terminal sent that to all.

    A program that sends SIGINT to make alone would wait for ever. make then blocks SIGINT and
    waits for us, which /proc shows. Without /proc, or below another program, nothing is watched.
    """

    def __init__(self) -> None:
        self._pid = os.getppid()
        self._is_make = self._status("Name:") in {"make", "gmake"}

    def _status(self, name: str) -> str:
        try:
            lines = (Path("/proc") / str(self._pid) / "status").read_text("utf-8").splitlines()
        except OSError:
            return ""
        return next((line.split()[1] for line in lines if line.startswith(name)), "")

    def gave_up(self) -> bool:
        if not self._is_make:
            return False
        blocked = int(self._status("SigBlk:") or "0", 16)
        return os.getppid() != self._pid or bool(blocked & 1 << (signal.SIGINT - 1))
