"""From a models file's entry to a model that renders: checks the folder, then loads it.

Knows no torch: the family's own module is imported only once its weights were found to be in order.
"""

import hashlib
import importlib
import logging
import os
from pathlib import Path
from typing import Any, Protocol, cast

from gpu_worker.engine import Model, RenderError
from jobs.catalog import ModelEntry

logger = logging.getLogger(__name__)

FAMILIES = {"mochi": "gpu_worker.mochi"}  # the module's load() does the rest
DATA_SUFFIXES = frozenset({".json", ".safetensors"})  # what a model is made of
SAFE_SUFFIXES = DATA_SUFFIXES | {".md", ".txt"}  # none of these can carry code
CHUNK_BYTES = 1 << 20


class _Family(Protocol):
    def load(self, entry: ModelEntry, folder: Path, *, threads: int) -> Model[Any]: ...


def load_model(entry: ModelEntry, root: Path, *, threads: int = 1) -> Model[Any]:
    """The entry's model, in memory and ready. root is what a relative source starts from.

    Raises RenderError; none is permanent, since another worker may hold better files.
    """
    if entry.family not in FAMILIES:
        raise RenderError(
            "model_unknown_family",
            f"This worker cannot render the model family {entry.family!r}.",
            permanent=False,
        )
    folder = root / entry.source
    check_folder(entry, folder)
    # A worker renders what it was given and fetches nothing; read when the family is imported.
    os.environ["HF_HUB_OFFLINE"] = "1"
    family = cast(_Family, importlib.import_module(FAMILIES[entry.family]))
    return family.load(entry, folder, threads=threads)


def check_folder(entry: ModelEntry, folder: Path) -> None:
    """Raises RenderError unless the folder holds the entry's weights and nothing that can run."""
    if not folder.is_dir():
        raise RenderError(
            "model_missing", f"The model {entry.name} is not on this worker.", permanent=False
        )
    for path in _files(folder):
        if path.suffix not in SAFE_SUFFIXES:
            raise RenderError(
                "model_unsafe_file",
                f"The model {entry.name} holds {path.name}, a kind of file that may carry code; "
                "only .json, .safetensors, .md and .txt are accepted.",
                permanent=False,
            )
    found = folder_digest(folder)
    if found != entry.digest:
        # For the operator; the job's owner needs no hashes.
        logger.error("model %s: digest %s, on offer %s", entry.name, found, entry.digest or "none")
        raise RenderError(
            "model_digest_mismatch",
            f"The weights of {entry.name} on this worker are not those on offer.",
            permanent=False,
        )


def folder_digest(folder: Path) -> str:
    """SHA-256, hexadecimal, over the sorted .json and .safetensors files.

    Each counts as its relative name, a NUL, its size in eight bytes, and its bytes, so that no two
    folders read alike.
    """
    digest = hashlib.sha256()
    for path in _files(folder):
        if path.suffix not in DATA_SUFFIXES:
            continue
        name = path.relative_to(folder).as_posix().encode()
        digest.update(name + b"\0" + path.stat().st_size.to_bytes(8, "little"))
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    """Every file below the folder, hidden ones too, in the order of their relative names."""
    found = (path for path in folder.rglob("*") if not path.is_dir())
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())
