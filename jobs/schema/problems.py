"""How refusals stand in the schema: by status, with the codes that one operation can answer."""

from collections import defaultdict
from typing import Any

from jobs import errors
from jobs.schema.operation import JSON, Operation

PROBLEM_JSON = "application/problem+json"
SECURITY: list[dict[str, Any]] = [{"token": []}, {"jwt": []}, {"session": []}]
SECURITY_BY_TOKEN = SECURITY[:2]
OPENAI_PREFIX = "/v1/"  # whose refusals have the shape that the SDKs read: jobs/openai_answers.py
SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "t2v_…",
        "description": "A token made on the page of tokens, by POST /api/v1/tokens, or by "
        "`manage.py token`. Its scopes say what it may do.",
    },
    "jwt": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of the site's own sign-in for applications.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "sessionid",
        "description": "A browser that is signed in; unsafe methods need X-CSRFToken. Where an "
        "Authorization header is sent, no cookie is looked at.",
    },
}
PROBLEM = {  # RFC 9457
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable: docs/reference/errors.md."},
        "detail": {"type": "string"},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "A sentence for each field that is at fault.",
        },
    },
}
OPENAI_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "The first field at fault."},
                "code": {"type": "string", "description": "Stable: docs/reference/errors.md."},
            },
        }
    },
}
WORDS = {
    400: "The request makes no sense; `fields` names what is wrong.",
    401: "Nobody is signed in.",
    403: "The credentials do not reach that far.",
    404: "There is nothing here, or you may not see it.",
    405: "This address has no such method; `Allow` names those it has.",
    406: "No answer can be given in a form that `Accept` names.",
    409: "Not possible now, or the idempotency key was used before.",
    413: "The body is too large.",
    416: "The range lies outside the file; `Content-Range` says what there is.",
    415: "The body is of a type that nobody reads here.",
    429: "Too much at once; `Retry-After` says when to come again.",
    503: "Not now; `Retry-After` says when to come again.",
}
_RETRY_AFTER = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}
_CHALLENGE = {"description": "`Bearer`", "schema": {"type": "string"}}


def codes(place: str, operation: Operation) -> dict[int, set[str]]:
    """Status → codes: the operation's own, and those of every one of its kind."""
    method, _, path = place.partition(" ")
    found: dict[int, set[str]] = defaultdict(set)
    for refusal in operation.refusals:
        found[refusal.status].add(refusal.code)
    found[405].add("method_not_allowed")
    found[406].add("not_acceptable")
    found[429].add("rate_limited")
    found[503].add(errors.DatabaseUnavailable.code)
    if "{" in path:
        found[404].add("not_found")
    if operation.parameters:
        found[400] |= {errors.BadSpec.code, errors.BadFields.code}
    if not operation.public:
        found[401] |= {"not_authenticated", "authentication_failed"}
        found[403].add("insufficient_scope")
        if operation.tag == "operators":
            found[403].add("second_factor_needed")
        if method != "GET":
            found[403].add("permission_denied")  # a session without its CSRF token
    if method in {"POST", "PUT", "PATCH"}:
        found[400] |= {errors.BadSpec.code, errors.BadFields.code, "parse_error"}
        found[413].add("too_large")
        found[415].add("unsupported_media_type")
        found[409].add(errors.KeyReused.code)
    return found


def answers(place: str, operation: Operation) -> dict[str, Any]:
    """As they stand in the document under `responses`."""
    return {
        str(status): _answer(status, sorted(names), openai=is_of_openai(place.split()[1]))
        for status, names in sorted(codes(place, operation).items())
    }


def is_of_openai(path: str) -> bool:
    return path.startswith(OPENAI_PREFIX)


def _answer(status: int, names: list[str], *, openai: bool) -> dict[str, Any]:
    code: dict[str, Any] = {"type": "object"}
    code["properties"] = {"code": {"type": "string", "enum": names}}
    if openai:
        code = {"type": "object", "properties": {"error": code}}
    name, kind = ("Error", JSON) if openai else ("Problem", PROBLEM_JSON)
    schema = {"allOf": [{"$ref": f"#/components/schemas/{name}"}, code]}
    answer: dict[str, Any] = {
        "description": WORDS.get(status, "Refused."),
        "content": {kind: {"schema": schema}},
    }
    if status in {429, 503}:
        answer["headers"] = {"Retry-After": _RETRY_AFTER}
    if status == 401:
        answer["headers"] = {"WWW-Authenticate": _CHALLENGE}
    return answer
