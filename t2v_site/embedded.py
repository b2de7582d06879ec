"""A real Postgres and a real Redis for one machine; nothing else knows that they are ours.

Everything lies in var/ below the checkout (or T2V_VAR). Whoever uses the services holds a shared
lock on users.lock, which the kernel takes back when a process dies; who starts, heals or stops
them holds start.lock alone; a whole site (`up`) holds up.lock, so that there is one at a time.
"""

import contextlib
import fcntl
import json
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from t2v_site.daemon import (
    Daemon,
    EmbeddedError,
    PortTaken,
    free_port,
    port_is_free,
    stop_all,
)
from t2v_site.postgres import ROLE, Postgres
from t2v_site.redis_server import Redis

DATABASE, REDIS, SECRET = "T2V_DATABASE_URL", "T2V_REDIS_URL", "T2V_SECRET_KEY"
LOCK_SECONDS = 90.0  # longer than the longest start
UP_SECONDS = 15.0  # longer than the longest end of a site
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def var_folder() -> Path:
    return Path(os.environ.get("T2V_VAR") or Path(__file__).parent.parent / "var").absolute()


def missing_settings() -> frozenset[str]:
    """Which of the three settings we would have to bring; none in production."""
    if os.environ.get("T2V_ENV") == "production":
        return frozenset()
    return frozenset(
        name
        for name in (DATABASE, REDIS, SECRET)
        if not os.environ.get(name) and not os.environ.get(f"{name}_FILE")
    )


