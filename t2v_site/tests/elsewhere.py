"""Another place for the site: a database, a data folder, and manage.py and a worker there."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.db import DatabaseError, connections

ROOT = Path(__file__).resolve().parents[2]
DROP_SECONDS = 60.0
# As Celery's child does, but that it looks for jobs all the time: nobody knocks at it.
WORKER = "from gpu_worker import runner; runner.IDLE_SECONDS = 0.2; runner.start().join(3600)"


@dataclass(frozen=True, kw_only=True)
class Place:
    url: str
    var: Path

    def manage(self, *words: str, **changed: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self._environment(changed),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    @contextmanager
    def worker(self, log: Path, **changed: str) -> "Iterator[subprocess.Popen[bytes]]":
        """Killed in the end, as by a power cut."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", WORKER],
                cwd=ROOT,
                env=self._environment(changed),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _environment(self, changed: dict[str, str]) -> dict[str, str]:
        here = {"T2V_DATABASE_URL": self.url, "T2V_VAR": str(self.var)}
        return {**os.environ, **here, **changed}

    def sql(self, statement: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as database:
            cursor = database.execute(statement)
            return cursor.fetchall() if cursor.description else []


def url_of(database: str) -> str:
    return urlunsplit(urlsplit(os.environ["T2V_DATABASE_URL"])._replace(path=f"/{database}"))


@contextmanager
def empty_place(folder: Path) -> Iterator[Place]:
    """With an empty database of its own."""
    name = f"restored_{os.environ.get('PYTEST_XDIST_WORKER', 'one')}"
    _drop(name)
    with connections["default"]._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')
    yield Place(url=url_of(name), var=folder)
    _drop(name)


def _drop(name: str) -> None:
    until = time.monotonic() + DROP_SECONDS  # an autovacuum may be in it
    while True:
        try:
            with connections["default"]._nodb_cursor() as cursor:
                cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
        except DatabaseError:
            if time.monotonic() > until:
                raise
        else:
            return
