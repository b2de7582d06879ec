"""The workflows of a fork: least rights, pinned steps, and no release from an unsigned tag."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github"
FILES = sorted((FOLDER / "workflows").glob("*.yml"))
# Looked up in clones of the actions' repositories on 2026-11-26, each the commit of its release.
VERIFIED = {
    "actions/attest-build-provenance": ("a2bbfa25375fe432b6a289bc6b6cd05ecd0c4c32", "v4.1.0"),
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/setup-python": ("5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "anchore/sbom-action": ("e22c389904149dbc22b58101806040fa8d37a610", "v0.24.0"),
    "docker/build-push-action": ("53b7df96c91f9c12dcc8a07bcb9ccacbed38856a", "v7.3.0"),
    "docker/login-action": ("4907a6ddec9925e35a0a9e82d7399ccc52663121", "v4.1.0"),
    "docker/setup-buildx-action": ("37fe631027851001ddb9b187196cc803df7f5f0e", "v4.3.0"),
    "sigstore/cosign-installer": ("6f9f17788090df1f26f669e9d70d6ae9567deba6", "v4.1.2"),
}


def _tool(name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name(name)
    assert tool.exists(), f"{name} is missing: make setup-dev installs it"
    return subprocess.run([tool, *words], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("schema", "file"),
    [("vendor.dependabot", FOLDER / "dependabot.yml")]
    + [("vendor.github-workflows", file) for file in FILES],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_file_is_what_its_reader_expects(schema: str, file: Path) -> None:
    done = _tool("check-jsonschema", "--builtin-schema", schema, file)
    assert done.returncode == 0, done.stdout


def test_the_strictest_auditor_finds_nothing_and_is_told_to_overlook_nothing() -> None:
    done = _tool("zizmor", "--offline", "--no-progress", "--persona", "auditor", FOLDER)
    assert done.returncode == 0, done.stdout
    assert "zizmor:" not in "".join(file.read_text(encoding="utf-8") for file in FILES)
    assert not (FOLDER / "zizmor.yml").exists()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_action_is_the_commit_that_was_looked_up_and_a_job_has_few_rights(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    used = re.findall(r"uses: ([\w/-]+)@(\w{40}) # (v[\d.]+)\n", text)
    assert len(used) == text.count("uses: ")
    for name, commit, version in used:
        known = VERIFIED.get(name, (commit, version))  # Dependabot moves both on
        assert known[1] != version or known[0] == commit, name
    workflow: dict[str, Any] = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 90, name
        writes = {right for right, how in job["permissions"].items() if how == "write"}
        allowed = {
            "image": {"packages", "id-token", "attestations"},
            "notes": {"contents"},
        }
        assert writes <= allowed.get(name, set()), name


def test_a_release_waits_for_its_tag_and_for_the_suite() -> None:
    jobs = yaml.safe_load((FOLDER / "workflows/release.yml").read_text(encoding="utf-8"))["jobs"]
    assert jobs["suite"]["needs"] == "tag"
    assert set(jobs["image"]["needs"]) == {"tag", "suite"}
    assert set(jobs["notes"]["needs"]) == {"tag", "image"}
    files = {one["file"] for one in jobs["image"]["strategy"]["matrix"]["image"]}
    assert files == {"deploy/site.Dockerfile", "deploy/worker.Dockerfile"}
    words = str(jobs["image"]["steps"])
    for asked in ("'sbom': True", "cyclonedx-json", "attest-build-provenance", "cosign sign"):
        assert asked in words


# Answers as the host's API does: what `gh api --jq` makes of them.
_GH = """#!/bin/sh
case "$2" in
*/git/ref/tags/*) echo "$KIND 0123abcd" ;;
*/git/tags/0123abcd) echo "$SIGNED" ;;
*) exit 1 ;;
esac
"""


def _checked(
    folder: Path, tag: str = "v7.8.9", *, kind: str = "tag", signed: str = "true valid"
) -> subprocess.CompletedProcess[str]:
    """check-tag in a project of version 7.8.9."""
    (folder / ".github").mkdir(exist_ok=True)
    for name in ("check-tag", "notes"):
        copy = folder / ".github" / name
        copy.write_bytes((FOLDER / name).read_bytes())
        copy.chmod(0o755)
    (folder / "pyproject.toml").write_text('[project]\nversion = "7.8.9"\n', encoding="utf-8")
    log = "# Changelog\n\n## Unreleased\n\n- Later.\n\n## 7.8.9 · 2026-12-01\n\n- Now.\n"
    log += "\n## 7.8.8\n\n- Before.\n"
    (folder / "CHANGELOG.md").write_text(log, encoding="utf-8")
    gh = folder / "gh"
    gh.write_text(_GH, encoding="utf-8")
    gh.chmod(0o755)
    told = {"PATH": f"{folder}:{os.environ['PATH']}", "KIND": kind, "SIGNED": signed}
    return subprocess.run(
        ["bash", folder / ".github/check-tag", "somebody/fork", tag],
        env=told,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_signed_tag_of_the_project_s_version_is_a_release(tmp_path: Path) -> None:
    done = _checked(tmp_path)
    assert (done.returncode, done.stdout) == (0, "version=7.8.9\n"), done.stderr
    notes = subprocess.run(
        ["bash", tmp_path / ".github/notes", "7.8.9"], capture_output=True, text=True, check=True
    )
    assert notes.stdout.strip() == "- Now."


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "commit"}, "not annotated"),
        ({"signed": "false unsigned"}, "signature is not good (unsigned"),
        ({"signed": "false unknown_key"}, "signature is not good (unknown_key"),
        ({"tag": "v7.8.8"}, "pyproject.toml has another version"),
        ({"tag": "v7.8.9-rc1"}, "not like v1.2.3"),
        ({"tag": "v1;id"}, "not like v1.2.3"),
    ],
)
def test_any_other_tag_is_none(change: dict[str, str], why: str, tmp_path: Path) -> None:
    done = _checked(tmp_path, **change)
    assert done.returncode == 1
    assert why in done.stderr
    assert "version=" not in done.stdout


def test_the_version_stands_in_one_form_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    for name in ("site", "worker"):
        text = (ROOT / f"deploy/{name}.Dockerfile").read_text(encoding="utf-8")
        assert f"ARG VERSION={project['version']}\n" in text
