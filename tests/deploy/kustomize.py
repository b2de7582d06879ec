"""Renders deploy/kubernetes as kustomize does: as much of it as our files use, and no more.

No kustomize is on a fresh machine. A field that is not known here is an error, never passed over,
and where kubectl is, test_kubernetes.py holds every overlay against `kubectl kustomize`.
"""

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.merging import apply_json_patch, merge

Object = dict[str, Any]

ROOTS = {"apiVersion", "kind", "namespace", "nameSuffix", "labels", "resources", "components"}
ROOTS |= {"configMapGenerator", "images", "patches", "replicas"}
OF_THE_CLUSTER = {"Namespace", "PriorityClass"}
# Where a name of another object stands; what follows `*` is in each of a list.
CONFIG_MAPS = (
    "spec.template.spec.initContainers.*.envFrom.*.configMapRef",
    "spec.template.spec.containers.*.envFrom.*.configMapRef",
    "spec.template.spec.volumes.*.configMap",
)
TEMPLATED = {"Deployment", "StatefulSet", "Job"}


class CannotRender(Exception):
    """Says which field of which file is beyond this renderer, or refers to nothing."""


@dataclass(slots=True)
class Entry:
    content: Object
    name: str  # as its file says it: patches of every layer still find it by this
    hashed: bool = False  # its name gets a hash of what is in it

    @property
    def kind(self) -> str:
        return str(self.content["kind"])

    @property
    def labels(self) -> dict[str, str]:
        found: dict[str, str] = self.content["metadata"].get("labels", {})
        return found


def render(folder: Path) -> list[Object]:
    """The objects of an overlay, in no order that means anything. Raises CannotRender."""
    entries = _layer(folder.resolve(), [])
    renamed = {}
    for entry in entries:
        if entry.hashed:
            before = entry.content["metadata"]["name"]
            renamed[before] = f"{before}-{_hash(entry.content)}"
            entry.content["metadata"]["name"] = renamed[before]
    for entry in entries:
        for path in CONFIG_MAPS:
            for place in _places(entry.content, path.split(".")):
                place["name"] = renamed.get(place["name"], place["name"])
    return [entry.content for entry in entries]


