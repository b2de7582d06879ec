"""Real web processes for the live view, on the database and the Redis of the tests themselves.

So a test does what a worker does in its own process (jobs.actions, jobs.stream) and looks at it
through a socket of a server beside it.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.test import Client

from accounts.models import User
from jobs import dispatch, stream
from t2v_site.management.commands import up
from t2v_site.redis_server import Redis
from tests.ports import free_port
from tests.stage import ROOT

KINDS = ("daphne", "uvicorn")
Start = Callable[..., Awaitable["Server"]]
START_SECONDS = 150  # a cold file cache and two busy cores
# What an uncaught error leaves in a log, whoever writes it there: Django, asyncio, either server.
ERRORS = re.compile(
    r"Traceback|^(ERROR|CRITICAL)\b|[Ee]xception was never retrieved|Unhandled|stumbled|broke;",
    re.MULTILINE,
)
# Uvicorn's own words about a client that sends no UTF-8, and about streams at its end.
NO_ERROR_OF_OURS = re.compile(
    r"^ERROR: +Invalid UTF-8 sequence.*?^UnicodeDecodeError.*?\n"
    r"|^ERROR: +Cancel \d+ running task\(s\), timeout graceful shutdown exceeded\n",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class People:
    """The cast, and the browsers in which they have signed in."""

    alice: User
    bob: User
    olga: User
    charlie: User

    async def cookie(self, user: User, server: "Server") -> str:
        """The Cookie header of a session of its own."""
        client = Client()
        await client.aforce_login(user)
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        return f"{server.cookie_name}={session}"


def database_url() -> str:
    """The tests' own database: Django has given it another name than the environment says."""
    parts = urlsplit(os.environ["T2V_DATABASE_URL"])
    return urlunsplit(parts._replace(path=f"/{settings.DATABASES['default']['NAME']}"))


async def until_rights_are_heard() -> None:
    """A web process joins the control group after its first viewer: what is said before is lost."""
    layer: Any = get_channel_layer()
    group, until = layer._group_key(dispatch.CONTROL), time.monotonic() + START_SECONDS
    while not await sync_to_async(stream._sender().zcard)(group):
        assert time.monotonic() < until, "no web process hears of rights"
        await asyncio.sleep(0.02)


def through(url: str, port: int) -> str:
    """The same address by way of a proxy on this machine."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))


class Server:
    """One web process, as `make run` starts it or as uvicorn's own manual says.

    A start after an end takes the same port. shorter: what takes minutes otherwise,
    as "jobs.sentry.RECHECK_SECONDS=1"; see tests/live/served.py.
    """

    def __init__(
        self,
        kind: str,
        log: Path,
        *,
        shorter: Sequence[str] = (),
        **changed: str,
    ) -> None:
        self.kind, self.log, self.port = kind, log, free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.socket_url = f"ws://{self.host}/ws/"
        self.cookie_name = f"t2v-{self.port}"  # t2v_site/settings.py
        self._shorter = shorter
        self._env = {
            **os.environ,
            "T2V_PORT": str(self.port),
            "T2V_DATABASE_URL": database_url(),
            **changed,
        }
        self._env.pop("PYTEST_CURRENT_TEST", None)
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self) -> list[str]:
        if self.kind == "daphne":
            web = next(part for part in up._parts() if part.name == "web")
            command = [self._port_in(word) for word in web.argv]
        else:
            command = [sys.executable, "-m", "uvicorn", "--port", str(self.port)]
            # A stream of events never ends by itself, and it would be waited for.
            command += ["--timeout-graceful-shutdown", "2"]
            command += ["--log-level", "warning", "t2v_site.asgi:application"]
        if not self._shorter:
            return command
        python, _, *server = command
        return [python, "-m", "tests.live.served", *self._shorter, "--", *server]

    def _port_in(self, word: str) -> str:
        return str(self.port) if word == str(settings.T2V_PORT) else word

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while not self._listens():
            assert self._process.poll() is None, self.said()[-3000:]
            assert time.monotonic() < until, self.said()[-3000:]
            time.sleep(0.05)

    def _listens(self) -> bool:
        assert self._process is not None
        try:
            found = psutil.Process(self._process.pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            return False
        return any(each.status == psutil.CONN_LISTEN for each in found)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> float:
        """Seconds until it had ended in order; it is killed after 30."""
        began = time.monotonic()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        return time.monotonic() - began

    def private_bytes(self) -> int:
        """Memory that no other process shares: what the sockets cost is in here."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        return 1024 * sum(map(int, re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE)))

    def said(self) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return NO_ERROR_OF_OURS.sub("", text)

    def errors(self, since: int = 0) -> str:
        """What only a bug writes, from its first line on; empty when nothing did.

        since: characters of said() that were there before.
        """
        found = ERRORS.search(self.said(), since)
        return "" if found is None else self.said()[found.start() :][:9000]


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def own_redis(folder: Path) -> Iterator[Redis]:
    """A Redis that a test may kill and freeze; started again on the same port by start()."""
    folder.mkdir(parents=True)
    redis = Redis(
        folder / "redis",
        folder / "redis.log",
        port=free_port(),
        password="secret",
        given_up=threading.Event(),
    )
    redis.start()
    try:
        yield redis
    finally:
        redis.send(signal.SIGCONT)
        redis.send(signal.SIGKILL)
