"""A Postgres and a Redis of a benchmark's own, in memory where that can be, thrown away."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from t2v_site import embedded

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"


@contextmanager
def services() -> Iterator[str]:
    """A Postgres with both databases and a Redis; the empty database's address."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own in it
    place = memory if os.access(memory, os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="t2v-bench-", dir=place)
    for name in [name for name in os.environ if name.startswith("T2V_")]:
        del os.environ[name]
    os.environ |= {"T2V_VAR": folder, "DJANGO_SETTINGS_MODULE": "t2v_site.settings"}
    try:
        with embedded.services(stop_always=True):
            url = os.environ["T2V_DATABASE_URL"]
            migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
            subprocess.run(migrate, cwd=ROOT, check=True)
            empty = url.rpartition("/")[0] + "/bench_empty"
            with psycopg.connect(url, autocommit=True) as sql:
                sql.execute("ALTER ROLE t2v SET synchronous_commit = off")
                sql.execute("CREATE DATABASE bench_empty TEMPLATE t2v")
            yield empty
    finally:
        shutil.rmtree(folder)


def measure(words: str | None, *, counted: str, default: int) -> None:
    """The command line of a benchmark <name>.py: <name>_parts.py, in a process with Django of its
    own and beside services of its own, prints a table about so many; it is shown, and written to
    results/<name>.txt.
    """
    name = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=(words or "").partition("\n")[0])
    parser.add_argument(counted, type=int, default=default, dest="count")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    with services():
        command = [sys.executable, "-m", f"benchmarks.{name}_parts", str(options.count)]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    table = done.stdout
    print(table, end="")
    if not options.no_write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.txt").write_text(table)
