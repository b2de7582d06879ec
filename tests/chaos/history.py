"""What happened in one run: every event as a line of JSON, what matters also on the terminal."""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any


class History:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8")

    @property
    def seconds(self) -> float:
        """Since the begin of the run."""
        return time.monotonic() - self._began

    def note(self, kind: str, **facts: Any) -> None:
        line = json.dumps({"at": round(self.seconds, 2), "kind": kind, **facts}, default=str)
        with self._lock:
            if not self._file.closed:  # a thread of a run that was interrupted may be late
                self._file.write(line + "\n")
                self._file.flush()

    def say(self, text: str) -> None:
        self.note("said", text=text)
        with self._lock:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def close(self) -> None:
        with self._lock:
            self._file.close()
