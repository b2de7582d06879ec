"""Sessions in Postgres that end twice: some time without a request, and some time in all.

Both ends stand in the row itself, so that whatever reads a session (a page, a socket, a JWT) finds
none after them.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

BEGAN, SEEN = "began", "seen"  # seconds since 1970
SEEN_EVERY = 300  # seconds; a session is written no more often


class SessionStore(db.SessionStore):
    @property
    def was_read(self) -> bool:
        """Whether its row is here: to look into it then asks nobody."""
        return hasattr(self, "_session_cache")

    def get_expiry_date(self, **kwargs: Any) -> datetime:
        return min(super().get_expiry_date(**kwargs), timezone.now() + self._left())

    def get_expiry_age(self, **kwargs: Any) -> int:
        return min(super().get_expiry_age(**kwargs), int(self._left().total_seconds()))

    def _left(self) -> timedelta:
        """Until the end of all; it begins with the sign-in."""
        began = self.get(BEGAN, time.time())
        return timedelta(seconds=max(0.0, began + settings.T2V_SESSION_SECONDS - time.time()))


def begin(request: HttpRequest, **_: Any) -> None:
    """At the sign-in, which writes the session anyway."""
    request.session[BEGAN] = request.session[SEEN] = int(time.time())


class Renewed:
    """Middleware, inside of the sessions': a request of somebody signed in puts off the end."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = self._get_response(request)
        session = request.session
        # What needs no session costs no query, and where Postgres is away none is tried again.
        if isinstance(session, SessionStore) and session.was_read and SESSION_KEY in session:
            now = int(time.time())
            if BEGAN not in session:
                session[BEGAN] = now
            if now - session.get(SEEN, 0) >= SEEN_EVERY:
                session[SEEN] = now
        return answer
