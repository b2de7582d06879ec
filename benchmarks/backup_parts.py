"""The process with Django of benchmarks/backup.py: fills, backs up, restores, prints its table."""

import hashlib
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from accounts.models import User  # noqa: E402
from jobs.models import Artifact, Job  # noqa: E402
from jobs.tests.crowd import fill  # noqa: E402
from t2v_site import backups  # noqa: E402

ROUNDS = 3  # of the smaller one; of the larger one there is one
VIDEO = b"a video of 4 KB " * 256
RESTORED = "bench_restored"


def more(owner: User, count: int) -> None:
    """Jobs that succeeded, each with a row and a file; on the disk they are one."""
    with transaction.atomic():
        fill(owner, count, clips=True)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobs_artifact DISABLE TRIGGER USER")  # it is written once
        cursor.execute("DELETE FROM jobs_artifact WHERE name <> 'video.mp4'")
        told: list[int | str] = [len(VIDEO), hashlib.sha256(VIDEO).hexdigest()]
        cursor.execute("UPDATE jobs_artifact SET size = %s, sha256 = %s", told)
        cursor.execute("ALTER TABLE jobs_artifact ENABLE TRIGGER USER")
        cursor.execute("VACUUM FULL ANALYZE")
    one = settings.T2V_VAR / "one.mp4"
    one.write_bytes(VIDEO)
    for key in Artifact.objects.values_list("key", flat=True).iterator():
        place = Path(settings.MEDIA_ROOT) / key
        if not place.exists():
            place.parent.mkdir(parents=True)
            os.link(one, place)


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def anew(name: str) -> None:
    """That database, empty, is the one that is connected to."""
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
        cursor.execute(f'CREATE DATABASE "{name}"')
    connection.settings_dict["NAME"] = name


def once(folder: Path) -> dict[str, float]:
    """Seconds of each arm, in turn."""
    home, media = connection.settings_dict["NAME"], Path(settings.MEDIA_ROOT)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    words: tuple[str, ...] = ("--format=custom", "--no-owner", "--no-privileges")
    dump, make = folder / "plain.dump", partial(backups.make, with_files=False)
    found = {
        "pg_dump": seconds(partial(backups._run, "pg_dump", *words, "--file", dump)),
        "backup --without-files": seconds(partial(make, folder / "database")),
        "backup": seconds(partial(make, folder / "all", with_files=True)),
    }
    anew(RESTORED)
    words = (*backups._PG_RESTORE, "--dbname", RESTORED)
    found["pg_restore"] = seconds(partial(backups._run, "pg_restore", *words, dump))
    for name, source in (("restore, no files", "database"), ("restore", "all")):
        anew(RESTORED)
        settings.MEDIA_ROOT = folder / "media"
        found[name] = seconds(partial(backups.restore, folder / source))
    settings.MEDIA_ROOT = media
    for name in ("reconcile", "reconcile --deep"):
        told = StringIO()
        found[name] = seconds(partial(call_command, *name.split(), stdout=told))
        assert told.getvalue().startswith("0 files"), told.getvalue()[-200:]
    connection.close()
    connection.settings_dict["NAME"] = home
    return found


def main(count: int) -> None:
    owner = User.objects.create_user("alice@example.com")
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(f"{machine}; in s: the median of {ROUNDS}, then of one")
    for jobs in (count // 10, count):
        more(owner, jobs - Job.objects.count())
        folder = settings.T2V_VAR / "backups"
        rounds = [once(folder) for _ in range(1 if jobs == count else ROUNDS)]
        middle = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
        size = (folder / "database" / backups.DUMP).stat().st_size
        load = os.getloadavg()[0]
        print(f"\n{jobs:,} jobs, a file each; the dump has {size / 1e6:.1f} MB; load {load:.0f}")
        for name, took in middle.items():
            beside = middle["pg_restore" if "restore" in name else "pg_dump"]
            times = "" if name.startswith("rec") else f"{took / beside:6.1f} x"
            print(f"{name:26} {took:8.2f} {times}".rstrip(), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
