"""What the system is made of, what it hands to other programs, and what those may do to it."""

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cyclonedx.schema
import jsonschema_rs
import pytest
from django.conf import settings
from kombu.exceptions import ContentDisallowed
from kombu.serialization import dumps, loads

from gpu_worker import tasks
from jobs.webhooks import tasks as webhook_tasks
from t2v_site.celery import app

ROOT = Path(settings.BASE_DIR)
SOURCES = [
    path
    for folder in ("t2v_site", "jobs", "accounts", "gpu_worker", "t2v_cli")
    for path in (ROOT / folder).rglob("*.py")
    if "tests" not in path.parts and "migrations" not in path.parts
]
# Below these there is a known hole.
FLOORS = {
    "daphne": (4, 2, 2),  # CVE-2026-44545, CVE-2026-44546
    "diffusers": (0, 42),  # CVE-2026-44513
    "pillow": (13, 0),  # CVE-2026-96636
}


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)[:3]))


@pytest.mark.parametrize(("package", "floor"), FLOORS.items())
def test_a_version_with_a_known_hole_is_neither_pinned_nor_allowed(
    package: str, floor: tuple[int, ...]
) -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = re.search(rf"^{package}==(\S+)$", pins, re.MULTILINE | re.IGNORECASE)
    assert pinned is not None
    assert _version(pinned[1]) >= floor
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["worker"]]
    least = [re.fullmatch(rf"{package}>=([\d.]+)", each) for each in wanted]
    assert [(*_version(match[1]), 0)[: len(floor)] for match in least if match] == [floor]


def _document(uri: str) -> Any:
    folder = Path(cyclonedx.schema.__file__).parent / "_res"
    name = uri.rpartition("/")[2].replace(".SNAPSHOT", "").replace(".schema", ".SNAPSHOT.schema")
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_the_bill_of_materials_is_whole_and_is_one(tmp_path: Path) -> None:
    """By the command of `make sbom`, against the schema that the standard's own library brings."""
    recipe = re.search(r"^sbom:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    words = shlex.split(recipe[1].replace("\\\n", "").split("@")[-1].replace("$(PY)", ""))
    file = tmp_path / "sbom.json"
    words = [str(file) if word == "var/sbom.json" else word for word in words]
    words[-1] = sys.prefix  # the environment that runs the tests
    subprocess.run(
        [sys.executable, *words, "--no-validate"],  # it takes 13 s; here 0.3
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=240,
    )
    bill = json.loads(file.read_text(encoding="utf-8"))
    schema = _document("bom-1.6.schema.json")
    jsonschema_rs.validator_for(schema, retriever=_document).validate(bill)
    names = {each["name"].lower().replace("_", "-") for each in bill["components"]}
    assert {"django", "daphne", "diffusers", "torch", "pillow", "celery"} <= names
    assert bill["metadata"]["component"]["name"] == "text-to-video-orchestrator"
    assert all(each.get("version") for each in bill["components"])


@cache
def _calls() -> list[tuple[Path, ast.Call]]:
    return list(_found())


def _found() -> Iterator[tuple[Path, ast.Call]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path, node


def _name(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_fixed(statement: ast.expr) -> bool:
    """A constant, a constant's name, a text with such names in it; or a function's `statement`,
    whose callers are held to the same."""
    if isinstance(statement, ast.JoinedStr):
        return all(_is_fixed(part) for part in statement.values)
    if isinstance(statement, ast.BinOp):
        return _is_fixed(statement.left) and _is_fixed(statement.right)
    if isinstance(statement, ast.FormattedValue | ast.Subscript):  # of a table of constants
        return _is_fixed(statement.value)
    if isinstance(statement, ast.Call) and _name(statement) == "join":
        (parts,) = statement.args
        return isinstance(parts, ast.GeneratorExp) and _is_fixed(parts.elt)
    if isinstance(statement, ast.Name):
        return statement.id.lstrip("_").isupper() or statement.id == "statement"
    return isinstance(statement, ast.Constant)


def test_no_statement_of_sql_is_made_of_text_that_came_from_outside() -> None:
    """What varies is a parameter; a statement is a constant, or made of constants by name; or the
    line says, to ruff's own rule (S608), of what else it is made."""
    found = []
    for path, call in _calls():
        if (
            _name(call) in {"execute", "executemany", "raw", "RawSQL", "RunSQL", "_rows"}
            and call.args
        ):
            statement = call.args[0]
            line = path.read_text(encoding="utf-8").splitlines()[statement.lineno - 1]
            if not _is_fixed(statement) and "# noqa: S608 - " not in line:
                found.append(f"{path.relative_to(ROOT)}:{call.lineno}")
        if _name(call) == "extra" and not any(word.arg == "extra" for word in call.keywords):
            found.append(f"{path.relative_to(ROOT)}:{call.lineno} extra()")
    assert not found, found


def _is_on(word: ast.keyword) -> bool:
    """shell=, but for shell=False."""
    off = isinstance(word.value, ast.Constant) and word.value.value is False
    return word.arg == "shell" and not off


def test_other_programs_are_started_by_lists_of_words_and_never_through_a_shell() -> None:
    found = []
    for path, call in _calls():
        if _name(call) in {"system", "popen", "getoutput", "create_subprocess_shell"}:
            found.append(f"{path.relative_to(ROOT)}:{call.lineno}")
        starts = _name(call) in {"run", "Popen", "partial", "call", "check_call", "check_output"}
        if starts and any(_is_on(word) for word in call.keywords):
            found.append(f"{path.relative_to(ROOT)}:{call.lineno} shell=")
    assert not found, found
    # There is no ffmpeg that could be given an option: PyAV encodes, in our own process.
    code = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    assert not re.search(r"""["']ffmpeg["']""", code)


def test_a_message_that_is_no_json_is_not_even_unpacked() -> None:
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == "json"
    for kind in ("application/x-python-serialize", "application/x-yaml"):
        with pytest.raises(ContentDisallowed):
            loads(b"cos\nsystem\n(S'true'\ntR.", kind, "binary", accept={"application/json"})
    content_type, encoding, body = dumps([[], {}, {}], serializer="json")
    assert loads(body, content_type, encoding, accept=["application/json"]) == [[], {}, {}]


@pytest.mark.parametrize("task", [tasks.knock, webhook_tasks.deliver])
def test_a_forged_knock_can_name_nothing(task: Any) -> None:
    with pytest.raises(TypeError):
        task("rm -rf /")
    with pytest.raises(TypeError):
        task(job="00000000-0000-0000-0000-000000000000")


def test_the_worker_offers_the_two_knocks_and_nothing_of_celerys_own() -> None:
    ours = {name for name in app.tasks if not name.startswith("celery.")}
    assert ours == {tasks.knock.name, webhook_tasks.deliver.name}


def test_only_the_models_own_loader_reads_weights_and_only_from_this_disk() -> None:
    code = {path: path.read_text(encoding="utf-8") for path in SOURCES}
    loads_weights = [
        (path, match)
        for path, text in code.items()
        for match in re.finditer(r"\.from_pretrained\((?:[^()]|\([^()]*\))*\)", text)
    ]
    assert loads_weights
    for path, match in loads_weights:
        assert "local_files_only=True" in match[0], f"{path.name}: {match[0]}"
        assert "trust_remote_code" not in match[0]
