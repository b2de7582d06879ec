"""The site under load, as seen with a token: what became of every job, and cleaning up."""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import urllib3

from tests.load import patience
from tests.load.records import Ending

HTTP_SECONDS = 30.0
TRIES = 20  # of one request, as Retry-After says
PAGE = 100  # jobs of one list


class Unanswered(Exception):
    """The site does not answer, or not as its documents say."""


def _ending(told: dict[str, Any]) -> Ending:
    times = {
        name: None if told[key] is None else datetime.fromisoformat(told[key]).timestamp()
        for name, key in (("claimed", "started_at"), ("ended", "finished_at"))
    }
    return Ending(
        job=told["id"].replace("-", ""),
        state=told["state"],
        attempts=told["attempt"],
        submitted=datetime.fromisoformat(told["created_at"]).timestamp(),
        claimed=times["claimed"],
        ended=times["ended"],
    )


class Account:
    """One token."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self._token = url, token
        self._http = urllib3.PoolManager(retries=False, timeout=HTTP_SECONDS)

    def ask(self, method: str, path: str) -> urllib3.BaseHTTPResponse:
        """Again as long as Retry-After asks for it. Raises Unanswered."""
        last = ""
        for _ in range(TRIES):
            try:
                answer = self._http.request(
                    method,
                    self.url + path,
                    headers={"Authorization": f"Bearer {self._token}"},
                    redirect=False,
                )
            except urllib3.exceptions.HTTPError as error:
                last, seconds = type(error).__name__, 1.0
            else:
                if answer.status not in patience.REFUSING:
                    return answer
                told = patience.seconds_of(answer.headers.get("Retry-After"))
                last, seconds = str(answer.status), told or 1.0
            time.sleep(min(seconds, patience.LONGEST_SECONDS))
        raise Unanswered(f"{method} {path}: {last} after {TRIES} tries")

    def whoami(self) -> str:
        answer = self.ask("GET", "/api/v1/me")
        if answer.status != 200:
            raise Unanswered(f"the token opens nothing: {answer.status}")
        return str(answer.json()["email"])

    def jobs_since(self, moment: datetime, state: str = "") -> Iterator[dict[str, Any]]:
        """Own ones, oldest first."""
        since = moment.isoformat().replace("+00:00", "Z")
        path = f"/api/v1/jobs?mine=true&ordering=created_at&limit={PAGE}&created_after={since}"
        next_page: str | None = f"{path}&state={state}" if state else path
        while next_page:
            answer = self.ask("GET", next_page)
            if answer.status != 200:
                raise Unanswered(f"GET {next_page}: {answer.status} {answer.data[:200]!r}")
            yield from answer.json()["results"]
            following = answer.json()["next"]
            place = urlsplit(following) if following else None
            next_page = f"{place.path}?{place.query}" if place else None


class Site:
    """All accounts of a run; each person asks once, however many tokens are theirs."""

    def __init__(self, url: str, tokens: list[str], *, run: str) -> None:
        self._run = run
        people: dict[str, Account] = {}
        for token in tokens:
            account = Account(url, token)
            people.setdefault(account.whoami(), account)
        self.accounts = list(people.values())

    def _ours(self, since: datetime, state: str = "") -> Iterator[tuple[Account, dict[str, Any]]]:
        for account in self.accounts:
            for told in account.jobs_since(since, state):
                if told["prompt"].startswith(f"load {self._run}: "):
                    yield account, told

    def endings(self, since: datetime) -> list[Ending]:
        return [_ending(told) for _, told in self._ours(since)]

    def drain(self, since: datetime, *, seconds: float) -> int:
        """Waits for what is under way; how many were cancelled because it took longer than that."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not self._unfinished(since):
                return 0
            time.sleep(1.0)
        left = self._unfinished(since)
        for account, job in left:
            account.ask("POST", f"/api/v1/jobs/{job}/cancel")
        return len(left)

    def _unfinished(self, since: datetime) -> list[tuple[Account, str]]:
        return [(account, told["id"]) for account, told in self._ours(since, "queued,running")]

    def wait_until_final(self, since: datetime, *, seconds: float) -> None:
        """Of what was cancelled while it ran: it stops after its step."""
        until = time.monotonic() + seconds
        while self._unfinished(since) and time.monotonic() < until:
            time.sleep(0.5)

    def delete(self, since: datetime) -> int:
        """Everything that the run made."""
        ours = [(account, told["id"]) for account, told in self._ours(since)]
        for account, job in ours:
            account.ask("DELETE", f"/api/v1/jobs/{job}")
        return len(ours)
