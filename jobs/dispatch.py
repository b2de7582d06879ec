"""After the commit, outside the request: knocks on workers' doors, and the ring.

A bounded in-process queue and one thread. What does not get through (Redis dead, queue full) is
dropped: the sweep knocks again, idle workers look for themselves, pages poll Postgres.
"""

import atexit
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from asgiref.sync import async_to_sync
from celery import current_app
from channels.layers import get_channel_layer
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from jobs import stream
from jobs.events import Fact
from jobs.metrics import instruments

logger = logging.getLogger(__name__)

KNOCK = "gpu_worker.knock"  # the task's name: jobs never imports the worker
DELIVER = "jobs.deliver"  # of jobs/webhooks/tasks.py, which only its own worker loads
WEB = "web"  # the queue of work that needs no GPU
CONTROL = "control"  # the channel layer's one group: a channel of each web process
KNOCK_EXPIRES = 60.0  # seconds; the sweep has knocked again by then
# Of one pool, not heard yet. A knock wakes one idle worker, which then works until nothing
# is left; where so many lie there, nobody is idle. Looking costs a tenth of knocking.
MOST_KNOCKS = 32
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
                instruments.redis_failed("relay")
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


def knock_sender() -> None:
    """Tells whoever sends webhooks that something is due. Returns at once."""
    _relay.put(_send_knock_to_sender)


def announce(owner: int, fact: Fact) -> None:
    """Tells every web process that a job has a new fact. Returns at once."""
    _relay.put(partial(stream.announce, owner, fact))


def announce_all(owner: int, facts: Sequence[Fact]) -> None:
    """The same of many jobs: one place in the relay's queue. Returns at once."""
    _relay.put(partial(_announce_each, owner, facts))


def _announce_each(owner: int, facts: Sequence[Fact]) -> None:
    for fact in facts:
        stream.announce(owner, fact)


def rights_changed(user: int) -> None:
    """Tells every web process to look up this user's rights again. Returns at once."""
    _relay.put(partial(_send_rights_changed, user))


def _send_rights_changed(user: int) -> None:
    layer = get_channel_layer()
    assert layer is not None
    async_to_sync(layer.group_send)(CONTROL, {"type": "rights.changed", "user": user})


def _send_knock_to_sender() -> None:
    current_app.send_task(DELIVER, queue=WEB, expires=KNOCK_EXPIRES, retry=False)


def _send_knock(pool: str) -> None:
    if stream.knocks_waiting(pool) >= MOST_KNOCKS:
        return
    current_app.send_task(KNOCK, queue=f"gpu.{pool}", expires=KNOCK_EXPIRES, retry=False)
