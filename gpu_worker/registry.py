"""From a models file's entry to a model that renders: checks the folder, then loads it.

Knows no torch: the family's own module is imported only once its weights were found to be in order.
"""

import importlib
import os
from pathlib import Path
from typing import Any, Protocol, cast

from gpu_worker.engine import Model, RenderError
from gpu_worker.manifest import check_folder
from jobs.catalog import ModelEntry

# Each module's load() does the rest.
FAMILIES = {"mochi": "gpu_worker.mochi", "sleeper": "gpu_worker.sleeper"}


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
