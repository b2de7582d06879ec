"""Is a folder the model that the manifest describes, and nothing that could run? Knows no torch."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gpu_worker.engine import RenderError
from jobs.catalog import ModelEntry, ModelFile

logger = logging.getLogger(__name__)

# What a model is made of. A SentencePiece vocabulary is data too, but of one known name only.
DATA_SUFFIXES = frozenset({".json", ".safetensors"})
VOCABULARY = "tokenizer/spiece.model"
SAFE_SUFFIXES = DATA_SUFFIXES | {".md", ".txt"}  # none of these can carry code
CHUNK_BYTES = 1 << 20
# Smaller models are hashed at each start: a gigabyte takes about a second.
REMEMBERED_BYTES = 1 << 30
# What model_index.json may say, for each pipeline that a family of ours renders.
_TOKENIZERS = ("PreTrainedTokenizerFast", "T5Tokenizer", "T5TokenizerFast")
PIPELINES: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {
    "MochiPipeline": {
        "scheduler": (("diffusers", "FlowMatchEulerDiscreteScheduler"),),
        "text_encoder": (("transformers", "T5EncoderModel"),),
        "tokenizer": tuple(("transformers", name) for name in _TOKENIZERS),
        "transformer": (("diffusers", "MochiTransformer3DModel"),),
        "vae": (("diffusers", "AutoencoderKLMochi"),),
    }
}

Progress = Callable[[int], object]  # told how many bytes were read since the last call


def _silent(_: int) -> None:
    pass


def faults(
    entry: ModelEntry, folder: Path, *, progress: Progress = _silent, remember: bool = True
) -> Iterator[RenderError]:
    """Everything that keeps the folder from being loaded; nothing when it is in order.

    With remember, what was hashed before and did not change since is believed. None of them is
    permanent: another worker may hold better files. Raises OSError.
    """
    if not entry.locked:
        yield RenderError(
            "model_not_locked",
            f"Not all hashes of {entry.name} are pinned, so it is not loaded; "
            f"`manage.py models lock {entry.name}` writes them into the models file.",
            permanent=False,
        )
        return
    if not folder.is_dir():
        yield RenderError(
            "model_missing", f"The model {entry.name} is not on this worker.", permanent=False
        )
        return
    present = dict(_files(folder))
    expected = {file.path: file for file in entry.files}
    safe = True
    for name, path in present.items():
        if not _is_safe(name, path, folder, expected):
            safe = False
            yield RenderError(
                "model_unsafe_file",
                f"The model {entry.name} holds {name}, a link or a kind of file that may carry "
                "code; only .json, .safetensors, .md and .txt are accepted.",
                permanent=False,
            )
        elif name not in expected and path.suffix in DATA_SUFFIXES:
            yield RenderError(
                "model_extra_file",
                f"The model {entry.name} holds {name}, which is none of its files.",
                permanent=False,
            )
    whole = safe
    known = Verdicts(folder, wanted=remember and entry.size >= REMEMBERED_BYTES)
    for name, file in expected.items():
        if name not in present:
            whole = False
            yield RenderError(
                "model_incomplete",
                f"The model {entry.name} lacks {name} on this worker.",
                permanent=False,
            )
        elif safe and not known.are_right(file, present[name], progress):
            whole = False
            yield RenderError(
                "model_digest_mismatch",
                f"The file {name} of {entry.name} on this worker is not the one on offer.",
                permanent=False,
            )
    known.save()
    if whole:
        yield from _foreign_code(entry, folder)


def check_folder(entry: ModelEntry, folder: Path) -> None:
    """Raises RenderError unless the folder holds the entry's weights and nothing that can run."""
    for fault in faults(entry, folder):
        raise fault


