"""deploy/kubernetes is rendered, valid, and holds together."""

import copy
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import rules_object
from tests.deploy.cluster import (
    NAMES,
    OVERLAYS,
    containers,
    folder_of,
    objects,
    of_kind,
    part_of,
    templates,
)
from tests.deploy.kustomize import CannotRender, Object, render
from tests.deploy.merging import BadPatch
from tests.deploy.schemas import complaints

each_overlay = pytest.mark.parametrize("name", NAMES)


def _named(name: str) -> dict[tuple[str, str], Object]:
    return {(each["kind"], each["metadata"]["name"]): each for each in objects(name)}


@each_overlay
def test_every_object_is_one_that_the_api_server_takes(name: str) -> None:
    found = {
        f"{each['kind']} {each['metadata']['name']}": complaints(each) for each in objects(name)
    }
    assert len(found) > 30
    assert {what: said for what, said in found.items() if said} == {}


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", "spec.template.spec.containers.0.livenessProbes", {}),
        ("Deployment", "spec.template.spec.containers.0.resources.limit", {}),
        ("NetworkPolicy", "spec.podSelectors", {}),
        ("ScaledObject", "spec.triggers.0.metadata.threshold", 300),  # a word there
        ("ScaledObject", "spec.minReplicas", 0),
        ("Cluster", "spec.postgresql.parameter", {}),
        ("PodMonitor", "spec.podMetricsEndpoints.0.authorisation", {}),
        ("PrometheusRule", "spec.groups.0.rules.0.exprs", "1"),
    ],
)
def test_a_field_that_does_not_exist_is_noticed(kind: str, path: str, value: Any) -> None:
    broken = copy.deepcopy(of_kind("gpu", kind)[0])
    place: Any = broken
    *way, last = path.split(".")
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    assert complaints(broken) == []
    place[last] = value
    assert complaints(broken) != []


@each_overlay
def test_it_is_rendered_as_kustomize_does_it(name: str, tmp_path: Path) -> None:
    """Where kubectl is, which is not everywhere; elsewhere our own renderer is all there is."""
    folder = folder_of(name, tmp_path)
    ours = render(folder)
    assert len({(each["kind"], each["metadata"]["name"]) for each in ours}) == len(ours)
    if not (kubectl := shutil.which("kubectl")):
        return  # no kubectl here, and no word of kustomize's own
    done = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    theirs = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert {_identity(each): each for each in ours} == {_identity(each): each for each in theirs}


def _identity(content: Object) -> tuple[str, str]:
    return content["kind"], content["metadata"]["name"]


