"""manage.py up: the whole system on one machine, until Ctrl-C. `make run` calls it."""

import socket
import sys
import urllib.error
import urllib.request
from io import TextIOWrapper
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.utils import timezone

from jobs.models import Worker
from t2v_site import embedded, logins
from t2v_site.supervisor import Part, Supervisor

# Of the queue web: no child, no GPU. A name of its own, for two workers of one name confuse Celery.
WEBHOOKS = ["-Q", "web", "-n", "web@%h", "-I", "jobs.webhooks.tasks"]
WEBHOOKS += ["--pool", "threads", "--concurrency", "4"]


class Command(BaseCommand):
    help = "Runs the site, a GPU worker and the sweep, with Postgres and Redis if none is set."

    def handle(self, *args: Any, **options: Any) -> None:
        _refuse_taken_port()
        if isinstance(
            sys.stdout, TextIOWrapper
        ):  # also a pipe's reader is told of each step at once
            sys.stdout.reconfigure(line_buffering=True)
        self.stdout.write("Preparing the database …")
        call_command("migrate", verbosity=0)
        if settings.T2V_DEMO:
            made = logins.ensure(settings.T2V_VAR, chosen=settings.T2V_DEMO_PASSWORD)
            self.stdout.write(f"Demo logins (e-mail, password, role):\n{logins.table(made)}")
        self.stdout.write(f"Starting on {settings.BASE_URL} … (Ctrl-C ends everything)")
        began = timezone.now()
        supervisor = Supervisor(_parts(), heal=embedded.heal)
        code = supervisor.run(
            ready=lambda: _site_answers() and _worker_is_ready(began),
            on_ready=lambda: self.stdout.write(f"Ready: {settings.BASE_URL}"),
        )
        sys.exit(code)


def _parts() -> list[Part]:
    python = sys.executable
    site = [python, "-m", "daphne", "-b", settings.T2V_HOST, "-p", str(settings.T2V_PORT)]
    # Running as root is the user's choice on their own machine; the banner repeats our own lines.
    calm = ["-W", "ignore:You're running the worker with superuser privileges"]
    celery = [python, *calm, "-m", "celery", "--quiet", "-A", "t2v_site", "worker"]
    celery += ["--loglevel", "WARNING", "--without-mingle", "--without-gossip"]
    threads = {"OMP_NUM_THREADS": str(settings.T2V_TORCH_THREADS)}
    return [
        Part("web", [*site, "--verbosity", "0", "t2v_site.asgi:application"]),
        Part("worker", [*celery, "-Q", f"gpu.{settings.T2V_POOL}"], env=threads),
        Part("webhooks", [*celery, *WEBHOOKS]),
        Part("sweep", [python, str(settings.BASE_DIR / "manage.py"), "sweep"]),
    ]


def _refuse_taken_port() -> None:
    """A clear word before anything is started, instead of a part that dies five times."""
    host, port = settings.T2V_HOST, settings.T2V_PORT
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {host}:{port} ({error.strerror}). Is it running already? "
                "Choose another port with T2V_PORT=8001 make run."
            ) from error


def _site_answers() -> bool:
    # Its own host name is always allowed; in production the site knows no other.
    request = urllib.request.Request(  # noqa: S310 - http, written by us
        f"{settings.LOCAL_URL}/healthz/live", headers={"Host": settings.ALLOWED_HOSTS[0]}
    )
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _worker_is_ready(began: Any) -> bool:
    try:
        return Worker.objects.filter(ready_at__gte=began).exists()
    except DatabaseError:
        connection.close()
        return False
