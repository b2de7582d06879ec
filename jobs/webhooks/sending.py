"""One POST to somebody else's server: to a checked address, in bounded time, with a bounded answer.

requests-hardened looks the name up once, refuses addresses that are not public, connects to the one
it checked and follows no redirect. Here its answer is checked again by our own rule (addresses.py),
and a deadline ends all of it, also where each byte comes in time and the whole never does.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests_hardened import Config, HTTPSession  # type: ignore[import-untyped]
from requests_hardened.ip_filter import InvalidIPAddress  # type: ignore[import-untyped]
from requests_hardened.ip_filter_adapter import IPFilterAdapter  # type: ignore[import-untyped]
from urllib3.exceptions import HTTPError

from jobs.webhooks import addresses
from jobs.webhooks.addresses import Refused, Target
from jobs.webhooks.shapes import TOTAL_SECONDS, Answer

LOOKUP_SECONDS = 5.0
CONNECT_SECONDS = 5.0
EXCERPT_SECONDS = 2.0  # for the answer's body, once its status is there
EXCERPT_BYTES = 4096  # of the answer's body; the rest is not read
AGENT = "T2V-Webhooks/1"


class Deadline:
    """Shuts the connection down when its time is over, whatever is being read from it then."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer: threading.Timer | None = None
        self.passed = False

    def left(self) -> float:
        return max(0.0, self._ends - time.monotonic())

    def watch(self, connection: socket.socket) -> None:
        """A copy of the descriptor: TLS takes the socket itself apart."""
        with self._lock:
            self._socket = connection.dup()
            self._timer = threading.Timer(self.left(), self._end)
            self._timer.daemon = True
            self._timer.start()

    def shorten(self, seconds: float) -> None:
        """From now on, at most so long."""
        with self._lock:
            self._ends = min(self._ends, time.monotonic() + seconds)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = threading.Timer(self.left(), self._end)
                self._timer.daemon = True
                self._timer.start()

    def _end(self) -> None:
        with self._lock:
            self.passed = True
            if self._socket is not None:
                with suppress(OSError):  # the other side was faster
                    self._socket.shutdown(socket.SHUT_RDWR)

    def dismiss(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._socket is not None:
                self._socket.close()
                self._socket = None


class _Watched(HTTPAdapter):
    """Hands the connection to the deadline as soon as it is there, before TLS."""

    deadline: Deadline

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        plain, deadline = pool.ConnectionCls, self.deadline

        class Connection(plain):  # type: ignore[misc, valid-type]  # http or https
            def _new_conn(self) -> socket.socket:
                made: socket.socket = super()._new_conn()
                deadline.watch(made)
                return made

        pool.ConnectionCls = Connection
        return pool


class _Checked(_Watched, IPFilterAdapter):  # type: ignore[misc]  # it has no types
    def build_connection_pool_key_attributes(self, *args: Any, **kwargs: Any) -> Any:
        """Where to connect to, by one lookup. Raises Refused; InvalidIPAddress is the library's."""
        look_up = super().build_connection_pool_key_attributes
        wait = min(LOOKUP_SECONDS, self.deadline.left())
        try:
            host, pool = _within(wait, partial(look_up, *args, **kwargs))
        except TimeoutError as error:
            raise requests.ConnectTimeout(f"no address within {wait:.0f} s") from error
        literal = addresses.as_literal(str(host["host"]).strip("[]"))
        if literal is None:
            raise Refused("The name leads to no address.")
        addresses.check_address(literal)
        return host, pool


def _within(seconds: float, look_up: Callable[[], Any]) -> Any:
    """Raises TimeoutError, and whatever look_up raises.

    A lookup cannot be interrupted, so it is left to itself, and holds up no end of this process.
    Resolvers give up after 30 s or so: with four lanes that wait 5 s each, 24 are under way at
    the most.
    """
    found: Future[Any] = Future()

    def run() -> None:
        try:
            found.set_result(look_up())
        except Exception as error:  # whatever it is, it belongs to who waits
            found.set_exception(error)

    threading.Thread(target=run, name="lookup", daemon=True).start()
    return found.result(seconds)


def _session(target: Target, deadline: Deadline) -> requests.Session:
    config = Config(
        ip_filter_enable=not target.private,
        ip_filter_allow_loopback_ips=False,
        never_redirect=True,
        default_timeout=(CONNECT_SECONDS, TOTAL_SECONDS),
        user_agent_override=AGENT,
    )
    session: requests.Session = HTTPSession(config)
    session.trust_env = False  # no proxy and no .netrc of this machine
    adapter = _Watched() if target.private else _Checked(is_https_proto=True)  # type: ignore[call-arg]
    adapter.deadline = deadline
    if target.private:
        session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def post(url: str, *, body: str, headers: Mapping[str, str]) -> Answer:
    """Whatever goes wrong becomes an Answer, within TOTAL_SECONDS."""
    began, deadline = time.monotonic(), Deadline(TOTAL_SECONDS)
    status: int | None = None
    excerpt = error = ""
    try:
        target = addresses.check(url)
        with _session(target, deadline) as session:
            answer = session.post(
                url, data=body.encode(), headers=dict(headers), stream=True, timeout=None
            )
            if deadline.passed:  # a head that was cut short reads like a whole one
                raise requests.ReadTimeout
            status = answer.status_code
            excerpt = _excerpt(answer, deadline)
            answer.close()
        error = _verdict(status)
    except Refused as refusal:
        error = f"not allowed: {refusal}"
    except InvalidIPAddress as refusal:
        error = f"not allowed: {refusal} is no public address."
    except (requests.RequestException, HTTPError, OSError) as trouble:
        error = _words(trouble, deadline)
    finally:
        deadline.dismiss()
    return Answer(
        status=status, excerpt=excerpt, error=error, seconds=round(time.monotonic() - began, 3)
    )


def _excerpt(answer: requests.Response, deadline: Deadline) -> str:
    """The first bytes of the body as they came, NUL left out: Postgres keeps none."""
    deadline.shorten(EXCERPT_SECONDS)
    read = b""
    with suppress(requests.RequestException, HTTPError, OSError):  # the status is what counts
        while len(read) < EXCERPT_BYTES and (
            some := answer.raw.read1(EXCERPT_BYTES - len(read), decode_content=False)
        ):
            read += some
    return read.decode("utf-8", "replace").replace("\0", "\ufffd")


def _verdict(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"answered {status}; redirects are not followed"
    return f"answered {status}"


def _words(trouble: Exception, deadline: Deadline) -> str:
    if deadline.passed or not deadline.left():
        return f"no answer within {TOTAL_SECONDS:.0f} s"
    if isinstance(trouble, requests.exceptions.SSLError):
        return "the certificate is not valid for this name, or TLS failed"
    if isinstance(trouble, requests.ConnectTimeout):
        return "no connection in time"
    if "resolve" in str(trouble):
        return "the name leads to no address"
    return f"the connection failed ({type(trouble).__name__})"
