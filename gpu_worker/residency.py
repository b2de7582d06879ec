"""Which model is in memory. Knows no torch."""

import gc
from pathlib import Path
from typing import Any

from gpu_worker.engine import Model
from gpu_worker.registry import load_model
from jobs.catalog import ModelEntry


class Residency:
    """Keeps the model used last; a GPU rarely has room for two. For one thread."""

    def __init__(self, root: Path, threads: int) -> None:
        self._root = root
        self._threads = threads
        self._entry: ModelEntry | None = None
        self._model: Model[Any] | None = None

    def get(self, entry: ModelEntry) -> Model[Any]:
        """The entry's model, loaded if it is not the one at hand. Raises RenderError."""
        if self._model is None or self._entry != entry:
            self._evict()
            self._model = load_model(entry, self._root, threads=self._threads)
            self._entry = entry
        return self._model

    def _evict(self) -> None:
        """Frees the memory before the next model needs it: modules point at one another."""
        self._model = self._entry = None
        gc.collect()
