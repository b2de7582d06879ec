"""Who submits and cancels: over HTTP, at either web, again and again until it is answered."""

import json
import random
import re
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import urllib3

from tests.chaos.history import History
from tests.chaos.plan import Plan, PlannedJob
from tests.chaos.system import OWNER
from tests.stage import PASSWORD

AGAIN_SECONDS = 0.3  # between two tries
HTTP_SECONDS = 15.0  # for one try
PATIENCE_SECONDS = 180.0  # for one wish: longer than any fault lasts
CROWD = 12  # wishes at a time


class Unanswered(Exception):
    """Nobody answered for PATIENCE_SECONDS."""


@dataclass(kw_only=True)
class Accepted:
    """What one person was told."""

    planned: PlannedJob
    job: str  # its id, of the 201
    cancel: str = ""  # "asked" before the first try, then "accepted" or "refused"


@dataclass(kw_only=True)
class Crowd:
    urls: list[str]
    seed: int
    history: History
    accepted: list[Accepted] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # answers that nobody should get
    retries: int = 0

    def __post_init__(self) -> None:
        self._http = urllib3.PoolManager(retries=False, timeout=HTTP_SECONDS, maxsize=CROWD)
        self._cookies: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def sign_in(self) -> None:
        """One session for all; it is valid at every web."""
        page = self._ask("GET", "/accounts/login/", expected={200})
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.data.decode())
        assert token is not None, "the sign-in page has no token"
        form = {"csrfmiddlewaretoken": token[1], "login": OWNER, "password": PASSWORD}
        self._ask("POST", "/accounts/login/", fields=form, expected={302})
        assert len(self._cookies) == 2, f"signed in with the cookies {sorted(self._cookies)}"

    def run(self, plan: Plan) -> None:
        """Returns when every job of the plan was accepted, and what it has to do with it done."""
        began = time.monotonic()
        with ThreadPoolExecutor(CROWD) as pool:
            wishes: list[Future[None]] = []
            for planned in plan.jobs:
                if self._stop.wait(max(0.0, began + planned.at - time.monotonic())):
                    break
                wishes.append(pool.submit(self._see_through, planned))
            for wish in wishes:
                wish.result()

    def stop(self) -> None:
        self._stop.set()

    def _see_through(self, planned: PlannedJob) -> None:
        try:
            job = self._submit(planned)
            mine = Accepted(planned=planned, job=job)
            with self._lock:
                self.accepted.append(mine)
            self.history.note("accepted", number=planned.number, job=job, poison=planned.poison)
            if planned.repeated and (again := self._submit(planned)) != job:
                self.wrong.append(f"the key of {job} made another job, {again}")
            if planned.cancel_after is not None:
                self._stop.wait(planned.cancel_after)
                self._cancel(mine)
        except Unanswered as error:
            self.wrong.append(f"job {planned.number}: {error}")

    def _submit(self, planned: PlannedJob) -> str:
        answer = self._ask(
            "POST",
            "/api/v1/jobs",
            body=json.dumps(planned.body()),
            key=f"chaos-{self.seed}-{planned.number}",
            expected={201},
        )
        job: str = answer.json()["id"]
        return job

    def _cancel(self, mine: Accepted) -> None:
        mine.cancel = "asked"
        answer = self._ask(
            "POST", f"/api/v1/jobs/{mine.job}/cancel", body="{}", expected={200, 409}
        )
        mine.cancel = "accepted" if answer.status == 200 else "refused"
        self.history.note("cancel", job=mine.job, answer=mine.cancel)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        expected: set[int],
        body: str | None = None,
        key: str | None = None,
        **more: Any,
    ) -> urllib3.BaseHTTPResponse:
        """Again on every failure of the connection and every 5xx, at any web. Raises Unanswered."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        token = next((value for name, value in self._cookies.items() if "csrf" in name), "")
        headers["X-CSRFToken"] = token
        if body is not None:
            headers["Content-Type"] = "application/json"
            more["body"] = body
        if key is not None:
            headers["Idempotency-Key"] = key
        if "fields" in more:
            more["encode_multipart"] = False
        until, last = time.monotonic() + PATIENCE_SECONDS, ""
        while time.monotonic() < until and not self._stop.is_set():
            url = random.choice(self.urls) + path
            try:
                answer = self._http.request(method, url, redirect=False, headers=headers, **more)
            except urllib3.exceptions.HTTPError as error:
                last = type(error).__name__
            else:
                self._remember(answer)
                if answer.status in expected:
                    return answer
                last = f"HTTP {answer.status}"
                if answer.status < 500:
                    raise Unanswered(f"{method} {path}: {last} {answer.data[:300]!r}")
            with self._lock:
                self.retries += 1
            self.history.note("again", method=method, url=url, after=last)
            self._stop.wait(AGAIN_SECONDS)
        raise Unanswered(f"{method} {path}: no answer in {PATIENCE_SECONDS:.0f} s; last {last}")

    def _remember(self, answer: urllib3.BaseHTTPResponse) -> None:
        for cookie in answer.headers.getlist("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