class Machine:
    """The services of one var folder, as one process sees them."""

    def __init__(self, folder: Path, missing: frozenset[str]) -> None:
        self.folder, self.missing = folder, missing
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._given_up = threading.Event()
        with self._starting():
            self._memory = self._remembered()
        (folder / "log").mkdir(mode=0o700, exist_ok=True)
        self._daemons: dict[str, Daemon] = {
            DATABASE: self._daemon(Postgres, "postgres"),
            REDIS: self._daemon(Redis, "redis"),
        }

    def _daemon(self, kind: type[Daemon], name: str) -> Daemon:
        return kind(
            self.folder / name,
            self.folder / "log" / f"{name}.log",
            port=self._memory[name]["port"],
            password=self._memory[name]["password"],
            given_up=self._given_up,
        )

    def _remembered(self) -> dict[str, Any]:
        """Ports, passwords and the secret key: what embedded.json holds, made when it is new."""
        file = self.folder / "embedded.json"
        if not file.exists():
            fresh: dict[str, Any] = {
                name: {"port": free_port(), "password": secrets.token_urlsafe(24)}
                for name in ("postgres", "redis")
            }
            self._remember({**fresh, "secret_key": secrets.token_urlsafe(48)})  # 64 characters
        try:
            memory: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            whole = [memory["secret_key"], memory["postgres"]["port"], memory["redis"]["port"]]
            assert all(whole)
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise EmbeddedError(
                f"{file} is damaged; delete it, and new passwords are made at the next start."
            ) from error
        return memory

    def _remember(self, memory: dict[str, Any]) -> None:
        new = self.folder / "embedded.json.new"
        new.unlink(missing_ok=True)
        with open(self._open(new.name), "w", encoding="utf-8") as file:
            json.dump(memory, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.folder / "embedded.json")

    def _open(self, name: str) -> int:
        """A private file that belongs to the folder's owner, also when root makes it."""
        opened = os.open(self.folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        if os.geteuid() == 0:
            owner = self.folder.stat()
            os.fchown(opened, owner.st_uid, owner.st_gid)
        return opened

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        remedy = f"Another command has been starting or stopping the services in {self.folder} "
        with self._alone("start.lock", LOCK_SECONDS, remedy + f"for over {LOCK_SECONDS:.0f} s."):
            yield

    @contextlib.contextmanager
    def _alone(self, name: str, seconds: float, otherwise: str) -> Iterator[None]:
        """Raises EmbeddedError when the lock is not free in time."""
        opened = self._open(name)
        try:
            deadline = time.monotonic() + seconds
            while not _locked(opened, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise EmbeddedError(otherwise)
                time.sleep(0.02)
            yield
        finally:
            os.close(opened)

    def only_site(self) -> contextlib.AbstractContextManager[None]:
        """A site that was told to end may take some seconds; then it is the next one's turn."""
        otherwise = (
            f"A site is running on {self.folder} already. Stop it first, or start this one with "
            "its own T2V_VAR and T2V_PORT."
        )
        return self._alone("up.lock", UP_SECONDS, otherwise)

    def environment(self) -> dict[str, str]:
        """The missing settings."""
        postgres, redis = self._daemons[DATABASE], self._daemons[REDIS]
        address = f"{ROLE}:{postgres.password}@127.0.0.1:{postgres.port}/{ROLE}"
        values = {
            DATABASE: f"postgresql://{address}",
            REDIS: f"redis://:{redis.password}@127.0.0.1:{redis.port}/0",
            SECRET: self._memory["secret_key"],
        }
        return {name: values[name] for name in self.missing}

    def _wanted(self) -> list[Daemon]:
        return [daemon for name, daemon in self._daemons.items() if name in self.missing]

    def start(self) -> None:
        """Both at once; each on another port when its own was taken in the meantime."""
        with ThreadPoolExecutor(2) as pool:
            starts = [pool.submit(self._start, daemon) for daemon in self._wanted()]
            try:
                for start in starts:
                    start.result()
            except BaseException:
                self._given_up.set()
                raise
        for name in ("postgres", "redis"):
            port = self._daemons[DATABASE if name == "postgres" else REDIS].port
            if port != self._memory[name]["port"]:
                self._memory[name]["port"] = port
                self._remember(self._memory)

    def _start(self, daemon: Daemon) -> None:
        if daemon.pid() is None and not port_is_free(daemon.port):
            daemon.port = free_port()
        for _ in range(3):
            try:
                return daemon.start()
            except PortTaken:
                daemon.port = free_port()
        return daemon.start()

    def heal(self) -> None:
        """Starts again what has died, on the port that everybody knows."""
        for daemon in self._wanted():
            daemon.trim_log()
        if all(daemon.pid() is not None for daemon in self._wanted()):
            return
        with self._starting():
            for daemon in self._wanted():
                if daemon.pid() is None and not self._given_up.is_set():
                    daemon.start()

    def stop(self) -> None:
        """Ends both within 5 s, whoever started them."""
        self._given_up.set()  # a heal that is under way ends, and frees the lock
        with self._starting():
            stop_all(list(self._daemons.values()))

    @contextlib.contextmanager
    def used(self, *, stop_always: bool) -> Iterator[None]:
        """The services run inside; outside, the last one out stops them."""
        users = self._open("users.lock")
        try:
            try:
                with self._starting():
                    if not _locked(users, fcntl.LOCK_SH):
                        raise EmbeddedError(f"{self.folder}/users.lock is held by a stranger.")
                    self._memory = self._remembered()
                    for name, key in ((DATABASE, "postgres"), (REDIS, "redis")):
                        self._daemons[name].port = self._memory[key]["port"]
                    self.start()
                yield
            finally:
                with _undisturbed():
                    self._leave(users, stop_always=stop_always)
        finally:
            os.close(users)

    def _hand_over(self) -> None:
        """What root has made in another person's folder becomes theirs, or they could not go on."""
        owner = self.folder.stat()
        if os.geteuid() != 0 or owner.st_uid == 0:
            return
        made = [self.folder / "demo-logins.json", self.folder / "embedded.json"]
        for name in ("log", "media", "workers"):
            made += [self.folder / name, *(self.folder / name).rglob("*")]
        for path in made:
            if path.exists() and path.lstat().st_uid == 0:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def _leave(self, users: int, *, stop_always: bool) -> None:
        self._given_up.set()
        with self._starting():
            fcntl.flock(users, fcntl.LOCK_UN)
            if stop_always or _locked(users, fcntl.LOCK_EX):
                stop_all(list(self._daemons.values()))
        self._hand_over()


def _locked(opened: int, kind: int) -> bool:
    try:
        fcntl.flock(opened, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not leave a half-stopped server behind; what runs inside is bounded."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_machine: Machine | None = None  # what this process uses now


@contextlib.contextmanager
def services(*, stop_always: bool, start: bool = True) -> Iterator[None]:
    """Sets those of the three settings that are not set, and runs what they point to.

    With start=False the settings are there, for a command that reads them and connects to nothing.
    Raises EmbeddedError with a sentence for the person at the terminal.
    """
    global _machine  # noqa: PLW0603
    missing = missing_settings()
    if not missing:
        yield
        return
    before = _machine
    with contextlib.ExitStack() as stack:
        try:
            machine = Machine(var_folder(), missing)
            if start and stop_always:
                stack.enter_context(machine.only_site())
            if start:
                stack.enter_context(machine.used(stop_always=stop_always))
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedError(f"The embedded services cannot be used: {error}") from error
        _machine = machine if start else None
        os.environ.update(machine.environment())
        try:
            yield
        finally:
            _machine = before
            for name in missing:
                os.environ.pop(name, None)


def heal() -> None:
    """Starts again what has died of this process' services; 0.2 ms when nothing has."""
    machine = _machine
    if machine is None:
        return
    try:
        machine.heal()
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(f"The embedded services could not be healed: {error}") from error


def stop() -> None:
    """Stops what runs in the var folder, whoever uses it, within 5 s."""
    folder = var_folder()
    if (folder / "embedded.json").exists():
        Machine(folder, frozenset()).stop()
