"""The way in: what the site says passes as it is, and what stays open goes where it belongs."""

import inspect
import re

import pytest
from django.urls import resolve

from jobs import routing
from t2v_site import bodies
from tests.deploy.cluster import NAMES, OVERLAYS, environment, of_kind, part_of, templates
from tests.deploy.kustomize import Object

each_overlay = pytest.mark.parametrize("name", NAMES)


def _web(name: str) -> Object:
    (template,) = [each for _, each in templates(name) if part_of(each) == "web"]
    found: Object = template["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_way_in_passes_on_what_the_site_itself_says(name: str) -> None:
    ways = {each["metadata"]["name"]: each for each in of_kind(name, "Ingress")}
    assert set(ways) == {"web", "live"}
    (host,) = {rule["host"] for each in ways.values() for rule in each["spec"]["rules"]}
    base = environment(name, _web(name))["T2V_BASE_URL"]
    assert base == f"https://{host}"
    for each in ways.values():
        said = {
            key.removeprefix("nginx.ingress.kubernetes.io/"): value
            for key, value in each["metadata"]["annotations"].items()
        }
        # 503 with Retry-After is ours to say; what a pod may have heard is not said to the next.
        assert "503" not in said["custom-http-errors"]
        assert said["custom-http-errors"]
        assert said["proxy-next-upstream"] == "error"
        assert each["spec"]["tls"][0]["hosts"] == [host]
        if each is ways["live"]:
            assert said["proxy-buffering"] == "off"
            assert int(said["proxy-read-timeout"]) >= 600
        else:
            assert int(said["proxy-body-size"].removesuffix("m")) << 20 > bodies.MOST_BYTES


@each_overlay
def test_what_stays_open_goes_to_live_and_everything_else_to_web(name: str) -> None:
    paths = []
    for each in of_kind(name, "Ingress"):
        for rule in each["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                paths.append((path["path"], path["backend"]["service"]["name"]))
    for each in of_kind(name, "HTTPRoute"):
        for rule in each["spec"]["rules"]:
            for match in rule["matches"]:
                end = "" if match["path"]["type"] == "PathPrefix" else "$"
                paths.append((match["path"]["value"] + end, rule["backendRefs"][0]["name"]))
    longest_first = sorted(paths, key=lambda path: -len(path[0]))

    def led_to(address: str) -> str:
        return next(str(part) for path, part in longest_first if re.match(path, address))

    # Every socket that the site opens, and every stream of events.
    cases = re.findall(r'case ((?:"/\S+"(?: \| )?)+)', inspect.getsource(routing.sockets))
    sockets = {path for case in cases for path in re.findall(r'"(.+?)"', case)}
    assert len(sockets) >= 2
    job = "/api/v1/jobs/0190b9f4-1111-7000-8000-000000000000"
    for address in (*sockets, "/api/v1/events", f"{job}/events"):
        assert led_to(address) == "live", address
        assert address in sockets or "events" in str(resolve(address).url_name)
    for address in ("/", "/api/v1/jobs", job, "/api/v1/webhooks", "/healthz/live"):
        assert led_to(address) == "web", address
