"""manage.py reconcile: storage against database, both ways. Reads all of both; for quiet hours."""

import re
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.core.files.storage import default_storage
from django.core.management.base import BaseCommand, CommandError

from jobs import artifacts, purge
from jobs.artifacts import StorageUnavailable
from jobs.lifecycle import Outcome
from jobs.models import Artifact, Attempt


class Command(BaseCommand):
    help = (
        "Lists files that no job refers to, and artifacts whose file is missing or has another "
        "size. With --delete the former go; a live attempt's files are left alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--delete", action="store_true", help="delete what nobody refers to")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            orphans = self._orphans(delete=options["delete"])
            missing = self._missing()
        except StorageUnavailable as error:
            raise CommandError(f"The storage does not answer ({error}); try again.") from error
        gone = " and deleted" if options["delete"] else ""
        self.stdout.write(
            f"{orphans} files that nobody refers to found{gone}, {missing} artifacts without file"
        )
        if missing:
            raise CommandError("Files are missing; restore them from the bucket's versions.")

    def _orphans(self, *, delete: bool) -> int:
        count = 0
        for job, attempt in _folders():
            live = Attempt.objects.filter(job=job, number=attempt, outcome=Outcome.RUNNING)
            if live.exists():
                continue
            for key in purge.unreferenced(job, attempt):
                self.stdout.write(f"orphan {key}")
                if delete:
                    artifacts.delete(key)
                count += 1
        return count

    def _missing(self) -> int:
        count = 0
        for artifact in Artifact.objects.order_by("pk").iterator(chunk_size=500):
            found = artifacts.size_of(artifact.key)
            if found != artifact.size:
                what = "missing" if found is None else f"{found} bytes, not {artifact.size}:"
                self.stdout.write(f"{what} {artifact.key}")
                count += 1
        return count


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
