"""One site as this program speaks to it: the token, the tries, and what a bad answer means."""

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit
from uuid import uuid4

import httpx

from t2v_cli.address import is_loopback, origin
from t2v_cli.failures import Code, Failure, from_answer
from t2v_cli.pauses import Patience, retry_after

CONNECT_SECONDS, READ_SECONDS = 10.0, 30.0
MAX_ANSWER_BYTES = 32 << 20  # a page of 100 jobs with the longest prompts has 1.2 MB
REPEATED_SECONDS = 5.0  # the same trouble is told no more often, however many threads have it
MAX_HOPS = 5  # of a file's address: one, to the storage, is what the site does
# The site was asked too much, or stands behind something that reaches it for the moment only.
# 500 is an error of its own: the same request would meet it again.
AGAIN = frozenset({429, 502, 503, 504})
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any  # of JSON; None where there is none
    tries: int  # 1: the first one


class Unreachable(Failure):
    """Nobody answered, or the connection broke: the next try may do."""


class Site:
    """Every POST carries an Idempotency-Key, so that a second try never makes a second job."""

    def __init__(
        self,
        address: str,
        token: str,
        *,
        insecure: bool = False,
        patience_seconds: float,
        tell: Callable[[str], None],
    ) -> None:
        """tell: gets a sentence whenever it is going to wait."""
        self.address, self.patience_seconds, self.tell = address, patience_seconds, tell
        self._insecure = insecure
        self._authorization = f"Bearer {token}"
        self._lock = threading.Lock()
        self._troubles: dict[str, float] = {}  # when each was told last, on the monotonic clock
        self._client = httpx.Client(
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            # A proxy has no business between this machine and itself.
            trust_env=not is_loopback(urlsplit(address).hostname or ""),
            follow_redirects=False,
            headers={"User-Agent": "t2v", "Accept-Encoding": "identity"},
        )

    def close(self) -> None:
        self._client.close()

    def patience(self) -> Patience:
        return Patience(seconds=self.patience_seconds)

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        return self.ask("GET", path, params=params).body

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        return self.ask("POST", path, body=body, key=key).body

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        key: str | None = None,
    ) -> Answer:
        """A success, by as many tries as the patience allows. Raises Failure."""
        headers = {"Authorization": self._authorization, "Accept": "application/json"}
        content: bytes | None = None
        if method == "POST":
            headers["Idempotency-Key"] = key or str(uuid4())
        if body is not None:  # ASCII: a lone surrogate of the command line is the site's to refuse
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode("ascii")
        # What is no Unicode in a command line is none in an address either.
        query = {
            name: str(each).encode(errors="replace").decode()
            for name, each in (params or {}).items()
        }
        request = self._client.build_request(
            method, self.address + path, params=query, content=content, headers=headers
        )
        patience = self.patience()
        while True:
            try:
                with self.answering(request) as response:
                    content = _capped(response)
                tried = patience.tries + 1
                answer = self._understood(response, content, tries=tried)
            except Unreachable as unreachable:
                trouble: Failure = unreachable
                asked = None
            else:
                if 200 <= answer.status < 300:
                    return answer
                trouble = from_answer(answer.status, answer.body, site=self.address)
                trouble.repeated = answer.tries > 1
                if answer.status not in AGAIN:
                    raise trouble
                asked = retry_after(answer.headers.get("retry-after"))
            self.wait(patience, trouble, asked)

    def wait(self, patience: Patience, trouble: Failure, asked: float | None = None) -> None:
        """Until the next try is due. Raises the trouble when none is."""
        pause = patience.next_pause(asked)
        if pause is None:
            if asked is not None and not trouble.advice:
                trouble.advice = f"The site asks to come back in {asked:.0f} s."
            raise trouble
        self._tell_once(str(trouble), f"{trouble} Trying again in {pause:.1f} s.")
        time.sleep(pause)

    def _tell_once(self, trouble: str, sentence: str) -> None:
        now = time.monotonic()
        with self._lock:
            before, self._troubles[trouble] = self._troubles.get(trouble, -REPEATED_SECONDS), now
            self._troubles = {t: at for t, at in self._troubles.items() if now - at < 60}
        if now - before >= REPEATED_SECONDS:
            self.tell(sentence)

    @contextmanager
    def answering(self, request: httpx.Request) -> Iterator[httpx.Response]:
        """The answer's head, and its body to be read. Raises Unreachable, also while it is read."""
        try:
            response = self._client.send(request, stream=True)
            try:
                yield response
            finally:
                response.close()
        except httpx.TransportError as error:
            raise _unreachable(self.address, error) from error

    def events(self, path: str, last_id: str) -> httpx.Request:
        headers = {"Authorization": self._authorization, "Accept": "text/event-stream"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        return self._client.build_request("GET", self.address + path, headers=headers)

    @contextmanager
    def file(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """A file's bytes, wherever the site sends one to. Raises Unreachable and Failure.

        The token goes to the site alone, never along to the storage.
        """
        where = url
        for _ in range(MAX_HOPS + 1):
            request = self._hop(where, headers)
            with self.answering(request) as response:
                if not response.is_redirect or "location" not in response.headers:
                    yield response
                    return
                where = urljoin(str(request.url), response.headers["location"])
        raise Failure("A file's address leads in circles.", Code.UNREACHABLE)

    def _hop(self, url: str, headers: Mapping[str, str]) -> httpx.Request:
        try:
            where = urljoin(self.address, url)
            self._check_hop(where)
            if origin(where) == origin(self.address):
                return self._client.build_request(
                    "GET", where, headers={**headers, "Authorization": self._authorization}
                )
            # The storage has other ETags than the site.
            sent = {name: each for name, each in headers.items() if name != "If-Range"}
            return self._client.build_request("GET", where, headers=sent)
        except (ValueError, httpx.InvalidURL) as error:
            raise Failure("The file's address is none.", Code.UNREACHABLE) from error

    def _check_hop(self, url: str) -> None:
        scheme, host, _ = origin(url)
        if scheme == "https" or (scheme == "http" and (self._insecure or is_loopback(host))):
            return
        raise Failure(
            f"The file lies at {scheme}://{host}, which is not encrypted; it was not fetched.",
            Code.USAGE,
            advice="--insecure fetches it, in a network that you trust.",
        )

    def _understood(self, response: httpx.Response, content: bytes, *, tries: int) -> Answer:
        body: Any = None
        if "json" in response.headers.get("content-type", ""):
            try:
                body = json.loads(content)
            except ValueError:
                raise _not_ours(self.address) from None
        if response.status_code in {200, 201} and body is None:
            raise _not_ours(self.address)
        return Answer(status=response.status_code, headers=response.headers, body=body, tries=tries)


def job_path(job: str, verb: str = "") -> str:
    """An id is one segment of the address, whatever it holds. Raises Failure."""
    if job in {"", ".", ".."}:
        raise Failure(f"{job!r} is no job's id.", Code.USAGE)
    return f"/api/v1/jobs/{quote(job, safe='', errors='replace')}{verb}"


def file_stem(job: str) -> str:
    """An id that the site gave, as a file's name: it leads to no other folder. Raises Failure."""
    if not _ID.fullmatch(job):
        raise Failure(f"{job!r} is no job's id; nothing is written.", Code.UNREACHABLE)
    return job


def _capped(response: httpx.Response) -> bytes:
    content = b""
    for part in response.iter_raw(1 << 16):
        content += part
        if len(content) > MAX_ANSWER_BYTES:
            raise Failure(f"An answer of more than {MAX_ANSWER_BYTES} bytes.", Code.UNREACHABLE)
    return content


def _not_ours(address: str) -> Failure:
    message = f"What answers at {address} is no Text-to-Video Orchestrator."
    return Failure(message, Code.UNREACHABLE, advice="Check --site.")


def _unreachable(address: str, error: httpx.TransportError) -> Failure:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):  # no try will change it
            message = f"{address} shows a certificate that is not to be trusted."
            advice = f"{cause.verify_message}; SSL_CERT_FILE names further authorities."
            return Failure(message, Code.UNREACHABLE, advice=advice)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.TimeoutException):
        return Unreachable(f"{address} does not answer in time.", Code.UNREACHABLE)
    if isinstance(error, httpx.ConnectError):
        return Unreachable(f"{address} cannot be reached.", Code.UNREACHABLE)
    return Unreachable(f"The connection to {address} broke.", Code.UNREACHABLE)
