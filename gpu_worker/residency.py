"""Which models are in memory, and whether a render fits. Knows no torch."""

import gc
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gpu_worker.engine import GPU_BROKEN, Model, RenderError
from gpu_worker.registry import load_model
from jobs.catalog import ModelEntry
from jobs.spec import RenderSpec

logger = logging.getLogger(__name__)


class Residency:
    """Keeps models loaded while there is room; the one used longest ago leaves. For one thread.

    How much a render takes is predicted by the entry's measured fit, before the device is touched.
    A model whose entry says nothing of memory is kept alone.
    """

    def __init__(self, root: Path, threads: int, *, room_gib: Callable[[], float]) -> None:
        self._root = root
        self._threads = threads
        self._room_gib = room_gib
        self._kept: list[tuple[ModelEntry, Model[Any]]] = []  # the last used stands at the end

    def names(self) -> list[str]:
        """What is loaded, the last used at the end. Any thread may ask."""
        return [entry.name for entry, _ in self._kept]

    def get(self, entry: ModelEntry, spec: RenderSpec | None = None) -> Model[Any]:
        """The entry's model, loaded if it is not at hand, with room for the spec's render.

        Raises RenderError; not permanent, since another worker may have a larger device.
        """
        self._refuse_too_large(entry, spec)
        self._make_room(entry, spec)
        model = next((model for kept, model in self._kept if kept == entry), None)
        if model is None:
            model = load_model(entry, self._root, threads=self._threads)
            model.on_pressure = lambda: self._evict_others(entry)
        self._kept = [pair for pair in self._kept if pair[0] != entry] + [(entry, model)]
        return model

    def first_of(self, entries: Iterable[ModelEntry]) -> tuple[ModelEntry, Model[Any]]:
        """The first that is here: of each, another worker may have what this one lacks.

        Raises RenderError when none is, and at once when the device is broken.
        """
        lacking: RenderError | None = None
        for entry in entries:
            try:
                return entry, self.get(entry)
            except RenderError as error:
                if error.code == GPU_BROKEN:
                    raise
                logger.warning("model %s cannot be loaded (%s)", entry.name, error)
                lacking = lacking or error
        assert lacking is not None, "an installation without a model does not start"
        raise lacking

    def _refuse_too_large(self, entry: ModelEntry, spec: RenderSpec | None) -> None:
        if entry.memory is None or spec is None:
            return
        # At the least: the text encoder off the device, the VAE in tiles.
        least = (
            entry.memory.weights_gib
            - entry.memory.text_encoder_gib
            + entry.memory.denoise_gib(spec.width, spec.height, spec.frames)
        )
        room = self._room_gib()
        if least > room:
            raise RenderError(
                "clip_too_large",
                f"This clip needs about {least:.1f} GiB of memory and this worker has {room:.1f}; "
                "fewer frames or a smaller size need less.",
                permanent=False,
            )

    def _make_room(self, entry: ModelEntry, spec: RenderSpec | None) -> None:
        """Evicts what was used longest ago until the prediction fits, or nothing else is left."""
        while (others := self._others(entry)) and not self._fits(entry, spec):
            self._evict(others[:1])

    def _fits(self, entry: ModelEntry, spec: RenderSpec | None) -> bool:
        memories = [entry.memory, *(other.memory for other in self._others(entry))]
        known = [memory for memory in memories if memory is not None]
        if entry.memory is None or len(known) < len(memories):
            return False
        need = sum(memory.weights_gib for memory in known)
        if spec is not None:
            size = spec.width, spec.height, spec.frames
            need += max(entry.memory.denoise_gib(*size), entry.memory.decode_gib(*size))
        return need <= self._room_gib()

    def _others(self, entry: ModelEntry) -> list[ModelEntry]:
        return [kept for kept, _ in self._kept if kept != entry]

    def _evict_others(self, entry: ModelEntry) -> None:
        self._evict(self._others(entry))

    def _evict(self, entries: list[ModelEntry]) -> None:
        """Frees the memory before the next model needs it: modules point at one another."""
        self._kept = [pair for pair in self._kept if pair[0] not in entries]
        gc.collect()
