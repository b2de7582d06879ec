"""Ports for what the tests start: no two of one run are given the same one."""

import os
import secrets
import socket
from itertools import count

# Below what embedded services choose from (t2v_site/daemon.py) and what outgoing connections get.
_LOWEST, _EACH, _PROCESSES = 10_000, 600, 8
_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
_next = count(secrets.randbelow(_EACH))  # another run on this machine begins elsewhere


def free_port() -> int:
    """A port that nobody listens on; it is this process's until 600 others were given away."""
    for _ in range(_EACH):
        port = _LOWEST + _process * _EACH + next(_next) % _EACH
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError("every port of this process is taken")
