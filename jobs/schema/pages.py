"""/api/schema and /api/docs: for everybody, from this site alone."""

import hashlib
import json
from functools import cache

import yaml
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe

from jobs.schema.document import document

AS_JSON = "application/vnd.oai.openapi+json"
AS_YAML = "application/vnd.oai.openapi"
_TYPES = {  # what is asked for → what it is answered with
    AS_JSON: AS_JSON,
    "application/json": "application/json",
    AS_YAML: AS_YAML,
    "application/yaml": "application/yaml",
}


@cache
def _written(media_type: str) -> tuple[bytes, str]:
    """The text and its tag."""
    if media_type.endswith("json"):
        text = json.dumps(document(), ensure_ascii=False, separators=(",", ":"))
    else:
        # By way of JSON: YAML would write what occurs twice as an anchor.
        plain = json.loads(json.dumps(document()))
        text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    body = text.encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """OpenAPI 3.1: JSON, or YAML where `Accept` prefers it."""
    chosen = request.get_preferred_type(list(_TYPES)) or AS_JSON
    body, tag = _written(chosen)
    if tag in parse_etags(request.headers.get("If-None-Match", "")):
        answer = HttpResponse(status=304)
    else:
        answer = HttpResponse(body, content_type=f"{_TYPES[chosen]}; charset=utf-8")
    answer["ETag"], answer["Cache-Control"], answer["Vary"] = tag, "no-cache", "Accept"
    return answer


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Swagger UI, which sends the CSRF token along for those who are signed in."""
    return render(request, "docs/api.html", {"csrf": get_token(request)})
