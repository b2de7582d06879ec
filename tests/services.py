"""A pytest plugin, loaded before Django's settings: a real Postgres and Redis for the whole run.

Without T2V_DATABASE_URL and T2V_REDIS_URL the embedded ones are started in var/test, once for all
xdist processes, and stopped at the end. Each process gets a database and a Redis number of its own.
"""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from t2v_site import embedded, postgres, redis_server
from tests import migrated

# A script that runs the tests in the background has SIGINT ignored, and so would all they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

_stack = ExitStack()
_process = os.environ.get("PYTEST_XDIST_WORKER", "")

if not _process:
    var = Path(__file__).resolve().parent.parent / "var" / "test"
    os.environ.setdefault("T2V_VAR", str(var))
    os.environ[migrated.FOLDER] = str(embedded.var_folder() / f"migrated-{os.geteuid()}")
    # Nobody misses a test's rows after a power cut, so no commit of theirs waits for the disk, and
    # neither does a Redis that has just been asked; several processes bring several servers each.
    asked, configuration = dict(postgres._SETTINGS), redis_server._CONFIGURATION
    postgres._SETTINGS |= {"fsync": "off", "full_page_writes": "off", "max_connections": "300"}
    redis_server._CONFIGURATION = configuration.replace("appendonly yes", "appendonly no")
    _stack.enter_context(embedded.services(stop_always=True))
    postgres._SETTINGS.clear()
    postgres._SETTINGS.update(asked)  # for those that tests start themselves
    redis_server._CONFIGURATION = configuration
else:
    server = os.environ["T2V_REDIS_URL"].rpartition("/")[0]
    os.environ["T2V_REDIS_URL"] = f"{server}/{int(_process.removeprefix('gw')) + 1}"


def pytest_unconfigure(config: pytest.Config) -> None:
    _stack.close()
