"""manage.py restore FOLDER: while nothing runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from t2v_site import backups


class Command(BaseCommand):
    help = "Brings a backup into an empty database, and its files to this site's folder or bucket."
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="as `manage.py backup` wrote it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = backups.restore(options["folder"])
        except (backups.BackupError, OSError) as error:
            raise CommandError(str(error)) from error
        files = "no files, for it holds none" if made["files"] is None else f"{made['files']} files"
        self.stdout.write(
            f"Restored as of {made['began_at']}, {files}. Before anything starts: manage.py "
            "migrate, deploy/postgres/roles.sql if its roles are used, manage.py sweep --once, "
            "manage.py reconcile (docs/howto/backup.md)."
        )
