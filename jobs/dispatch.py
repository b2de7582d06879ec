"""After the commit, outside the request: knocks on workers' doors, and the ring.

A bounded in-process queue and one thread. What does not get through (Redis dead, queue full) is
dropped: the sweep knocks again, idle workers look for themselves, pages poll Postgres.
"""

import atexit
import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial

from celery import current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from jobs import stream
from jobs.events import Fact

logger = logging.getLogger(__name__)

KNOCK = "gpu_worker.knock"  # the task's name: jobs never imports the worker
KNOCK_EXPIRES = 60.0  # seconds; the sweep has knocked again by then
_WARN_EVERY = 30.0  # seconds between two warnings of one kind


class Relay:
    """Runs small sends one after the other in a thread of its own."""

    def __init__(self, *, size: int) -> None:
        self._queue: queue.Queue[Callable[[], None]] = queue.Queue(maxsize=size)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._warned_at = -_WARN_EVERY

    def put(self, send: Callable[[], None]) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
                self._thread.start()
        try:
            self._queue.put_nowait(send)
        except queue.Full:
            self._warn("the relay is full; the sweep will knock again")

    def wait_empty(self, seconds: float) -> bool:
        """Whether everything put so far was tried within that time."""
        deadline = time.monotonic() + seconds
        with self._queue.all_tasks_done:
            while self._queue.unfinished_tasks:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._queue.all_tasks_done.wait(left)
        return True

    def _run(self) -> None:
        while True:
            send = self._queue.get()
            try:
                send()
            except (RedisError, OperationalError, OSError) as error:
                self._warn(f"Redis did not take it ({type(error).__name__}); nothing is lost")
            finally:
                self._queue.task_done()

    def _warn(self, message: str) -> None:
        now = time.monotonic()
        if now - self._warned_at >= _WARN_EVERY:
            self._warned_at = now
            logger.warning(message)


_relay = Relay(size=1000)
wait_empty = _relay.wait_empty
atexit.register(_relay.wait_empty, 1.0)


def knock(pool: str) -> None:
    """Tells a worker of the pool that there may be something to do. Returns at once."""
    _relay.put(partial(_send_knock, pool))


def announce(owner: int, fact: Fact) -> None:
    """Tells every web process that a job has a new fact. Returns at once."""
    _relay.put(partial(stream.announce, owner, fact))


def _send_knock(pool: str) -> None:
    current_app.send_task(KNOCK, queue=f"gpu.{pool}", expires=KNOCK_EXPIRES, retry=False)