def load(path: Path) -> list[Object]:
    """Each document, its aliases as copies: what is patched in one place is in no other."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(json.dumps(each)) for each in yaml.safe_load_all(file) if each]


def _layer(folder: Path, entries: list[Entry]) -> list[Entry]:
    """entries, and what this folder adds to them. A component changes all, a base none."""
    file = folder / "kustomization.yaml"
    if not file.is_file():
        raise CannotRender(f"{folder} has no kustomization.yaml")
    (said,) = load(file)
    _only(said, ROOTS, file)
    for name in said.get("resources", []):
        path = (folder / name).resolve()
        if path.is_dir():
            entries += _layer(path, [])
        else:
            if folder not in path.parents:
                raise CannotRender(f"{file}: {name} lies outside of its folder")
            entries += [Entry(each, each["metadata"]["name"]) for each in load(path)]
    for name in said.get("components", []):
        component = (folder / name).resolve()
        if load(component / "kustomization.yaml")[0]["kind"] != "Component":
            raise CannotRender(f"{file}: {name} is no Component")
        entries = _layer(component, entries)
    for generator in said.get("configMapGenerator", []):
        _generate(generator, entries, folder)
    for patch in said.get("patches", []):
        entries = _patch(patch, entries, file)
    for entry in entries:
        _transform(entry, said, file)
    _refuse_doubles(entries, file)
    return entries


def _transform(entry: Entry, said: Object, file: Path) -> None:
    content = entry.content
    if "namespace" in said and entry.kind not in OF_THE_CLUSTER:
        content["metadata"]["namespace"] = said["namespace"]
    if "nameSuffix" in said and entry.kind not in OF_THE_CLUSTER:
        content["metadata"]["name"] += said["nameSuffix"]
    for label in said.get("labels", []):
        _only(label, {"pairs", "includeSelectors", "includeTemplates"}, file)
        _label(content, **label)
    for wanted in said.get("replicas", []):
        if entry.name == wanted["name"] and entry.kind in {"Deployment", "StatefulSet"}:
            content["spec"]["replicas"] = wanted["count"]
    for image in said.get("images", []):
        _only(image, {"name", "newName", "newTag"}, file)
        for path in ("initContainers", "containers"):
            for place in _places(content, ["spec", "template", "spec", path, "*"]):
                if place["image"].partition(":")[0] == image["name"]:
                    place["image"] = f"{image['newName']}:{image['newTag']}"


def _label(
    content: Object,
    pairs: dict[str, str],
    *,
    includeSelectors: bool = False,
    includeTemplates: bool = False,
) -> None:
    content["metadata"].setdefault("labels", {}).update(pairs)
    if content["kind"] in TEMPLATED and (includeTemplates or includeSelectors):
        content["spec"]["template"]["metadata"].setdefault("labels", {}).update(pairs)
        for claim in content["spec"].get("volumeClaimTemplates", []):
            claim["metadata"].setdefault("labels", {}).update(pairs)
    if not includeSelectors:
        return
    if content["kind"] not in {"Deployment", "PodDisruptionBudget"}:
        raise CannotRender(f"labels in the selectors of a {content['kind']}")
    content["spec"]["selector"]["matchLabels"].update(pairs)
    spread = "spec.template.spec.topologySpreadConstraints.*.labelSelector.matchLabels"
    for place in _places(content, spread.split(".")):
        place.update(pairs)


def _patch(patch: Object, entries: list[Entry], file: Path) -> list[Entry]:
    _only(patch, {"target", "patch", "options"}, file)
    _only(patch["target"], {"kind", "name", "labelSelector"}, file)
    meant = [entry for entry in entries if _is_meant(entry, patch["target"], file)]
    if not meant:
        raise CannotRender(f"{file}: a patch meets nothing: {patch['target']}")
    change = yaml.safe_load(patch["patch"])
    if isinstance(change, list):
        for entry in meant:
            apply_json_patch(entry.content, copy.deepcopy(change))
        return entries
    if change.get("$patch") == "delete":
        return [entry for entry in entries if entry not in meant]
    for entry in meant:
        own = copy.deepcopy(change)
        own["metadata"] = {}  # whom it concerns, the target says
        merge(entry.content, own, ())
    return entries


def _is_meant(entry: Entry, target: Object, file: Path) -> bool:
    if entry.kind != target.get("kind", entry.kind):
        return False
    if "name" in target and target["name"] not in (entry.name, entry.content["metadata"]["name"]):
        return False
    key, equals, value = target.get("labelSelector", "").partition("=")
    if any(sign in target.get("labelSelector", "") for sign in ",!( "):
        raise CannotRender(f"{file}: labelSelector {target['labelSelector']}")
    if not key:
        return True
    return key in entry.labels and (not equals or entry.labels[key] == value)


def _generate(generator: Object, entries: list[Entry], folder: Path) -> None:
    _only(generator, {"name", "envs", "files", "behavior", "options"}, folder)
    options = generator.get("options", {})
    _only(options, {"labels", "disableNameSuffixHash"}, folder)
    data: dict[str, str] = {}
    for name in generator.get("envs", []):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                key, _, value = line.partition("=")
                data[key] = value
    for name in generator.get("files", []):
        target, _, source = name.rpartition("=")
        data[target or Path(source).name] = (folder / source).read_text(encoding="utf-8")
    there = [each for each in entries if each.name == generator["name"] and each.hashed]
    if generator.get("behavior", "create") == "merge":
        if len(there) != 1:
            raise CannotRender(f"{folder}: there is no {generator['name']} to merge with")
        there[0].content["data"].update(data)
        return
    metadata: Object = {"name": generator["name"]}
    if "labels" in options:
        metadata["labels"] = dict(options["labels"])
    content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    hashed = not options.get("disableNameSuffixHash", False)
    entries.append(Entry(content, generator["name"], hashed=hashed))


def _hash(config_map: Object) -> str:
    """Ten letters that kustomize makes of the data, so that pods start anew when it changes."""
    # It looks the name up in the wrong place, so that none is hashed.
    whole = {"kind": "ConfigMap", "name": "", "data": config_map["data"]}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":  # as Go writes JSON
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return digest.translate(str.maketrans("013ae", "ghkmt"))


def _places(content: Any, path: list[str]) -> Iterator[Any]:
    if not path:
        yield content
    elif path[0] == "*":
        for each in content:
            yield from _places(each, path[1:])
    elif isinstance(content, dict) and path[0] in content:
        yield from _places(content[path[0]], path[1:])


def _only(said: Object, known: set[str], where: Path) -> None:
    if unknown := set(said) - known:
        raise CannotRender(f"{where}: {', '.join(sorted(unknown))}")


def _refuse_doubles(entries: list[Entry], file: Path) -> None:
    seen = set()
    for entry in entries:
        identity = (entry.content["apiVersion"], entry.kind, entry.content["metadata"]["name"])
        if identity in seen:
            raise CannotRender(f"{file}: twice {identity}")
        seen.add(identity)
