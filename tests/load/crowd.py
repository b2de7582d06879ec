"""`python -m tests.load.crowd FILE`: the users, under Locust, in a process of their own.

Locust patches sockets and threads for gevent as it is imported, which nothing else here could bear.
Orders come as one line of JSON on standard input, what happens goes into FILE (records).
"""

import json
import sys
import time
from pathlib import Path

import gevent
from locust import LoadTestShape
from locust.env import Environment

from tests.load import plan
from tests.load.records import Writer
from tests.load.users import Crowd, Orders, Someone

LEAVE_SECONDS = 45  # for the last requests, at the end: longer than one may take
COUNT_SECONDS = 1.0


class Arrivals(LoadTestShape):  # type: ignore[misc]  # Locust has no types
    def __init__(self, crowd: Crowd) -> None:
        super().__init__()
        self._crowd = crowd

    def tick(self) -> tuple[int, float] | None:
        """As Locust asks, every second."""
        orders, second = self._crowd.orders, self.get_run_time()
        count = plan.users_at(orders.shape, second, users=orders.users, seconds=orders.seconds)
        why = "" if count is not None else f"{orders.seconds:g} seconds"
        why = why or self._crowd.spent
        if why or count is None:
            self._crowd.writer.note("stopped", at=time.time(), why=why)
            self._crowd.ending = True
            return None
        return count, float(orders.users)


def main(file: Path) -> None:
    orders = Orders(**json.loads(sys.stdin.readline()))
    with file.open("a", encoding="utf-8") as out:
        crowd = Crowd(orders, Writer(out))
        Someone.crowd, Someone.host = crowd, orders.url
        arrivals = Arrivals(crowd)
        env = Environment(user_classes=[Someone], shape_class=arrivals, stop_timeout=LEAVE_SECONDS)
        runner = env.create_local_runner()
        arrivals.reset_time()
        runner.start_shape()
        gevent.spawn(_count, runner, crowd)
        runner.shape_greenlet.join()
        runner.quit()
    for broken in runner.exceptions.values():
        print(broken["traceback"], file=sys.stderr)  # noqa: T201
    sys.exit(bool(runner.exceptions))


def _count(runner: object, crowd: Crowd) -> None:
    while True:
        count = getattr(runner, "user_count")  # noqa: B009 - Locust has no types
        crowd.writer.note("users", at=time.time(), count=count)
        gevent.sleep(COUNT_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
