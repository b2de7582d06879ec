"""As manage.py itself does it without Django; here for `manage.py help`, and for call_command."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from t2v_site import healthy


class Command(BaseCommand):
    help = "Says whether a part lives on this machine, by its exit code."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        healthy.arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(healthy.told(*healthy.look(options["part"], ready=options["ready"])))
