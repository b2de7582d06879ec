"""What happens to jobs, heard from a site: by server-sent events, and by asking where those fail.

Each follower is a thread that fills one queue. They are daemons: who stops listening need not wait
for a connection to time out.
"""

import json
import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from t2v_cli.failures import Code, Failure
from t2v_cli.site import Site, Unreachable, job_path
from t2v_cli.sse import Parser, TooLong

FINAL = frozenset({"succeeded", "failed", "parked", "cancelled", "expired"})
# The site allows 50 live connections of one person; a watch of more than this takes one for all.
MOST_STREAMS = 8
ASK_SECONDS = 2.0  # between two looks where there is no stream
BARREN = 2  # streams in a row that said nothing: a proxy swallows them, so ask instead
STREAM_AGAIN_SECONDS = 60.0  # then, until the next try of a stream
SILENT_SECONDS = 30.0  # a job of the common stream that nobody spoke of is asked for
WAITING = 10_000  # messages; a reader that is slower stalls its connections, not the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    job: str
    message: dict[str, Any]  # docs/reference/live.md


Heard = News | Failure


def follow(site: Site, jobs: Iterable[str]) -> "queue.Queue[Heard]":
    """News of these jobs until each has ended; a Failure where one cannot be followed."""
    wanted = list(dict.fromkeys(jobs))
    heard: queue.Queue[Heard] = queue.Queue(WAITING)
    followers: list[_Follower] = []
    if len(wanted) <= MOST_STREAMS:
        followers += [_One(site, heard, job) for job in wanted]
    else:
        board = _Board(wanted)
        followers += [_Common(site, heard, board), _Round(site, heard, board)]
    for follower in followers:
        threading.Thread(target=follower.work, daemon=True).start()
    return heard


class _Follower:
    def __init__(self, site: Site, heard: "queue.Queue[Heard]") -> None:
        self.site, self._heard = site, heard
        self._parser = Parser()
        self._barren = 0  # streams in a row
        self._stream_after = 0.0  # on the monotonic clock

    def work(self) -> None:
        try:
            self.run()
        except Failure as failure:
            self._heard.put(failure)
        except Exception as error:  # a thread's end must not look like silence
            self._heard.put(Failure(f"The watch broke: {error!r}.", Code.UNREACHABLE))

    def run(self) -> None:
        raise NotImplementedError

    def put(self, job: str, message: dict[str, Any]) -> None:
        self._heard.put(News(job=job, message=message))

    def ask(self, job: str) -> dict[str, Any]:
        """The job as it stands, told as a snapshot."""
        found: dict[str, Any] = self.site.get(job_path(job))
        self.put(job, {"type": "snapshot", "job": found})
        return found

    def listen(self, path: str) -> int | None:
        """Hears one stream to its end; its status, or None when it broke or there was no sense."""
        self._parser.forget()
        spoke = False
        status: int | None = None
        try:
            request = self.site.events(path, self._parser.last_id)
            with self.site.answering(request) as response:
                status = response.status_code
                if status == 200:
                    for part in response.iter_raw():
                        for message in self._parser.feed(part):
                            self.hear(json.loads(message.data))
                            spoke = True
        except (Unreachable, TooLong, ValueError, LookupError, TypeError, AttributeError):
            status = None  # it broke, or this is no stream of ours
        self._barren = 0 if spoke or status == 204 else self._barren + 1
        if self._barren >= BARREN:
            self._stream_after = time.monotonic() + STREAM_AGAIN_SECONDS
        return status

    def hear(self, message: dict[str, Any]) -> None:
        raise NotImplementedError

    def may_listen(self) -> bool:
        return time.monotonic() >= self._stream_after


class _One(_Follower):
    """One job by its own stream, resumed where it broke."""

    def __init__(self, site: Site, heard: "queue.Queue[Heard]", job: str) -> None:
        super().__init__(site, heard)
        self._job = job
        self._over = False

    def run(self) -> None:
        while not self._over:
            spoken = False
            if self.may_listen():
                spoken = self.listen(job_path(self._job, "/events")) == 200
                spoken = spoken and self._barren == 0
            if not self._over and not spoken:
                # Whatever the stream's answer was, this one says it in words.
                self._over = self.ask(self._job)["state"] in FINAL
            if not self._over:
                time.sleep(self._parser.retry_seconds if spoken else ASK_SECONDS)

    def hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "refused":
            return  # asking says why
        final = message["type"] == "snapshot" and message["job"]["state"] in FINAL
        self.put(self._job, message)
        self._over = self._over or final


class _Board:
    """When each job was last heard of, between the two that follow many."""

    def __init__(self, jobs: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._heard = dict.fromkeys(jobs, time.monotonic())

    def note(self, job: str, *, final: bool) -> bool:
        """Whether it is one that is watched and had not ended."""
        with self._lock:
            if job not in self._heard:
                return False
            self._heard[job] = time.monotonic()
            if final:
                del self._heard[job]
            return True

    def all_ended(self) -> bool:
        with self._lock:
            return not self._heard

    def most_silent(self) -> tuple[str, float] | None:
        """The job, and for how many seconds; None when all have ended."""
        with self._lock:
            if not self._heard:
                return None
            job = min(self._heard, key=self._heard.__getitem__)
            return job, time.monotonic() - self._heard[job]


class _Common(_Follower):
    """All of one's own jobs by one stream."""

    def __init__(self, site: Site, heard: "queue.Queue[Heard]", board: _Board) -> None:
        super().__init__(site, heard)
        self._board = board

    def run(self) -> None:
        while not self._board.all_ended():
            if self.may_listen():
                self.listen("/api/v1/events")  # what fails here, _Round says in words
            time.sleep(self._parser.retry_seconds)

    def hear(self, message: dict[str, Any]) -> None:
        shown = message.get("job")
        job = shown["id"] if isinstance(shown, dict) else str(shown)
        final = message["type"] == "snapshot" and message["job"]["state"] in FINAL
        if self._board.note(job, final=final):
            self.put(job, message)


class _Round(_Follower):
    """Asks for one job after another that the common stream said nothing of."""

    def __init__(self, site: Site, heard: "queue.Queue[Heard]", board: _Board) -> None:
        super().__init__(site, heard)
        self._board = board

    def run(self) -> None:
        while (found := self._board.most_silent()) is not None:
            job, seconds = found
            if seconds < SILENT_SECONDS:
                time.sleep(min(1.0, SILENT_SECONDS - seconds))
                continue
            snapshot = self.site.get(job_path(job))
            if self._board.note(job, final=snapshot["state"] in FINAL):
                self.put(job, {"type": "snapshot", "job": snapshot})
            time.sleep(0.2)  # five a second at most, however many are silent
