"""The schema is whole: every operation of the API, with its answers, refusals and examples."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from rest_framework.views import APIView

from jobs.schema.document import document
from jobs.schema.operation import OPERATIONS

METHODS = {"get", "post", "put", "patch", "delete"}
API = ("/api/v1/", "/v1/")


def operations() -> dict[str, dict[str, Any]]:
    """ "GET /api/v1/jobs" → as it stands in the document."""
    return {
        f"{method.upper()} {path}": written
        for path, methods in document()["paths"].items()
        for method, written in methods.items()
        if method in METHODS
    }


def routes(patterns: Any, before: str = "/") -> Iterator[tuple[str, Any]]:
    for each in patterns:
        if isinstance(each, URLResolver):
            yield from routes(each.url_patterns, before + str(each.pattern))
        elif isinstance(each, URLPattern):
            yield before + str(each.pattern), each.callback


def test_every_method_of_every_api_view_is_described_and_nothing_else() -> None:
    there = set()
    for address, view in routes(get_resolver().url_patterns):
        cls = getattr(view, "cls", None)
        if not address.startswith(API) or cls is None:
            continue
        assert issubclass(cls, APIView)
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", address)
        names = [name.lower() for name in cls.http_method_names]
        there |= {
            f"{name.upper()} {path}" for name in METHODS if name in names and hasattr(cls, name)
        }
    assert there == set(OPERATIONS)
    assert there == set(operations())


def test_the_schema_is_valid_and_nothing_in_it_was_guessed(tmp_path: Path) -> None:
    GENERATOR_STATS.reset()
    file = tmp_path / "schema.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", file=str(file))
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["openapi"].startswith("3.1")


def test_every_operation_has_an_id_words_and_a_refusal_for_every_status() -> None:
    ids = [written["operationId"] for written in operations().values()]
    assert len(ids) == len(set(ids))
    for place, written in operations().items():
        assert written["summary"], place
        assert all(answer["description"] for answer in written["responses"].values()), place
        assert {"405", "429"} <= set(written["responses"]), place
        if not OPERATIONS[place].public:
            assert {"401", "403"} <= set(written["responses"]), place
            assert written["security"], place
        if "{" in place:
            assert "404" in written["responses"], place
        if place.startswith("POST"):
            names = {each["name"] for each in written["parameters"]}
            assert "Idempotency-Key" in names, place


def test_every_link_leads_to_an_operation_and_a_parameter_of_it() -> None:
    parameters = {
        written["operationId"]: {each["name"] for each in written.get("parameters", ())}
        for written in operations().values()
    }
    links = [
        link
        for written in operations().values()
        for answer in written["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) > 10
    for link in links:
        assert set(link["parameters"]) <= parameters[link["operationId"]], link


def test_the_page_of_the_api_and_the_schema_name_the_same_operations() -> None:
    """docs/reference/*.md: each is a row of a table that begins with `GET /address`."""
    named = set()
    for page in (Path(settings.BASE_DIR) / "docs/reference").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for method, path in re.findall(r"^\| `([A-Z]+) (/(?:api/)?v1/[^`?]*)", text, re.MULTILINE):
            named.add(f"{method} {path}")
    described = {re.sub(r"\{(\w+)\}", _word, place) for place in OPERATIONS}
    assert sorted(described - named) == []
    assert sorted(named - described) == []


def _word(found: re.Match[str]) -> str:
    """{job_id} is ID on the page, {name} is NAME."""
    return found[1].rpartition("_")[2].upper()


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/vnd.oai.openapi+json"),
        ("*/*", "application/vnd.oai.openapi+json"),
        ("application/json", "application/json"),
        ("application/yaml", "application/yaml"),
        ("application/vnd.oai.openapi", "application/vnd.oai.openapi"),
        ("text/html, application/json;q=0.5", "application/json"),
        ("image/png", "application/vnd.oai.openapi+json"),
    ],
)
def test_the_schema_comes_as_json_or_yaml_to_everybody(
    accept: str, media_type: str, client: Client
) -> None:
    answer = client.get("/api/schema", headers={"Accept": accept} if accept else {})
    assert answer.status_code == 200
    assert answer["Content-Type"] == f"{media_type}; charset=utf-8"
    read = json.loads if media_type.endswith("json") else yaml.safe_load
    assert read(answer.content.decode()) == json.loads(json.dumps(document()))
    known = client.get("/api/schema", headers={"Accept": accept, "If-None-Match": answer["ETag"]})
    assert known.status_code == 304


def test_the_docs_are_a_page_of_this_site_alone(client: Client) -> None:
    page = client.get("/api/docs")
    assert page.status_code == 200
    text = page.content.decode()
    assert "<style" not in text
    assert not re.search(r"<script(?![^>]* src=)", text)
    for address in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert address.startswith("/"), address
    assert "default-src 'self'" in page["Content-Security-Policy"]
    assert "unsafe-inline" not in page["Content-Security-Policy"]