@pytest.mark.parametrize(
    "line",
    [
        "namePrefix: my-",
        "commonLabels: {a: b}",
        "components: [../../base]",
        "resources: [nobody.yaml]",
    ],
)
def test_what_the_renderer_does_not_know_it_refuses(line: str, tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text(line, encoding="utf-8")
    with pytest.raises((CannotRender, OSError)):
        render(tmp_path)


def test_a_patch_that_meets_nothing_or_nowhere_is_refused(tmp_path: Path) -> None:
    thing = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {}}
    (tmp_path / "thing.yaml").write_text(yaml.safe_dump(thing), encoding="utf-8")
    patches = [
        ({"kind": "Job"}, "[{op: add, path: /spec/a, value: 1}]", CannotRender),
        ({"kind": "Service"}, "[{op: replace, path: /spec/a, value: 1}]", BadPatch),
        ({"kind": "Service"}, "[{op: test, path: /spec, value: 1}]", BadPatch),
        ({"kind": "Service"}, "{metadata: {name: a}, spec: {externalIPs: []}}", BadPatch),
    ]
    for target, patch, error in patches:
        said = {"resources": ["thing.yaml"], "patches": [{"target": target, "patch": patch}]}
        (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")
        with pytest.raises(error):
            render(tmp_path)


@each_overlay
def test_every_selector_finds_the_pods_that_it_is_for(name: str) -> None:
    labels = [template["metadata"]["labels"] for _, template in templates(name)]
    for each in of_kind(name, "Deployment", "StatefulSet"):
        wanted = each["spec"]["selector"]["matchLabels"].items()
        assert wanted <= each["spec"]["template"]["metadata"]["labels"].items()
        # And no other's: two that share pods would each delete the other's.
        assert sum(wanted <= found.items() for found in labels) == 1, each["metadata"]["name"]
    for each in of_kind(name, "Service"):
        wanted = each["spec"]["selector"].items()
        assert sum(wanted <= found.items() for found in labels) == 1, each["metadata"]["name"]
    for each in of_kind(name, "PodDisruptionBudget"):
        wanted = each["spec"]["selector"]["matchLabels"].items()
        assert sum(wanted <= found.items() for found in labels) == 1, each["metadata"]["name"]
    for _, template in templates(name):
        for spread in template["spec"].get("topologySpreadConstraints", []):
            wanted = spread["labelSelector"]["matchLabels"].items()
            assert wanted <= template["metadata"]["labels"].items()


@each_overlay
def test_every_way_in_ends_at_a_port_that_a_container_has(name: str) -> None:
    pods = {part_of(template): template for _, template in templates(name)}
    services: dict[str, set[Any]] = {}
    for each in of_kind(name, "Service"):
        ports = {
            port["name"]: port["containerPort"]
            for container in pods[each["metadata"]["name"]]["spec"]["containers"]
            for port in container["ports"]
        }
        assert all(port["targetPort"] in ports for port in each["spec"]["ports"])
        numbers = {port["port"] for port in each["spec"]["ports"]}
        services[each["metadata"]["name"]] = numbers | {
            port["name"] for port in each["spec"]["ports"]
        }
    backends = [
        (path["backend"]["service"]["name"], path["backend"]["service"]["port"]["name"])
        for each in of_kind(name, "Ingress")
        for rule in each["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]
    backends += [
        (backend["name"], backend["port"])
        for each in of_kind(name, "HTTPRoute")
        for rule in each["spec"]["rules"]
        for backend in rule["backendRefs"]
    ]
    assert {service for service, _ in backends} == {"web", "live"}
    assert all(port in services[service] for service, port in backends)
    for each in of_kind(name, "PodMonitor"):
        (choice,) = each["spec"]["selector"]["matchExpressions"]
        (endpoint,) = each["spec"]["podMetricsEndpoints"]
        for part in choice["values"]:
            (container,) = pods[part]["spec"]["containers"]
            assert endpoint["port"] in {port["name"] for port in container["ports"]}


@each_overlay
def test_what_scales_has_something_to_scale_and_nobody_else_says_how_many(name: str) -> None:
    known = _named(name)
    scaled = []
    for each in of_kind(name, "HorizontalPodAutoscaler", "ScaledObject"):
        target = each["spec"]["scaleTargetRef"]
        scaled.append(target["name"])
        assert "replicas" not in known[target["kind"], target["name"]]["spec"], target
        assert each["metadata"]["name"] == target["name"]
    assert {"web", "live"} <= set(scaled)
    assert len(scaled) == len(set(scaled))
    workers = {each for _, each in known if each.startswith("worker-")}
    assert len(workers) == (1 if name == "small" else 2)
    assert (workers <= set(scaled)) == (name != "small")
    alone = [
        each["metadata"]["name"]
        for each in of_kind(name, "Deployment")
        if each["metadata"]["name"] not in scaled
    ]
    assert all("replicas" in known["Deployment", each]["spec"] for each in alone)


@each_overlay
def test_every_name_that_a_pod_refers_to_is_there_or_is_a_secret_of_the_guide(name: str) -> None:
    known = set(_named(name))
    guide = (rules_object.ROOT / "docs/howto/deploy-kubernetes.md").read_text(encoding="utf-8")
    for _, template in templates(name):
        spec = template["spec"]
        assert ("ServiceAccount", spec["serviceAccountName"]) in known
        assert ("PriorityClass", spec["priorityClassName"]) in known
        there = {volume["name"]: volume for volume in spec["volumes"]}
        claims = {"data"} if part_of(template) == "redis" else set()
        for container in containers(template):
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted <= set(there) | claims
            for source in container.get("envFrom", []):
                assert ("ConfigMap", source["configMapRef"]["name"]) in known
        for volume in there.values():
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in known
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert ("PersistentVolumeClaim", claim) in known
            for secret, key in _secrets(volume):
                assert re.search(
                    rf"generic {secret}\b[^\n]*(\\\n[^\n]*)*--from-\w+={key}=", guide
                ), (
                    secret,
                    key,
                )


def _secrets(volume: Object) -> list[tuple[str, str]]:
    found = [
        (source["secret"]["name"], item["key"])
        for source in volume.get("projected", {}).get("sources", [])
        for item in source["secret"]["items"]
    ]
    secret = volume.get("secret")
    if secret:
        found += [(secret["secretName"], item["key"]) for item in secret["items"]]
    return found


def test_a_vault_gives_every_secret_that_a_pod_or_postgres_asks_for() -> None:
    given = {
        (each["spec"]["target"]["name"], one["secretKey"])
        for each in of_kind("other", "ExternalSecret")
        for one in each["spec"]["data"]
    }
    asked = {
        pair
        for name in NAMES
        for _, template in templates(name)
        for volume in template["spec"]["volumes"]
        for pair in _secrets(volume)
    }
    (cluster,) = of_kind("gpu", "Cluster")
    asked |= {
        (role["passwordSecret"]["name"], "password") for role in cluster["spec"]["managed"]["roles"]
    }
    asked.add((cluster["spec"]["bootstrap"]["initdb"]["secret"]["name"], "password"))
    assert given == asked


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_secret_stands_in_it(name: str) -> None:
    assert of_kind(name, "Secret") == []
    for each in of_kind(name, "ConfigMap"):
        for key in each["data"]:
            assert not re.search(r"(KEY|PASSWORD|TOKEN|SECRET|_URL)$", key) or key == "T2V_BASE_URL"
    for _, template in templates(name):
        for container in containers(template):
            for one in container.get("env", []):
                secret = re.search(
                    r"(KEY|PASSWORD|TOKEN|DATABASE_URL|REDIS_URL|SMTP_URL)$", one["name"]
                )
                assert secret is None, one


def test_the_rules_for_the_operator_are_those_for_prometheus_itself() -> None:
    there = yaml.safe_load(rules_object.OBJECT.read_text(encoding="utf-8"))
    assert there == rules_object.wanted(), "python -m tests.deploy.rules_object"


def test_every_dashboard_is_given_to_grafana() -> None:
    (given,) = [
        each for each in of_kind("gpu", "ConfigMap") if each["metadata"]["name"] == "dashboards"
    ]
    files = (rules_object.ROOT / "deploy/grafana/dashboards").glob("*.json")
    assert set(given["data"]) == {file.name for file in files}
    assert sum(map(len, given["data"].values())) < 900_000  # an object holds 1 MiB
