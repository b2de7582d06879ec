"""The two ways in which a patch of kustomize changes an object: strategic merge and JSON patch."""

from typing import Any

# Lists whose items have a name; all other lists are put in place of what was there.
KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}
WHOLE = {"tolerations", "nodeSelectorTerms", "command"}


class BadPatch(Exception):
    """A patch that fits nothing, or in a way that is not known here."""


def merge(content: dict[str, Any], change: dict[str, Any], path: tuple[str, ...]) -> None:
    """A strategic merge of change into content, in place. null takes a field away."""
    for key, value in change.items():
        here = (*path, key)
        if key == "$patch":
            raise BadPatch(f"$patch within {'.'.join(path)}")
        if value is None:
            content.pop(key, None)
        elif isinstance(value, dict):
            merge(content.setdefault(key, {}), value, here)
        elif isinstance(value, list) and key in KEYS:
            _merge_list(content.setdefault(key, []), value, KEYS[key], here)
        elif isinstance(value, list) and key not in WHOLE:
            raise BadPatch(f"whether lists of {'.'.join(here)} are merged is not known here")
        else:
            content[key] = value


def _merge_list(
    content: list[dict[str, Any]], change: list[dict[str, Any]], key: str, path: tuple[str, ...]
) -> None:
    """As kustomize has it, what the patch names comes first."""
    rest = [each for each in content if all(each[key] != item[key] for item in change)]
    merged = []
    for item in change:
        same = [each for each in content if each[key] == item[key]] or [{}]
        merge(same[0], item, path)
        merged.append(same[0])
    content[:] = merged + rest


def apply_json_patch(content: dict[str, Any], operations: list[dict[str, Any]]) -> None:
    """RFC 6902 in place: add, replace and remove."""
    for each in operations:
        *way, last = each["path"].removeprefix("/").split("/")
        place: Any = content
        for step in map(_plain, way):
            place = place[int(step)] if isinstance(place, list) else place[step]
        _operate(place, _plain(last), each)


def _plain(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def _operate(place: Any, last: str, each: dict[str, Any]) -> None:
    what, there = each["op"], last if isinstance(place, dict) else None
    if what not in {"add", "replace", "remove"}:
        raise BadPatch(f"op {what}")
    if what == "add" and last == "-":
        place.append(each["value"])
    elif there is None:
        raise BadPatch(f"{each['path']}: lists are only added to")
    elif what != "add" and there not in place:
        raise BadPatch(f"{each['path']}: there is nothing")
    elif what == "remove":
        del place[there]
    else:
        place[there] = each["value"]
