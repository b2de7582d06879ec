"""What the lines of the log say without being told: which job, attempt, model, worker, trace.

A thread has its own: whoever begins one for a job says so there. t2v_site/logs.py reads it.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Any

from structlog.contextvars import bound_contextvars, get_contextvars

from accounts import origin

# In the order in which a line has them; there are no others.
FIELDS = ("request", "user", "job", "attempt", "model", "worker", "trace")

_process: dict[str, Any] = {}  # what holds for all threads


def of_process(**fields: Any) -> None:
    """From now on every line of this process says so. Said once, as it starts."""
    _process.update(fields)


def about(**fields: Any) -> AbstractContextManager[None]:
    """Lines of this thread (or request) say so, until the end of the with. Ids and numbers alone:
    no prompt, no name, no address."""
    assert fields.keys() <= set(FIELDS)
    return bound_contextvars(**{name: value for name, value in fields.items() if value != ""})


def thread(target: Callable[[], object], *, name: str) -> threading.Thread:
    """Not started; its lines will be about what those of this thread are about now."""
    return threading.Thread(target=copy_context().run, args=(target,), name=name, daemon=True)


def now() -> dict[str, Any]:
    """What a line written here and now is about; only what is known."""
    here = origin.current()
    known = {"request": here.request_id, "user": here.user, **_process, **get_contextvars()}
    return {name: value for name in FIELDS if (value := known.get(name)) not in (None, "")}
