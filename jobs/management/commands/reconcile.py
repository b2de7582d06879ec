"""manage.py reconcile: storage against database, both ways. Reads all of both; for quiet hours."""

import re
from argparse import ArgumentParser
from collections.abc import Iterator
from itertools import islice
from typing import Any
from uuid import UUID

from django.core.files.storage import default_storage
from django.core.management.base import BaseCommand, CommandError
from django.db.models.functions import Now

from jobs import artifacts, purge
from jobs.artifacts import StorageUnavailable
from jobs.lifecycle import Outcome, State
from jobs.models import Artifact, Attempt, Checkpoint, Job

AT_ONCE = 200  # attempts whose rows are asked for in one statement


class Command(BaseCommand):
    help = (
        "Lists files that no job refers to, artifacts and checkpoints whose file is missing or has "
        "another size, and running jobs that nobody holds. With --delete the first go; a live "
        "attempt's files are left alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--delete", action="store_true", help="delete what nobody refers to")
        parser.add_argument("--deep", action="store_true", help="read every file, for its SHA-256")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            orphans = self._orphans(delete=options["delete"])
            missing = self._missing(Artifact, said="", deep=options["deep"])
            # Their jobs begin from noise again, which costs time and nothing else.
            unsaved = self._missing(Checkpoint, said="checkpoint ", deep=options["deep"])
        except StorageUnavailable as error:
            raise CommandError(f"The storage does not answer ({error}); try again.") from error
        gone = " and deleted" if options["delete"] else ""
        self.stdout.write(
            f"{orphans} files that nobody refers to found{gone}, {missing} artifacts without file, "
            f"{unsaved} checkpoints without file, {self._unheld()} running jobs that nobody holds"
        )
        if missing:
            raise CommandError("Files are missing; restore them from the bucket's versions.")

    def _orphans(self, *, delete: bool) -> int:
        count, folders = 0, _folders()
        while some := list(islice(folders, AT_ONCE)):
            for key in _unreferenced(some):
                self.stdout.write(f"orphan {key}")
                if delete:
                    artifacts.delete(key)
                count += 1
        return count

    def _missing(self, model: type[Artifact | Checkpoint], *, said: str, deep: bool) -> int:
        """Rows whose file is not there, or is another one."""
        count = 0
        for row in model._default_manager.order_by("pk").iterator(chunk_size=500):
            if what := _wrong(row, deep=deep):
                self.stdout.write(f"{said}{what} {row.key}")
                count += 1
        return count

    def _unheld(self) -> int:
        """The sweep takes them back."""
        overdue = Job.objects.filter(state=State.RUNNING, lease_until__lt=Now()).order_by("pk")
        jobs = list(overdue.values_list("pk", flat=True)[:1000])
        for job in jobs:
            self.stdout.write(f"unheld {job}")
        return len(jobs)


def _wrong(row: Artifact | Checkpoint, *, deep: bool) -> str:
    """What is wrong with a row's file; empty where nothing is."""
    found = artifacts.size_of(row.key)
    if found is None:
        return "missing"
    if found != row.size:
        return f"{found} bytes, not {row.size}:"
    if deep and artifacts.sha256_of(row.key) != row.sha256:
        return "other bytes:"
    return ""


def _unreferenced(folders: list[tuple[UUID, int]]) -> list[str]:
    """Keys in these folders to which no row refers, but for those of attempts that live.

    In this order: what lies there was put by an attempt that lives still, or whose rows are there.
    """
    whose = {
        artifacts.key_for(job, attempt, name): (job, attempt)
        for job, attempt in folders
        for name in artifacts.names_in(job, attempt)
    }
    jobs = {job for job, _ in folders}
    running = Attempt.objects.filter(job__in=jobs, outcome=Outcome.RUNNING)
    live = set(running.values_list("job_id", "number"))
    return purge.without_row({key for key, folder in whose.items() if folder not in live})


def _folders() -> Iterator[tuple[UUID, int]]:
    """Of attempts in storage. What has another name is not ours to judge."""
    for job in _listed("jobs"):
        if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", job):
            for attempt in _listed(f"jobs/{job}"):
                if attempt.isdecimal():
                    yield UUID(job), int(attempt)


def _listed(folder: str) -> list[str]:
    with artifacts.answering():
        try:
            return default_storage.listdir(folder)[0]
        except FileNotFoundError:
            return []
