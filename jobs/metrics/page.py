"""GET /metrics: for a token, or for whoever is inside T2V_METRICS_NETWORKS."""

import secrets
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Protocol

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from jobs import readiness
from jobs.metrics import instruments
from jobs.metrics.catalogue import METRICS
from jobs.metrics.collector import Told
from jobs.metrics.readings import reader

BEARER = "Bearer "
FORWARDED_FOR = "X-Forwarded-For"
PROXIES = ("Forwarded", "X-Real-IP", "Via")


class Headers(Protocol):
    """Of a request to Django, or to server.py: names in any case."""

    def get(self, name: str, default: str, /) -> str: ...
    def __contains__(self, name: str, /) -> bool: ...


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """As text. 401 for a wrong token; for whoever shows none, and is no neighbour, nothing here."""
    status = refused(request.headers, peer=request.META.get("REMOTE_ADDR", ""))
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status:
        words = "The token is wrong." if status == 401 else "There is nothing here."
        return HttpResponse(words, status=status, headers=headers, content_type="text/plain")
    return HttpResponse(text(), headers=headers, content_type=CONTENT_TYPE_LATEST)


def text() -> bytes:
    """What Postgres says, and what is counted in the processes of this machine."""
    registry = CollectorRegistry(auto_describe=False)
    # First, so that the newest answers are there in time.
    dependencies = _Dependencies()
    for collector in (Told(reader.newest()), *instruments.collectors(), dependencies):
        registry.register(collector)
    return generate_latest(registry)


class _Dependencies(Collector):
    """What /healthz/ready says of them: looked at, in threads, every 10 s at the most."""

    def collect(self) -> Iterator[Metric]:
        metric = METRICS["t2v_dependency_up"]
        family = GaugeMetricFamily(metric.name, metric.words, labels=metric.labels)
        for name, service in (("redis", readiness.redis_server), ("storage", readiness.storage)):
            answer = service.last()
            if answer != readiness.UNASKED:
                family.add_metric([name], float(answer == readiness.OK))
        yield family


def refused(headers: Headers, *, peer: str) -> int:
    """The status of the refusal; 0 for who may read.

    Everybody on the way must be a neighbour: who is connected, and all whom X-Forwarded-For names.
    Where another header of PROXIES says that there is a way, nobody is. So a stranger behind a
    proxy on this machine is none, whether or not the proxy is known of, and a forged header only
    shuts out.
    """
    authorization, forwarded = headers.get("Authorization", ""), headers.get(FORWARDED_FOR, "")
    token: str | None = settings.T2V_METRICS_TOKEN
    if authorization.startswith(BEARER) and token:
        shown = authorization.removeprefix(BEARER).strip()
        return 0 if secrets.compare_digest(shown.encode(), token.encode()) else 401
    if any(name in headers for name in PROXIES):
        return 404
    way = [peer, *(forwarded.split(",") if forwarded else [])]
    return 0 if all(map(_is_neighbour, way)) else 404


def _is_neighbour(address: str) -> bool:
    try:
        found = ip_address(address.strip().strip("[]").partition("%")[0])
    except ValueError:
        return False  # a Unix socket's peer has none: its proxy says for whom it asks
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in settings.T2V_METRICS_NETWORKS)
