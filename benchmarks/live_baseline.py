"""What everybody builds first: a Channels consumer in a group, and group_send for every frame.

After the tutorial of Channels' own documentation, with its middleware and the same Django: the
arm that benchmarks/live.py measures against. `daphne benchmarks.live_baseline:application`.
"""

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "t2v_site.settings")
http = get_asgi_application()  # before anything that needs the apps

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.urls import path  # noqa: E402


class JobConsumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        user: Any = self.scope["user"]  # a lazy object, which the type stubs do not know
        if not user.is_authenticated:
            await self.close()
            return
        self.group = group_of(self.scope["url_route"]["kwargs"]["job"])
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def preview(self, event: dict[str, Any]) -> None:
        await self.send(bytes_data=event["frame"])


def group_of(job: Any) -> str:
    return f"job.{job}"


# The type stubs know HTTP views only.
sockets: list[Any] = [path("ws/jobs/<uuid:job>/", JobConsumer.as_asgi())]  # type: ignore[arg-type]
application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(sockets))),
    }
)
