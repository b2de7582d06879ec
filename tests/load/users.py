"""Who comes: people with a browser, programs with a token, clients of /v1/videos. Under Locust."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import gevent
from locust import FastHttpUser, task
from locust.exception import StopUser

from tests.load import patience, plan, sockets
from tests.load.plan import Visit
from tests.load.records import Writer

HTTP_SECONDS = 30.0  # for an answer
POLL_SECONDS = 1.0
WAIT_SECONDS = 10  # of one Prefer: wait
FOLLOW_SECONDS = 180.0  # of one job
NAP_SECONDS = 0.5  # a wait looks so often whether it has to end
DONE = frozenset({"succeeded", "failed", "parked", "cancelled", "expired"})
VIDEO_DONE = frozenset({"completed", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the crowd is told, as one line of JSON."""

    url: str  # without a slash at its end
    run: str  # stands in every prompt and key, so that two runs of a seed make two sets of jobs
    seed: int
    shape: str
    users: int
    seconds: float
    jobs: int
    records_bytes: int
    tokens: list[str]
    sessions: list[dict[str, str]]  # cookie, csrf; none: nobody comes with a browser


class Crowd:
    """What all users share. One greenlet runs at a time: no lock."""

    def __init__(self, orders: Orders, writer: Writer) -> None:
        self.orders, self.writer = orders, writer
        self.jobs_left = orders.jobs
        self.arrived = 0
        self.ending = False

    @property
    def spent(self) -> str:
        """Which bound is reached; "": none."""
        if self.jobs_left <= 0:
            return f"{self.orders.jobs} jobs"
        if self.writer.bytes >= self.orders.records_bytes:
            return f"{self.orders.records_bytes} bytes of records"
        return ""


class Answer:
    """Of one request, whatever became of it. status 0: no answer came."""

    def __init__(self, response: Any, ms: float) -> None:
        self.status = int(response.status_code or 0)
        self.headers: Mapping[str, str] = response.headers or {}
        self.ms = ms
        self._content = (response.content or b"") if self.status else b""

    def json(self) -> dict[str, Any]:
        """{} of what is no JSON object."""
        try:
            found = json.loads(self._content)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def code(self) -> str:
        """Why it was refused."""
        told = self.json()
        error = told.get("error")
        return str((error if isinstance(error, dict) else told).get("code", ""))


