#!/usr/bin/env python
"""Django's commands, with a database and a Redis of our own where none are set."""

import os
import signal
import sys
from types import FrameType

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from accounts import origin
from t2v_site import embedded, healthy
from t2v_site.daemon import EmbeddedError

# They read the settings and connect to nothing. (makemigrations asks the database; so does
# check --database.)
_WITHOUT_SERVICES = frozenset(
    {"", "help", "version", "check", "collectstatic", "compilemessages", "makemessages"}
    | {"bucket", "models", "nano", "render"}
)
_HELP = frozenset({"-h", "--help", "--version"})


def _leave(number: int, _frame: FrameType | None) -> None:
    """A signal ends us as Ctrl-C does: every context is left in order."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main(argv: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "t2v_site.settings")
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    command = argv[1] if len(argv) > 1 else ""
    if command == "healthy":  # asked every few seconds: without Django it takes a tenth of one
        sys.exit(healthy.main(argv[2:]))
    connects = command not in _WITHOUT_SERVICES or "--database" in argv
    start = connects and not _HELP & set(argv)
    try:
        if command not in ("up", "sweep"):
            origin.started_by_hand()
        with embedded.services(stop_always=command == "up", start=start):
            execute_from_command_line(argv)
    except (EmbeddedError, ImproperlyConfigured) as error:
        if "--traceback" in argv:
            raise
        sys.exit(f"manage.py: {error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main(sys.argv)
