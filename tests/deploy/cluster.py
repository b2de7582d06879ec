"""What deploy/kubernetes says, for the tests: every overlay, and what no overlay uses."""

import json
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.kustomize import Object, render

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/kubernetes"
OVERLAYS = ("small", "gpu", "spot")
OTHER = "other"  # gpu with the components that it might have had instead
NAMES = (*OVERLAYS, OTHER)
INSTEAD = {
    "postgres-operator": "postgres-managed",
    "ingress-nginx": "gateway",
    "monitoring": "external-secrets",
}
TEMPLATED = {"Deployment", "StatefulSet", "Job"}


def folder_of(name: str, scratch: Path) -> Path:
    """The overlay's; for OTHER one that is made below scratch, as somebody's own would be."""
    if name != OTHER:
        return FOLDER / "overlays" / name
    gpu = FOLDER / "overlays/gpu"
    text = (gpu / "kustomization.yaml").read_text(encoding="utf-8")
    said = yaml.safe_load(text)
    for one, another in INSTEAD.items():
        said["components"] = [each.replace(one, another) for each in said["components"]]
    said["components"].append("../../components/models")
    for key in ("resources", "components"):
        said[key] = [_from(scratch, gpu / each) for each in said[key]]
    scalers = (gpu / "scalers.yaml").read_text(encoding="utf-8")
    (scratch / "scalers.yaml").write_text(scalers, encoding="utf-8")
    said["resources"] = [
        "scalers.yaml" if each.endswith("/scalers.yaml") else each for each in said["resources"]
    ]
    (scratch / "site.env").write_text((gpu / "site.env").read_text("utf-8"), encoding="utf-8")
    (scratch / "kustomization.yaml").write_text(json.dumps(said), encoding="utf-8")
    return scratch


def _from(folder: Path, path: Path) -> str:
    return os.path.relpath(path.resolve(), folder.resolve())


@cache
def objects(name: str) -> tuple[Object, ...]:
    """Rendered once; whoever changes one takes a copy."""
    with tempfile.TemporaryDirectory() as scratch:
        return tuple(render(folder_of(name, Path(scratch))))


def of_kind(name: str, *kinds: str) -> list[Object]:
    return [each for each in objects(name) if each["kind"] in kinds]


def templates(name: str) -> Iterator[tuple[Object, Object]]:
    """Each Deployment, StatefulSet and Job, with its pod's template."""
    for each in of_kind(name, *TEMPLATED):
        yield each, each["spec"]["template"]


def containers(template: Object) -> list[Object]:
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def part_of(template: Object) -> str:
    return str(template["metadata"]["labels"]["app.kubernetes.io/component"])


def environment(name: str, container: Object) -> dict[str, Any]:
    """As the container gets it: ConfigMaps first, then its own; what a field says is a word."""
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(name, "ConfigMap")}
    found: dict[str, Any] = {}
    for source in container.get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]
    for each in container.get("env", []):
        found[each["name"]] = each.get("value", "from-a-field")
    return found