class Someone(FastHttpUser):  # type: ignore[misc]  # Locust has no types
    crowd: Crowd  # set before the first one comes
    network_timeout = connection_timeout = HTTP_SECONDS
    max_redirects = 0
    max_retries = 0
    insecure = False

    def on_start(self) -> None:
        orders = self.crowd.orders
        self.number = self.crowd.arrived
        self.crowd.arrived += 1
        self.character = plan.character(orders.seed, self.number, pages=bool(orders.sessions))
        self._visits = plan.visits(orders.seed, self.number, self.character.kind)
        self._think = 0.0
        self._cookie = self._csrf = ""
        token = orders.tokens[self.number % len(orders.tokens)]
        self._bearer = {"Authorization": f"Bearer {token}"}
        if self.character.kind == "person":
            session = orders.sessions[self.number % len(orders.sessions)]
            self._cookie, self._csrf = session["cookie"], session["csrf"]

    def wait_time(self) -> float:
        return self._think

    @task  # type: ignore[untyped-decorator]
    def visit(self) -> None:
        visit = next(self._visits)
        self._think = visit.think_seconds
        match self.character.kind:
            case "person":
                self._as_a_person(visit)
            case "program":
                self._as_a_program(visit)
            case _:
                self._as_a_videos_client(visit)
        if self._leaving():
            raise StopUser

    # --- The three kinds ------------------------------------------------------------------------

    def _as_a_person(self, visit: Visit) -> None:
        if visit.looks_around:
            self._ask("GET", "/library", "page library")
        self._ask("GET", "/", "page studio")
        form = {
            "prompt": self._prompt(visit),
            "model": "nano",
            "size": "64x64",
            "frames": visit.frames,
            "steps": visit.steps,
            "guidance": 4.5,
            "seed": visit.seed,
            "count": 1,
            "quality": "exact",
            "idempotency_key": self._key(visit),
        }
        answer = self._submit(
            visit,
            "page",
            lambda: self._ask(
                "POST",
                "/",
                "page submit",
                body=urlencode(form),
                headers={
                    "Content-Type": "application/x-www-form-urlencoded",
                    "Accept": "application/json",
                    "X-CSRFToken": self._csrf,
                    "Referer": f"{self.crowd.orders.url}/",
                },
            ),
        )
        job = _first_job(answer).get("id") if answer else None
        if job is None:
            return
        self._ask("GET", f"/jobs/{job}/", "page job")
        url = self.crowd.orders.url
        self._follow(job, lambda: sockets.by_cookie(url, self._cookie))
        if visit.looks_around and not self._leaving():
            self._ask("GET", f"/jobs/{job}/", "page job")

    def _as_a_program(self, visit: Visit) -> None:
        body = {
            "prompt": self._prompt(visit),
            "model": "nano",
            "size": "64x64",
            "frames": visit.frames,
            "steps": visit.steps,
            "seed": visit.seed,
        }
        key = {"Idempotency-Key": self._key(visit)}
        answer = self._submit(
            visit, "v1", lambda: self._ask("POST", "/api/v1/jobs", "v1 submit", body, key)
        )
        job = answer.json().get("id") if answer else None
        if job is None:
            return
        if visit.follow == "live":
            self._follow(job, self._open_by_ticket)
        elif visit.follow in {"poll", "wait"}:
            self._poll(job, waits=visit.follow == "wait")

    def _as_a_videos_client(self, visit: Visit) -> None:
        body = {
            "prompt": self._prompt(visit),
            "model": "nano",
            "size": "64x64",
            "num_frames": visit.frames,
            "steps": visit.steps,
            "seed": visit.seed,
        }
        key = {"Idempotency-Key": self._key(visit)}
        answer = self._submit(
            visit, "videos", lambda: self._ask("POST", "/v1/videos", "videos submit", body, key)
        )
        video = answer.json().get("id") if answer else None
        if answer is None or video is None or visit.follow == "leave":
            return
        pause = float(answer.headers.get("openai-poll-after-ms", 1000)) / 1000
        until = time.time() + FOLLOW_SECONDS
        while self._nap(pause) and time.time() < until:
            told = self._ask("GET", f"/v1/videos/{video}", "videos get")
            if told.json().get("status") in VIDEO_DONE:
                if visit.looks_around and told.json()["status"] == "completed":
                    self._ask("GET", f"/v1/videos/{video}/content", "videos content")
                return
            pause = max(pause, patience.seconds_of(told.headers.get("Retry-After")) or 0.0)

    # --- What they share ------------------------------------------------------------------------

    def _submit(self, visit: Visit, surface: str, send: Any) -> Answer | None:
        """Until it is accepted or this one gives up; None then."""
        crowd, tries = self.crowd, 0
        while not self._leaving() and not crowd.spent:
            crowd.jobs_left -= 1
            answer: Answer = send()
            tries += 1
            accepted = answer.status in {200, 201}
            crowd.jobs_left += not accepted
            self._note_submit(visit, surface, tries, answer, accepted)
            if accepted:
                return answer
            if answer.status not in patience.REFUSING:
                return None
            seconds = patience.wait(
                self.character,
                tries=tries,
                retry_after=patience.seconds_of(answer.headers.get("Retry-After")),
                nudges=visit.nudges,
            )
            if seconds is None:
                wish = f"{self.number}/{visit.number}"
                impatient = self.character.impatient
                crowd.writer.note("gave_up", at=time.time(), wish=wish, impatient=impatient)
                return None
            self._nap(seconds)
        return None

    def _note_submit(
        self, visit: Visit, surface: str, tries: int, answer: Answer, accepted: bool
    ) -> None:
        told = answer.json() if accepted else {}
        job = _first_job(answer) if surface == "page" and accepted else told
        estimate = job.get("estimate") or {}
        self.crowd.writer.note(
            "submit",
            at=time.time(),
            surface=surface,
            wish=f"{self.number}/{visit.number}",
            attempt=tries,
            impatient=self.character.impatient,
            status=answer.status,
            code="" if accepted else answer.code,
            retry_after=patience.seconds_of(answer.headers.get("Retry-After")),
            ms=round(answer.ms, 2),
            job=str(job.get("id", "")).removeprefix("video_").replace("-", ""),
            promised_wait=estimate.get("wait_seconds"),
            promised_eta=estimate.get("eta_seconds", job.get("eta_seconds")),
        )

    def _poll(self, job: str, *, waits: bool) -> None:
        """Prefer: wait keeps a request open; without it, an ETag spares what is known."""
        tag, until, pause = "", time.time() + FOLLOW_SECONDS, 0.0 if waits else POLL_SECONDS
        name = "v1 get, waits" if waits else "v1 get"
        while self._nap(pause) and time.time() < until:
            headers = {"Prefer": f"wait={WAIT_SECONDS}"} if waits else {}
            headers |= {"If-None-Match": tag} if tag else {}
            answer = self._ask("GET", f"/api/v1/jobs/{job}", name, headers=headers)
            tag = answer.headers.get("ETag", tag)
            if answer.status == 200 and answer.json().get("state") in DONE:
                return
            # Where too many wait already, it is answered at once.
            waited = waits and "Preference-Applied" in answer.headers
            told = patience.seconds_of(answer.headers.get("Retry-After")) or 0.0
            pause = max(told, 0.0 if waited else POLL_SECONDS)

    def _follow(self, job: str, connect: Any) -> None:
        sockets.follow(job, connect=connect, writer=self.crowd.writer, leaving=self._leaving)

    def _open_by_ticket(self) -> Any:
        answer = self._ask("POST", "/api/v1/live/tickets", "v1 ticket", {})
        if answer.status != 201:
            raise OSError(f"no ticket: {answer.status} {answer.code}")
        return sockets.by_ticket(self.crowd.orders.url, str(answer.json()["ticket"]))

    def _ask(
        self,
        method: str,
        path: str,
        name: str,
        body: Mapping[str, Any] | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Written down, whatever comes."""
        data = json.dumps(body) if isinstance(body, Mapping) else body
        told = {"Content-Type": "application/json"} if isinstance(body, Mapping) else {}
        told |= {"Cookie": self._cookie} if self._cookie else self._bearer
        began = time.time()
        clock = time.perf_counter()
        response = self.client.request(
            method,
            path,
            name=name,
            data=data,
            headers={**told, **(headers or {})},
            allow_redirects=False,
        )
        answer = Answer(response, (time.perf_counter() - clock) * 1000)
        self.crowd.writer.note(
            "request",
            at=began,
            name=name,
            status=answer.status,
            code=answer.code if answer.status >= 400 else "",
            retry_after=patience.seconds_of(answer.headers.get("Retry-After")),
            ms=round(answer.ms, 2),
        )
        return answer

    def _nap(self, seconds: float) -> bool:
        """False where it has to leave."""
        until = time.time() + seconds
        while not self._leaving() and (left := until - time.time()) > 0:
            gevent.sleep(min(left, NAP_SECONDS))
        return not self._leaving()

    def _leaving(self) -> bool:
        return self.crowd.ending or self._state == "stopping"

    def _prompt(self, visit: Visit) -> str:
        return f"load {self.crowd.orders.run}: {visit.prompt}"

    def _key(self, visit: Visit) -> str:
        return f"load-{self.crowd.orders.run}-{self.number}-{visit.number}"


def _first_job(answer: Answer) -> dict[str, Any]:
    """What the studio was answered: all that it submitted."""
    jobs = answer.json().get("jobs")
    return dict(jobs[0]) if isinstance(jobs, list) and jobs else {}
