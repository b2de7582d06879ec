"""The whole document: OpenAPI 3.1 of every operation, made once for each process."""

from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from jobs import offer
from jobs.schema import (  # noqa: F401 - they fill the table
    accounts_operations,
    audit_operations,
    jobs_operations,
    people_operations,
    videos_operations,
    webhooks_operations,
    workspaces_operations,
)
from jobs.schema.operation import OPERATIONS, Operation
from jobs.schema.problems import OPENAI_ERROR, PROBLEM, SCHEMES, answers
from jobs.spec import MAX_SEED


class HouseGenerator(SchemaGenerator):
    def get_schema(self, request: Any = None, public: bool = False) -> dict[str, Any]:
        document: dict[str, Any] = super().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
        document["components"]["securitySchemes"] = SCHEMES
        document["components"]["schemas"] |= {"Problem": PROBLEM, "Error": OPENAI_ERROR}
        for name in ("RenderRequestRequest", "PicturedRequestRequest", "RemixRequestRequest"):
            narrow(document["components"]["schemas"][name])
        for path, methods in document["paths"].items():
            for method, written in methods.items():
                place = f"{method.upper()} {path}"
                if place in OPERATIONS:
                    complete(written, place, OPERATIONS[place])
        return document


def narrow(asked: dict[str, Any]) -> None:
    """What this site's models accept, all taken together, in the shape of a request for a job."""
    entries = list(offer.configured().values())
    limits, fields = [entry.limits for entry in entries], asked["properties"]
    fields["model"]["enum"] = [entry.name for entry in entries]
    fields["size"]["enum"] = sorted({f"{w}x{h}" for each in limits for w, h in each.sizes})
    fields["frames"]["enum"] = sorted({count for each in limits for count in each.frames})
    fields["quality"]["enum"] = sorted({name for each in limits for name in each.qualities})
    fields["prompt"]["maxLength"] = max(each.max_prompt_chars for each in limits)
    fields["steps"]["minimum"] = min(each.min_steps for each in limits)
    fields["steps"]["maximum"] = max(each.max_steps for each in limits)
    fields["guidance"]["minimum"] = min(each.min_guidance for each in limits)
    fields["guidance"]["maximum"] = max(each.max_guidance for each in limits)
    fields["seed"] |= {"minimum": 0, "maximum": MAX_SEED}


def complete(written: dict[str, Any], place: str, operation: Operation) -> None:
    """Headers, links and refusals, which drf-spectacular leaves to its users."""
    responses = written["responses"]
    for code, answer in operation.answers.items():
        said = responses[str(code)]
        if answer.headers:
            said["headers"] = {
                name: {"description": words, "schema": {"type": "string"}}
                for name, words in answer.headers.items()
            }
        if operation.links and code < 300:
            said["links"] = {
                link.operation: {
                    "operationId": link.operation,
                    "parameters": {link.parameter: link.value},
                }
                for link in operation.links
            }
    responses.update(answers(place, operation))


@cache
def document() -> dict[str, Any]:
    """Do not change it."""
    return HouseGenerator().get_schema()  # type: ignore[no-untyped-call]
