"""The least that a Django view can do for a POST: read JSON, insert one row, answer JSON.

No middleware, no session, nobody asked who it is; the same Django, the same way to Postgres. The
arm that benchmarks/api.py measures against. `daphne benchmarks.api_bare:application`.
"""

import json
import os
import uuid
from typing import ClassVar
from urllib.parse import unquote, urlsplit

import django
from django.conf import settings

TABLE = "bench_bare"  # benchmarks/api_world.py makes it


def _configure() -> None:
    url = urlsplit(os.environ["T2V_DATABASE_URL"])
    size = int(os.environ.get("T2V_DATABASE_POOL", "0"))
    settings.configure(
        SECRET_KEY="of a benchmark",  # noqa: S106
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=[],
        MIDDLEWARE=[],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": url.path.removeprefix("/"),
                "USER": unquote(url.username or ""),
                "PASSWORD": unquote(url.password or ""),
                "HOST": url.hostname,
                "PORT": url.port,
                "CONN_MAX_AGE": 0,
                "OPTIONS": {"pool": {"min_size": 1, "max_size": size}} if size else {},
            }
        },
    )
    django.setup()


_configure()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.db.models.functions import Now  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Row(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    prompt = models.TextField()
    spec = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    objects: ClassVar[models.Manager["Row"]] = models.Manager()

    class Meta:
        app_label = "bench"
        db_table = TABLE

    def __str__(self) -> str:
        return f"row {self.pk}"


def insert(request: HttpRequest) -> JsonResponse:
    asked = json.loads(request.body)
    row = Row.objects.create(prompt=asked["prompt"], spec=asked)
    return JsonResponse({"id": str(row.pk), "created_at": row.created_at.isoformat()}, status=201)


def live(request: HttpRequest) -> JsonResponse:
    return JsonResponse({})


urlpatterns = [path("api/v1/jobs", insert), path("healthz/live", live)]
application = get_asgi_application()
