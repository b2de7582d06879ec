"""Where what is done just now comes from, for the audit log and the lines of the log.

The web sets it for each request (t2v_site/requests.py); elsewhere it is the process's own. Pure.
"""

from contextvars import ContextVar, Token
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    via: str  # session, token t2v_ab…, jwt, anonymous; outside of requests: command, service
    address: str | None = None  # of the caller, as an IP address
    request_id: str = ""  # as the answer's X-Request-ID says it; empty outside of requests
    user: int | None = None  # the id of whoever asks, once that is known


SERVICE = Origin(via="service")  # the sweep, a worker
_here: ContextVar[Origin] = ContextVar("origin")
_process = SERVICE


def current() -> Origin:
    return _here.get(_process)


def enter(origin: Origin) -> Token[Origin]:
    """Until leave is called with what this gives."""
    return _here.set(origin)


def leave(token: Token[Origin]) -> None:
    _here.reset(token)


def came_by(via: str, *, user: int) -> None:
    """The request at hand showed this; without a request nothing is changed."""
    here = _here.get(None)
    if here is not None:
        _here.set(replace(here, via=via, user=user))


def is_from(user: int) -> None:
    """The session of the request at hand is this user's."""
    here = _here.get(None)
    if here is not None:
        _here.set(replace(here, user=user))


def started_by_hand() -> None:
    """This process is a command that somebody typed."""
    global _process  # noqa: PLW0603 - said once, before anything else runs
    _process = Origin(via="command")
