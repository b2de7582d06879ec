"""What is given up, in order, when the device's memory runs out; and what cannot be helped."""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from gpu_worker.engine import RenderError

R = TypeVar("R")


class Ladder:
    """Rungs by name, cheapest first. Each is taken once and stays until relax().

    A retry computes from the same immutable state, so it gives the same bits; a rung that changes
    the numerics is in `taken`, which stands in the fingerprint.
    """

    def __init__(self, rungs: dict[str, Callable[[], None]]) -> None:
        self._rungs = rungs
        self.taken: list[str] = []
        self.on_pressure: Callable[[], None] | None = None  # evicts what else is on the device

    def run(self, compute: Callable[[], R]) -> R:
        """compute's answer, tried again after each rung.

        Raises RenderError "out_of_memory" when none is left, "gpu_broken" when the device is lost.
        """
        freed = False
        while True:
            try:
                return compute()
            except torch.OutOfMemoryError:
                pass  # left before anything is freed: the traceback holds the step's tensors
            except RuntimeError as error:
                if isinstance(error, torch.AcceleratorError) or str(error).startswith("CUDA error"):
                    raise RenderError(
                        "gpu_broken", "The GPU failed; another process goes on.", permanent=False
                    ) from error
                raise
            if not freed:
                freed = True
                self._note("caches freed")
                if self.on_pressure is not None:
                    self.on_pressure()
            else:
                self._climb()
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _climb(self) -> None:
        for name, take in self._rungs.items():
            if name not in self.taken:
                self._note(name)
                take()
                return
        raise RenderError(
            "out_of_memory",
            f"The GPU ran out of memory in spite of: {', '.join(self.taken)}. "
            "Fewer frames or a smaller size need less.",
            permanent=False,
        )

    def _note(self, name: str) -> None:
        if name not in self.taken:
            self.taken.append(name)
