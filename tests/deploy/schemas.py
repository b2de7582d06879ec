"""Objects against what the API server would say: Kubernetes' own kinds, and those of operators.

deploy/kubernetes/schemas/ holds the latter's schemas out of the operators' own definitions
(README.md there). Structural schemas prune what they do not know; here it is an error.
"""

import json
from functools import cache
from typing import Any

import kubernetes_validate
from jsonschema_rs import Draft202012Validator, ValidationError

from tests.deploy.cluster import FOLDER
from tests.deploy.kustomize import Object

VERSION = "1.34"  # of Kubernetes


def complaints(content: Object) -> list[str]:
    """What is wrong with it, in the validator's words; nothing for a good one."""
    group, _, version = content["apiVersion"].rpartition("/")
    file = FOLDER / "schemas" / f"{group}_{version}_{content['kind']}.json"
    if file.exists():
        return [f"{error.instance_path}: {error.message}" for error in _own(file.name, content)]
    try:
        kubernetes_validate.validate(content, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [str(error.message)]
    except kubernetes_validate.SchemaNotFoundError as error:
        return [str(error.message)]
    return []


def _own(file: str, content: Object) -> list[ValidationError]:
    return list(_validator(file).iter_errors(content))


@cache
def _validator(file: str) -> Draft202012Validator:
    said = json.loads((FOLDER / "schemas" / file).read_text(encoding="utf-8"))
    schema = said["schema"]
    _close(schema)
    # The operators leave metadata to the API server.
    schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
    return Draft202012Validator(schema)


def _close(schema: Any) -> None:
    """Fields that are not named are refused, except where the schema says that any may come."""
    if not isinstance(schema, dict):
        return
    named = schema.get("properties", {})
    kept = schema.get("x-kubernetes-preserve-unknown-fields", False)
    if named and "additionalProperties" not in schema and not kept:
        schema["additionalProperties"] = False
    for each in named.values():
        _close(each)
    _close(schema.get("items"))
    _close(schema.get("additionalProperties"))
