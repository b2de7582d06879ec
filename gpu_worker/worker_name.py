"""The name of this process among all workers: no other living process here has it."""

import fcntl
import hashlib
import re
import socket
from typing import IO

from django.conf import settings

_held: list[tuple[str, IO[str]]] = []  # the name and its lock, until the process ends


def own_name() -> str:
    if not _held:
        _held.append(_take())
    return _held[0][0]


def _take() -> tuple[str, IO[str]]:
    """host-pool-folder, with -2 and so on while that name's lock is held.

    Two data folders of one host may share a Postgres: their workers must not share a name.
    """
    here = hashlib.sha256(str(settings.T2V_VAR).encode()).hexdigest()[:4]
    wanted = settings.T2V_WORKER_NAME or f"{socket.gethostname()}-{settings.T2V_POOL}-{here}"
    wanted = re.sub(r"[^A-Za-z0-9._-]", "-", wanted)[:100]
    folder = settings.T2V_VAR / "workers"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        name = wanted if number == 1 else f"{wanted}-{number}"
        lock = (folder / f"{name}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return name, lock
    raise RuntimeError("a thousand workers of one name on one machine")