def hash_file(path: Path, progress: Progress = _silent) -> str:
    """SHA-256, hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            progress(len(chunk))
    return digest.hexdigest()


def folder_files(folder: Path, progress: Progress = _silent) -> tuple[ModelFile, ...]:
    """The manifest of a folder as it is. Raises RenderError when something in it may be code."""
    found = []
    for name, path in _files(folder):
        if path.suffix in DATA_SUFFIXES or name == VOCABULARY:
            size, sha256 = path.stat().st_size, hash_file(path, progress)
            found.append(ModelFile(path=name, size=size, sha256=sha256, hub_path=name))
        if not _is_safe(name, path, folder, {VOCABULARY: None}):
            raise RenderError(
                "model_unsafe_file",
                f"{name} is a link or may carry code; remove it first.",
                permanent=False,
            )
    return tuple(found)


def _files(folder: Path) -> list[tuple[str, Path]]:
    """(relative name, path) of every file and link below the folder, hidden ones too, sorted."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted((path.relative_to(folder).as_posix(), path) for path in found)


def _is_safe(name: str, path: Path, folder: Path, expected: dict[str, Any]) -> bool:
    """Links may point to a file of the same folder; nothing else hides what is loaded."""
    if path.is_symlink() and not (
        path.is_file() and path.resolve().is_relative_to(folder.resolve())
    ):
        return False
    return path.suffix in SAFE_SUFFIXES or (name == VOCABULARY and name in expected)


def _foreign_code(entry: ModelEntry, folder: Path) -> Iterator[RenderError]:
    """Weights may be as described and still ask the libraries for other people's classes."""
    index = _json(folder / "model_index.json")
    accepted = PIPELINES.get(entry.pipeline)
    named = {key: value for key, value in index.items() if isinstance(value, list)}
    if (
        accepted is None
        or index.get("_class_name") != entry.pipeline
        or set(named) != set(accepted)
        or any(tuple(value) not in accepted[key] for key, value in named.items())
    ):
        yield RenderError(
            "model_custom_code",
            f"model_index.json of {entry.name} names other classes than those of "
            f"{entry.pipeline}, which is what this worker renders.",
            permanent=False,
        )
    shards: set[str] = set()
    for file in entry.files:
        if not file.path.endswith(".json"):
            continue
        content = _json(folder / file.path)
        if "auto_map" in content:
            yield RenderError(
                "model_custom_code",
                f"{file.path} of {entry.name} asks for code of its own (auto_map).",
                permanent=False,
            )
        if file.path.endswith(".safetensors.index.json"):
            home = file.path.rpartition("/")[0]
            shards |= {f"{home}/{name}" for name in (content.get("weight_map") or {}).values()}
    for name in sorted(shards - {file.path for file in entry.files}):
        yield RenderError(
            "model_incomplete",
            f"An index of {entry.name} names {name}, which is none of its files.",
            permanent=False,
        )


def _json(path: Path) -> dict[str, Any]:
    """Empty for what is no JSON object: the libraries refuse that themselves."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


class Verdicts:
    """Which files were hashed before, in a file beside the folder: 40 GB take a minute or more.

    A file counts as unchanged while size, inode and both times are; the change time cannot be set
    by hand. Who can write this file could have written the weights.
    """

    def __init__(self, folder: Path, *, wanted: bool) -> None:
        self._path = folder.with_name(f"{folder.name}.verified.json") if wanted else None
        self._before = _json(self._path) if self._path else {}
        self._now: dict[str, str] = {}

    def are_right(self, file: ModelFile, path: Path, progress: Progress) -> bool:
        if path.stat().st_size != file.size:
            return False
        if self._before.get(str(path)) == self._mark(file, path):
            progress(file.size)
        elif hash_file(path, progress) != file.sha256:
            return False
        self.note(file, path)
        return True

    def note(self, file: ModelFile, path: Path) -> None:
        """The path's hash was found to be the file's just now."""
        self._now[str(path)] = self._mark(file, path)

    def _mark(self, file: ModelFile, path: Path) -> str:
        stat = path.stat()
        marks = (stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, file.sha256)
        return " ".join(str(part) for part in marks)

    def save(self) -> None:
        if self._path is None or self._now == self._before:
            return
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            draft.write_text(json.dumps(self._now, indent=1), encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:  # a read-only disk
            logger.warning("%s hashes again at the next start: %s", self._path.name, error.strerror)
