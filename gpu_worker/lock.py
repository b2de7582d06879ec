"""Writes a model's manifest into the models file: of its folder, or of the hub's commit."""

import hashlib
import json
import re
from pathlib import Path

from gpu_worker import models_file
from gpu_worker.download import ModelsError, choose, list_hub, read_small
from gpu_worker.manifest import PIPELINES, Progress, folder_files
from jobs import catalog
from jobs.catalog import Hub, ModelEntry, ModelFile


def lock_folder(entry: ModelEntry, folder: Path, *, progress: Progress) -> tuple[ModelFile, ...]:
    """The manifest of a local folder. Raises ModelsError, RenderError and OSError."""
    if not (folder / "model_index.json").is_file():
        raise ModelsError("model_missing", f"The folder of {entry.name} has no model_index.json.")
    return folder_files(folder, progress)


def lock_hub(
    entry: ModelEntry, hub: Hub, revision: str, *, endpoint: str | None = None
) -> tuple[str, tuple[ModelFile, ...]]:
    """The commit that revision names, and its manifest. Raises ModelsError.

    What is pinned already at that commit must agree: the hub is not believed over it.
    """
    if not revision:
        raise ModelsError(
            "model_not_locked",
            f"No commit of {hub.repo} is pinned yet; name one with --revision.",
        )
    commit, listed = list_hub(hub, revision, endpoint=endpoint)
    by_path = {file.path: file for file in listed}
    chosen = choose(by_path, pipeline=entry.pipeline, variant=hub.variant)
    homes = {path.rpartition("/")[0] for path in chosen}
    if not chosen or homes != {"", *PIPELINES.get(entry.pipeline, ())}:
        raise ModelsError(
            "hub_incomplete",
            f"{hub.repo} at {commit} has not all the folders that {entry.pipeline} is made of.",
        )
    files = []
    shards: set[str] = set()
    for path, hub_path in chosen.items():
        file = by_path[hub_path]
        sha256 = file.sha256
        if not sha256:
            content = read_small(hub, commit, file, endpoint=endpoint)
            sha256 = hashlib.sha256(content).hexdigest()
            shards |= _shards(path, content)
        files.append(ModelFile(path=path, size=file.size, sha256=sha256, hub_path=hub_path))
    if lost := sorted(shards - set(chosen)):
        raise ModelsError("hub_incomplete", f"An index names {lost[0]}, which is not there.")
    if commit == hub.revision:
        _refuse_contradiction(entry, files)
    return commit, tuple(files)


def _shards(path: str, content: bytes) -> set[str]:
    if not path.endswith(".safetensors.index.json"):
        return set()
    home = path.rpartition("/")[0]
    return {f"{home}/{name}" for name in json.loads(content).get("weight_map", {}).values()}


def _refuse_contradiction(entry: ModelEntry, files: list[ModelFile]) -> None:
    stated = {file.path: file.sha256 for file in files}
    for file in entry.files:
        if file.sha256 and stated.get(file.path, file.sha256) != file.sha256:
            raise ModelsError(
                "model_lock_conflict",
                f"The hub states another hash for {file.path} than the models file pins for the "
                "same commit. One of them is wrong; nothing was written.",
            )


def write(models: Path, name: str, *, revision: str | None, files: tuple[ModelFile, ...]) -> None:
    """Puts manifest and commit into the models file; every other byte of it stays.

    Raises ModelsError when the file cannot be edited so; it is unchanged then. Raises OSError.
    """
    text = models.read_text(encoding="utf-8")
    new = edited(text, name, revision=revision, files=files)
    entry = catalog.parse(new)[name]
    if entry.files != files or (revision and (entry.hub is None or entry.hub.revision != revision)):
        raise ModelsError(
            "models_file_odd",
            f"The table [{name}] could not be edited: write files as a string in three double "
            'quotes, and hub on one line with a revision = "…" in it.',
        )
    models_file.replace(models, new)


def edited(text: str, name: str, *, revision: str | None, files: tuple[ModelFile, ...]) -> str:
    """The models file's text with another manifest in the table of this name."""
    table = re.search(rf'^\[(?:{re.escape(name)}|"{re.escape(name)}")\][^\n]*\n', text, re.M)
    if table is None:
        raise ModelsError("models_file_odd", f"The models file has no line [{name}].")
    after = re.compile(r"^\[", re.M).search(text, table.end())
    end = after.start() if after else len(text)
    body = text[table.end() : end]
    block = f'files = """\n{catalog.format_files(files)}"""\n'
    body, done = re.subn(r'^files = """.*?"""\n', lambda _: block, body, count=1, flags=re.M | re.S)
    if not done:
        body = block + body
    if revision:
        body = re.sub(
            r'^(hub = \{.*?revision = )"[^"\n]*"',
            lambda found: f'{found[1]}"{revision}"',
            body,
            count=1,
            flags=re.M,
        )
    return text[: table.end()] + body + text[end:]
