"""The whole site with its own Postgres, Redis and S3 server: 2 webs, 3 workers, 2 sweeps."""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis

from t2v_site.daemon import Daemon, stop_all
from t2v_site.postgres import ROLE, Postgres
from t2v_site.redis_server import Redis
from tests.chaos.history import History
from tests.chaos.parts import Part, Parts
from tests.chaos.s3_server import BUCKET, S3Server
from tests.ports import free_port
from tests.stage import PASSWORD, ROOT, S3_KEY, S3_SECRET

WORKERS, WEBS, SWEEPS = 3, 2, 2
START_SECONDS = 180.0  # three workers load torch at the same time, from a cold file cache
GOODBYE_SECONDS = 10.0  # Postgres notices that a client has gone when it has a processor
SCRATCH_BYTES = 8 << 20  # of the first worker's disk for temporary files
OWNER = "alice@example.com"


class System:
    """Its folder holds everything; `start`, then `stop` or `kill`."""

    def __init__(self, folder: Path, history: History) -> None:
        self.folder, self.history = folder, history
        for name in ("log", "var", *(f"scratch-{number}" for number in range(1, WORKERS + 1))):
            (folder / name).mkdir()
        given_up = threading.Event()
        self.postgres = Postgres(
            folder / "postgres",
            folder / "log" / "postgres.log",
            port=free_port(),
            password=secrets.token_urlsafe(24),
            given_up=given_up,
        )
        self.redis = Redis(
            folder / "redis",
            folder / "log" / "redis.log",
            port=free_port(),
            password=secrets.token_urlsafe(24),
            given_up=given_up,
        )
        self.parts = Parts(history)
        self.s3 = S3Server(folder / "log" / "s3.log", mark=str(folder))
        # By job: its attempt at a kill of its child, and the step of the checkpoint that it had.
        self.killed_at: dict[str, tuple[int, int]] = {}
        self.scratch_disk: Path | None = None  # a small disk of its own, where we may mount one
        self.clock_file = folder / "clock"  # what the last worker's clock is ahead by
        self._web_ports = [free_port() for _ in range(WEBS)]
        self.web_urls = [f"http://127.0.0.1:{port}" for port in self._web_ports]

    # --- From nothing to a site that answers, and back ------------------------------------------

    def start(self) -> None:
        self.start_service(self.postgres)
        self.start_service(self.redis)
        self.s3.start()
        self.parts.watch(self.s3.pid)
        self._mount_scratch()
        self.set_clock("+0")
        self.env = self._environment()
        self.manage("migrate", "--verbosity", "0")
        self.shell(
            "from django.conf import settings; from t2v_site import logins; "
            "logins.ensure(settings.T2V_VAR, chosen=settings.T2V_DEMO_PASSWORD)"
        )
        self.parts.start(self._make_parts())
        self._wait_until_ready()

    def _mount_scratch(self) -> None:
        disk, mount = self.folder / "scratch-1", shutil.which("mount")
        if os.geteuid() != 0 or mount is None:
            return
        size = f"size={SCRATCH_BYTES}"
        command = [mount, "-t", "tmpfs", "-o", size, "chaos", str(disk)]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            self.scratch_disk = disk

    def _environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
        clean.pop("DJANGO_SETTINGS_MODULE", None)
        postgres, redis_server = self.postgres, self.redis
        return clean | {
            "PYTHONUNBUFFERED": "1",
            "CHAOS_RUN": str(self.folder),
            "T2V_VAR": str(self.folder / "var"),
            "T2V_SECRET_KEY": secrets.token_urlsafe(48),
            "T2V_DATABASE_URL": (
                f"postgresql://{ROLE}:{postgres.password}@127.0.0.1:{postgres.port}/{ROLE}"
            ),
            "T2V_REDIS_URL": f"redis://:{redis_server.password}@127.0.0.1:{redis_server.port}/0",
            "T2V_S3_BUCKET": BUCKET,
            "T2V_S3_ENDPOINT": f"http://127.0.0.1:{self.s3.proxy.port}",
            "T2V_S3_ACCESS_KEY": S3_KEY,
            "T2V_S3_SECRET_KEY": S3_SECRET,
            "T2V_BASE_URL": self.web_urls[0],
            "T2V_DEMO_PASSWORD": PASSWORD,
            "T2V_MODELS_FILE": str(ROOT / "tests" / "chaos" / "models.toml"),
            "T2V_MAX_UNFINISHED": "100000",
            "T2V_CHECKPOINT_SECONDS": "1",
            "T2V_SCRATCH_MIN_MB": "2",
        }

    def _make_parts(self) -> list[Part]:
        """As t2v_site/management/commands/up.py starts them."""
        python = sys.executable
        calm = ["-W", "ignore:You're running the worker with superuser privileges"]
        celery = [python, *calm, "-m", "celery", "--quiet", "-A", "t2v_site", "worker"]
        celery += ["-Q", "gpu.default", "--loglevel", "WARNING"]
        celery += ["--without-mingle", "--without-gossip"]
        parts = []
        for number, port in enumerate(self._web_ports, 1):
            argv = [python, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "--verbosity", "0"]
            parts.append(self._part(f"web-{number}", [*argv, "t2v_site.asgi:application"]))
        for number in range(1, WORKERS + 1):
            env = {
                "T2V_WORKER_NAME": f"worker-{number}",
                "OMP_NUM_THREADS": "1",
                "TMPDIR": str(self.folder / f"scratch-{number}"),
            }
            if number == WORKERS:
                env |= self._fake_clock()
            parts.append(self._part(f"worker-{number}", celery, env))
        for number in range(1, SWEEPS + 1):
            parts.append(self._part(f"sweep-{number}", [python, "manage.py", "sweep"]))
        return parts

    def _part(self, name: str, argv: Sequence[str], env: dict[str, str] | None = None) -> Part:
        log = self.folder / "log" / f"{name}.log"
        return Part(name=name, argv=argv, env=self.env | (env or {}), log=log)

    @property
    def has_fake_clock(self) -> bool:
        return bool(self._fake_clock())

    def _fake_clock(self) -> dict[str, str]:
        """libfaketime's, where its wheel is installed; it reads the file anew at every look."""
        spec = importlib.util.find_spec("libfaketime")
        if spec is None or spec.origin is None or not sys.platform.startswith("linux"):
            return {}
        found = sorted(Path(spec.origin).parent.rglob("libfaketime.so*"))
        if not found:
            return {}
        return {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.clock_file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set_clock(self, offset: str) -> None:
        """Of the last worker: "+1h", "-1h", "+2d"; "+0" is right."""
        draft = self.clock_file.with_suffix(".new")
        draft.write_text(f"{offset}\n", encoding="utf-8")
        draft.replace(self.clock_file)

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            rows = self.sql("SELECT count(*) FROM jobs_worker WHERE ready_at IS NOT NULL")
            if rows[0][0] == WORKERS:
                return
            if time.monotonic() > until:
                raise AssertionError(f"only {rows[0][0]} of {WORKERS} workers are ready")
            time.sleep(0.2)

    def stop_parts(self) -> list[str]:
        """Ends webs, workers and sweeps in order; what did not go as it should, a line each."""
        codes = self.parts.stop()
        return [f"{name} ended with exit code {code}" for name, code in codes.items() if code]

    def stop(self) -> list[str]:
        """After that, ends everything; what there is left over, a line each."""
        wrong = []
        connections = (
            "SELECT pid, application_name, state FROM pg_stat_activity"
            " WHERE usename = current_user AND pid <> pg_backend_pid()"
        )
        until = time.monotonic() + GOODBYE_SECONDS
        while (left := self.sql(connections)) and time.monotonic() < until:
            time.sleep(0.1)
        if left:
            wrong.append(f"connections left: {left}")
        orphans = [p for p in self.processes() if p.pid not in self._services()]
        wrong += [f"left: {_describe(process)}" for process in orphans]
        self.kill()
        return wrong + [f"left at the end: {_describe(process)}" for process in self.processes()]

    def kill(self) -> None:
        """The end of what runs still; harmless when nothing does."""
        self.parts.kill()
        services = [self.postgres.pid(), self.redis.pid(), self.s3.pid]
        self.s3.kill()
        for daemon in (self.postgres, self.redis):
            daemon.send(signal.SIGCONT)
        stop_all([self.postgres, self.redis])
        for pid in services:
            self.parts.forget(pid)
        self.parts.dismiss()
        if self.scratch_disk is not None:
            subprocess.run(["umount", "-l", str(self.scratch_disk)], check=False)
            self.scratch_disk = None

    def _services(self) -> set[int]:
        pids = {self.postgres.pid(), self.redis.pid(), self.s3.pid}
        found = {pid for pid in pids if pid is not None}
        with suppress(psutil.NoSuchProcess):
            found |= {p.pid for p in psutil.Process(self.postgres.pid()).children(recursive=True)}
        return found

    def processes(self) -> list[psutil.Process]:
        """Everything that was started for this run and still lives."""
        found, folder = [], str(self.folder)
        for process in psutil.process_iter():
            try:
                mine = folder in {process.environ().get("CHAOS_RUN"), process.cwd()}
                mine = mine or any(folder in word for word in process.cmdline())
                if mine and process.pid != os.getpid():
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found

    def end_service(self, daemon: Daemon, number: signal.Signals) -> None:
        pid = daemon.pid()
        daemon.send(number)
        until = time.monotonic() + 20
        while daemon.pid() is not None:
            assert time.monotonic() < until, f"{daemon.name} did not end"
            time.sleep(0.02)
        self.parts.forget(pid)

    def start_service(self, daemon: Daemon) -> None:
        daemon.start()
        self.parts.watch(daemon.pid())

    # --- Looking into it ------------------------------------------------------------------------

    def sql(self, query: str, *values: Any) -> list[Any]:
        """One statement in a connection of its own. Raises psycopg.OperationalError."""
        with psycopg.connect(
            self.env["T2V_DATABASE_URL"], autocommit=True, connect_timeout=5
        ) as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def redis_client(self) -> redis.Redis:
        return redis.Redis.from_url(
            self.env["T2V_REDIS_URL"], socket_timeout=5, socket_connect_timeout=2
        )

    def manage(self, *words: str, told: str = "", seconds: float = 300) -> str:
        """A command of manage.py, told this on its input; its output. Raises AssertionError."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.env,
            input=told,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, f"manage.py {words[0]}: {done.stderr[-3000:]}"
        return done.stdout

    def shell(self, code: str, *, told: str = "") -> str:
        return self.manage("shell", "--no-imports", "-c", code, told=told)


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {process.status()} {' '.join(process.cmdline())[:200]}"
    except psutil.NoSuchProcess:
        return f"{process.pid}, gone in the meantime"
