"""Sends what is due: a few lanes in one process, each with one delivery at a time.

A knock wakes a lane; a lane that finds something wakes the next one, and one lane looks into
Postgres every few seconds whether anybody knocked or not. No endpoint has more than one lane (the
lease in its row), no person more than half of them, and those that failed or were slow the last
time share half: a receiver that hangs holds up nobody but its like.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from django.db import DatabaseError, connection

from jobs.webhooks import deliveries, secrets, sending
from jobs.webhooks.deliveries import Claimed
from jobs.webhooks.shapes import Answer

logger = logging.getLogger(__name__)

LANES = 4
LOOK_SECONDS = 5.0
TROUBLE_SECONDS = 5.0  # after Postgres did not answer, or after a bug of ours


class Sender:
    def __init__(
        self, *, lanes: int = LANES, on_look: Callable[[str], object] = lambda _: None
    ) -> None:
        """on_look: called by the lane that looks, with what hinders it, if anything."""
        self._on_look = on_look
        self._half = max(1, lanes // 2)
        self._bell = threading.Condition()
        self._rung = 0  # lanes that shall look
        self._stopping = threading.Event()
        self._turn = threading.Lock()  # one lane claims at a time, so that the shares hold exactly
        self._owners: Counter[int] = Counter()  # lanes of each person
        self._slow = 0  # lanes of slow endpoints
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"lane-{number}", daemon=True)
            for number in range(lanes)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """There may be something to send. Returns at once."""
        with self._bell:
            self._rung = min(self._rung + 1, len(self._threads))
            self._bell.notify()

    def stop(self) -> None:
        """No lane takes anything more. What is under way may end; its lease ends in any case."""
        self._stopping.set()
        with self._bell:
            self._bell.notify_all()

    def join(self, seconds: float) -> None:
        for thread in self._threads:
            thread.join(seconds / len(self._threads))

    def send_one(self) -> bool:
        """Sends what is next, if anything is due. Raises DatabaseError."""
        claimed = self._claim()
        if claimed is None:
            return False
        self.wake()
        try:
            send(claimed)
        finally:
            with self._turn:
                self._owners[claimed.owner] -= 1
                self._owners += Counter()  # drops those without a lane
                self._slow -= claimed.slow
        return True

    def _claim(self) -> Claimed | None:
        with self._turn:
            full = [owner for owner, lanes in self._owners.items() if lanes >= self._half]
            claimed = deliveries.claim(but_not_of=full, slow_too=self._slow < self._half)
            if claimed is not None:
                self._owners[claimed.owner] += 1
                self._slow += claimed.slow
        return claimed

    def _run(self, number: int) -> None:
        look = LOOK_SECONDS if number == 0 else None
        hindrance = ""
        while not self._stopping.is_set():
            if number == 0:
                self._on_look(hindrance)
            hindrance = ""
            try:
                if self.send_one():
                    continue
            except DatabaseError as error:
                hindrance = "Postgres does not answer."
                logger.warning("Postgres did not answer (%s); waiting", type(error).__name__)
                self._stopping.wait(TROUBLE_SECONDS)
            except Exception:  # whatever it was, the next delivery may go better
                logger.exception("a delivery broke; its lease will end")
                self._stopping.wait(TROUBLE_SECONDS)
            connection.close()
            self._wait(look)
        connection.close()

    def _wait(self, seconds: float | None) -> None:
        with self._bell:
            self._bell.wait_for(lambda: self._rung or self._stopping.is_set(), seconds)
            self._rung = max(0, self._rung - 1)


def send(claimed: Claimed) -> Answer:
    """One try, recorded. Raises DatabaseError."""
    now = datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "webhook-id": str(claimed.delivery),
        "webhook-timestamp": str(int(now.timestamp())),
    }
    if claimed.keys:
        headers["webhook-signature"] = secrets.signature(
            claimed.keys, message=str(claimed.delivery), at=now, body=claimed.body
        )
        connection.close()  # the answer may take 20 s
        answer = _post(claimed, headers)
    else:
        answer = Answer(status=None, excerpt="", error="its secret cannot be read", seconds=0.0)
    if not deliveries.record(claimed, answer, headers=headers):
        logger.warning("delivery %s: this try came too late to count", claimed.delivery)
    return answer


def _post(claimed: Claimed, headers: dict[str, str]) -> Answer:
    """A bug of ours counts as a try: it must not come again for ever."""
    try:
        return sending.post(claimed.url, body=claimed.body, headers=headers)
    except Exception:
        logger.exception("delivery %s broke", claimed.delivery)
        error = "something broke here; the site's log has it"
        return Answer(status=None, excerpt="", error=error, seconds=0.0)
