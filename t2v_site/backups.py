"""A backup: one consistent dump of Postgres and, where videos lie in a folder, a copy of it.

The dump comes first. A video is put before its row says so and nothing is ever overwritten, so that
every file which the dump names is there when the copy comes to it, whatever workers do meanwhile,
but for what is cleared away in between (a deleted job's, an older checkpoint); what they add is in
the copy too much. `reconcile` tells of both. A bucket on S3 is not copied: its versions and
replication are the store's (docs/howto/backup.md). But a copy of a folder is put into a bucket
where the site that it comes to has one.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils.crypto import salted_hmac

from jobs import artifacts
from t2v_site import postgres
from t2v_site.daemon import EmbeddedError

DUMP, FILES, MANIFEST = "database.dump", "files", "manifest.json"
FORMAT = 1
KEY = re.compile(r"jobs/(?P<job>[0-9a-f-]{36})/(?P<attempt>[0-9]+)/(?P<name>[^/]+)")
_OPTIONS = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT"}
_OPTIONS |= {"sslkey": "PGSSLKEY", "target_session_attrs": "PGTARGETSESSIONATTRS"}


class BackupError(Exception):
    """A sentence for the person at the terminal."""


def make(target: Path, *, with_files: bool) -> dict[str, Any]:
    """Writes a new folder, whole or not at all; its manifest."""
    if target.exists():
        raise BackupError(f"{target} exists already; a backup is never written over another.")
    new = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700, parents=True)  # it holds prompts and the hashes of passwords
    began = datetime.now(UTC)
    _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--file", new / DUMP)
    with_files = with_files and not settings.S3_BUCKET
    manifest = {
        "format": FORMAT,
        "began_at": began.isoformat(timespec="seconds"),
        "secret_key": _fingerprint(),
        "dump_sha256": _sha256(new / DUMP),
        "dump_bytes": (new / DUMP).stat().st_size,
        "files": _copy(Path(settings.MEDIA_ROOT), new / FILES) if with_files else None,
    }
    manifest["seconds"] = round((datetime.now(UTC) - began).total_seconds(), 2)
    (new / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    new.rename(target)
    return manifest


def restore(source: Path) -> dict[str, Any]:
    """Into an empty database and beside the files that are there; the manifest."""
    manifest = _read(source)
    if manifest["secret_key"] != _fingerprint():
        raise BackupError(
            "T2V_SECRET_KEY is not the one of the backup: second factors and webhooks' secrets "
            "are encrypted with it, and nobody could read them. Set the old one."
        )
    if connection.introspection.table_names():
        raise BackupError("The database holds tables already; restore into an empty one.")
    connection.close()
    # Files first: where one is in the way or the disk is full, the same command can be given again.
    # With a database that holds tables by then it could not.
    if manifest["files"] is not None:
        if settings.S3_BUCKET:
            _put(source / FILES)
        else:
            _copy(source / FILES, Path(settings.MEDIA_ROOT))
    _run("pg_restore", *_PG_RESTORE, "--dbname", _environment()["PGDATABASE"], source / DUMP)
    return manifest


_PG_RESTORE = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")


def _read(source: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
        known = manifest["format"] == FORMAT
        sound = known and _sha256(source / DUMP) == manifest["dump_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{source} is no backup ({type(error).__name__}).") from error
    if not known:
        raise BackupError(f"{source} is of another release ({manifest['format']}).")
    if not sound:
        raise BackupError(f"{source / DUMP} is damaged: its SHA-256 is not the manifest's.")
    return manifest


def _fingerprint() -> str:
    """Tells whether it is the same key, and nothing about it."""
    return salted_hmac("t2v_site.backups", "which key", algorithm="sha256").hexdigest()[:16]


def _copy(source: Path, target: Path) -> int:
    """Files that were copied. One that the sweep takes away meanwhile is nobody's any more."""
    copied = 0
    for path in _below(source):
        place = target / path.relative_to(source)
        if place.exists():
            if place.stat().st_size != path.stat().st_size:
                raise BackupError(f"{place} is another file than the backup's; move it away.")
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        half = place.with_name(f"{place.name}.half")
        try:
            shutil.copy2(path, half)
        except FileNotFoundError:
            continue
        half.rename(place)
        copied += 1
    return copied


def _put(source: Path) -> None:
    """Into the bucket. What lies there already with the same bytes stays."""
    for path in _below(source):
        key = path.relative_to(source).as_posix()
        if (ours := KEY.fullmatch(key)) is None:
            continue  # what has another name no row refers to
        try:
            artifacts.put(UUID(ours["job"]), int(ours["attempt"]), ours["name"], path)
        except artifacts.StorageConflict as error:
            raise BackupError(f"{error}; move what lies there away.") from error
        except artifacts.StorageUnavailable as error:
            raise BackupError(f"The bucket does not take {key} ({error}); try again.") from error


def _below(folder: Path) -> Iterator[Path]:
    for here, _, names in os.walk(folder):
        yield from (Path(here) / name for name in names)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _environment() -> Mapping[str, str]:
    """The password does not stand in the list of processes."""
    database = connection.settings_dict
    options = database["OPTIONS"]
    return {
        "PGHOST": str(database["HOST"]),
        "PGPORT": str(database["PORT"]),
        "PGUSER": str(database["USER"]),
        "PGPASSWORD": str(database["PASSWORD"]),
        "PGDATABASE": str(database["NAME"]),
        "PGCONNECT_TIMEOUT": "10",
        "PGAPPNAME": "t2v backup",
        **{_OPTIONS[name]: str(value) for name, value in options.items() if name in _OPTIONS},
    }


def _run(program: str, *words: str | Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603
            [_tool(program), *map(str, words)],
            env={"PATH": os.environ.get("PATH", ""), **_environment()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise BackupError(f"{program} cannot be started ({error.strerror}).") from error
    if done.returncode:
        raise BackupError(f"{program} failed: {done.stderr.strip()[-500:]}")


def _tool(program: str) -> str:
    """The embedded server's, which knows every older one; else the machine's."""
    try:
        return str(postgres.program(program))
    except EmbeddedError:
        found = shutil.which(program)
    if found is None:
        raise BackupError(
            f"There is no {program} here (Debian: apt-get install postgresql-client)."
        )
    return found
