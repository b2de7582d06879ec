"""The live side of a web process, put together."""

import asyncio
from weakref import WeakKeyDictionary

from jobs import feeds, sentry
from jobs.hub import Hub

WORKS = (
    feeds.follow_ring,
    feeds.fetch_previews,
    feeds.read_news,
    feeds.poll,
    feeds.watch_places,
    sentry.hear_of_rights,
    sentry.keep_the_clock,
    sentry.check_rights,
)
_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    known = _hubs.get(loop)
    if known is None:
        known = _hubs[loop] = Hub(WORKS)
    return known
