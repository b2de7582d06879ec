"""manage.py backup FOLDER: while everything runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from t2v_site import backups


class Command(BaseCommand):
    help = "Writes the database, and the videos unless they lie on S3, into a new folder."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="must not exist yet")
        parser.add_argument(
            "--without-files",
            action="store_true",
            help="the database alone, where others copy those",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = backups.make(options["folder"], with_files=not options["without_files"])
        except (backups.BackupError, OSError) as error:
            raise CommandError(str(error)) from error
        files = "no files" if made["files"] is None else f"{made['files']} files"
        self.stdout.write(
            f"{options['folder']}: the database as of {made['began_at']} "
            f"({made['dump_bytes']} bytes), {files}, in {made['seconds']:.1f} s. "
            "Keep T2V_SECRET_KEY too, elsewhere: without it this is worth little."
        )
