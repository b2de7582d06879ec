"""What was migrated once, for all that begin with an empty database: 3 s of a processor each time.

Keyed by every source that a migration may run: with another one it is made anew.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Where a session of pytest keeps it (tests/services.py); without it every site begins by itself.
FOLDER = "TESTS_MIGRATED"


@cache
def key() -> str:
    files = [ROOT / "manage.py", ROOT / "constraints.txt"]
    for part in ("accounts", "jobs", "t2v_site"):
        files += (file for file in (ROOT / part).rglob("*.py") if "tests" not in file.parts)
    sources = hashlib.sha256(sys.version.encode())
    for file in sorted(files):
        sources.update(f"{file.relative_to(ROOT)} {file.stat().st_size}\n".encode())
        sources.update(file.read_bytes())
    return sources.hexdigest()[:16]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process of this session at a time."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def furnish(var: Path) -> None:
    """Puts Postgres' files into a new data folder, as `migrate` leaves them, without a person."""
    folder = Path(os.environ[FOLDER])
    made = folder / key()
    with alone(folder):
        if not made.exists():
            for old in folder.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            new = folder / "new"
            clean = {name: value for name, value in os.environ.items() if name[:4] != "T2V_"}
            clean.pop("DJANGO_SETTINGS_MODULE", None)
            subprocess.run(
                [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
                cwd=ROOT,
                env=clean | {"T2V_VAR": str(new)},
                check=True,
                timeout=180,  # seconds; 3 to 6 on an idle machine
            )
            new.rename(made)
    var.mkdir(mode=0o700, parents=True)
    # The servers' own user owns them. Its password is this site's own, set at the start.
    subprocess.run(["cp", "-a", str(made / "postgres"), str(var / "postgres")], check=True)
