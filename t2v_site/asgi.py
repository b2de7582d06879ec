"""HTTP and WebSocket, for daphne or any other ASGI server."""

import os

import daphne.http_protocol
import django
from asgiref.sync import sync_to_async

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "t2v_site.settings")
django.setup(set_prefix=False)  # before anything that needs the apps

from channels.routing import ProtocolTypeRouter  # noqa: E402

from jobs import tracing  # noqa: E402
from jobs.metrics import instruments  # noqa: E402
from jobs.routing import sockets  # noqa: E402
from t2v_site.bodies import Bounded, BoundedWebRequest  # noqa: E402
from t2v_site.draining import Drained  # noqa: E402
from t2v_site.forged import refusing  # noqa: E402

instruments.start()
daphne.http_protocol.WebRequest = BoundedWebRequest
tracing.start("web")


class OneThread(Bounded):
    """Django's own, but a request goes through all middleware and its view in one thread.

    Django lets each middleware run as a coroutine that can, and then every synchronous method in
    it is a way to a thread and back.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)
        chain = self._middleware_chain  # type: ignore[has-type]  # the stubs leave it open
        self._middleware_chain = sync_to_async(chain, thread_sensitive=True)


application = refusing(Drained(ProtocolTypeRouter({"http": OneThread(), "websocket": sockets})))
