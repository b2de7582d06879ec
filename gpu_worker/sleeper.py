"""The family "sleeper": a real model that sleeps where another would denoise, for fault tests.

deploy/models.toml offers none; tests/chaos/models.toml does. Its guidance is the seconds that a
step takes, and its clip shows the final state: a render that went on from anywhere but the state it
left shows another clip. Words in the prompt make its third step fail (POISON).
"""

import hashlib
import math
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_worker import preview
from gpu_worker.engine import RenderError, Sprite
from jobs.catalog import ModelEntry
from jobs.spec import RenderSpec

VALUES = 64  # of a state
TILES = 8  # black or white squares of a frame, in each direction: H.264 cannot blur them away
PREVIEW_FRAMES = 4
POISONED_STEP = 3
POISONED = "poisoned"  # a code of this family alone, which no installation offers


@dataclass(frozen=True, slots=True, kw_only=True)
class SleeperState:
    spec: RenderSpec
    step: int
    values: Tensor  # (64,) int64
    generator: Tensor  # uint8, what the noise of the next step is drawn from

    @property
    def steps(self) -> int:
        return self.spec.steps

    @property
    def resumable(self) -> bool:
        return True


def first(spec: RenderSpec) -> SleeperState:
    """The state before the first step, of seed and prompt alone."""
    prompt = hashlib.sha256(spec.prompt.encode()).digest()
    generator = torch.Generator().manual_seed(spec.seed)
    return SleeperState(
        spec=spec,
        step=0,
        values=torch.tensor(list(prompt) * (VALUES // len(prompt)), dtype=torch.int64),
        generator=generator.get_state(),
    )


def advance(state: SleeperState) -> SleeperState:
    """One step further, without sleep and poison; int64 wraps around."""
    generator = torch.Generator()
    generator.set_state(state.generator)
    noise = torch.randint(-(2**40), 2**40, (VALUES,), generator=generator)
    return replace(
        state,
        step=state.step + 1,
        values=state.values * 6_364_136_223_846_793_005 + noise + state.step,
        generator=generator.get_state(),
    )


def tiles(state: SleeperState, frame: int) -> NDArray[np.bool_]:
    """Which squares of a frame are white: (8, 8), a function of the whole state."""
    told = state.values.numpy().tobytes() + f"{state.step} {frame}".encode()
    bits = np.frombuffer(hashlib.sha256(told).digest()[: TILES * TILES // 8], np.uint8)
    return np.unpackbits(bits).astype(np.bool_).reshape(TILES, TILES)


def read_tiles(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    """The inverse of what decode draws, from a frame (H, W, 3) that a codec may have blurred."""
    side = pixels.shape[0] // TILES
    middles = pixels[side // 2 :: side, side // 2 :: side]
    white: NDArray[np.bool_] = middles.mean(axis=2) > 127
    return white


class Sleeper:
    """Four functions over SleeperState (gpu_worker/engine.py)."""

    def __init__(self, entry: ModelEntry, *, sleep: Callable[[float], object] = time.sleep) -> None:
        self.on_pressure: Callable[[], None] | None = None
        self._entry = entry
        self._sleep = sleep

    def fingerprint(self) -> dict[str, str]:
        return {
            "model": self._entry.name,
            "weights": self._entry.digest,
            "device": "CPU, asleep",
            "torch": torch.__version__,
        }

    def begin(self, spec: RenderSpec) -> SleeperState:
        return first(spec)

    def step(self, state: SleeperState) -> SleeperState:
        self._sleep(state.spec.guidance)
        if state.step + 1 == POISONED_STEP:
            for word, suffer in POISON.items():
                if word in state.spec.prompt:
                    suffer()
        return advance(state)

    def preview(self, state: SleeperState, *, seconds: float = math.inf) -> Sprite:
        picked = preview.pick(state.spec.frames, PREVIEW_FRAMES)
        return preview.make_sprite([_draw(state, frame) for frame in picked])

    def decode(self, state: SleeperState) -> Iterator[NDArray[np.uint8]]:
        for frame in range(state.spec.frames):
            yield _draw(state, frame)

    def to_tensors(self, state: SleeperState) -> dict[str, Tensor]:
        return {"values": state.values, "generator": state.generator}

    def from_tensors(
        self, spec: RenderSpec, tensors: Mapping[str, Tensor], step: int
    ) -> SleeperState:
        """Raises RenderError "bad_checkpoint" where the tensors are not this spec's."""
        begun = first(spec)
        wanted = {"values": begun.values, "generator": begun.generator}
        found = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
        sound = found == {name: (tensor.shape, tensor.dtype) for name, tensor in wanted.items()}
        if not sound or not 0 <= step <= spec.steps:
            raise RenderError(
                "bad_checkpoint", "The saved render is not one of this model's.", permanent=False
            )
        return SleeperState(spec=spec, step=step, **tensors)


def _draw(state: SleeperState, frame: int) -> NDArray[np.uint8]:
    spec = state.spec
    white = tiles(state, frame).astype(np.uint8) * 255
    rows = white.repeat(spec.height // TILES, axis=0).repeat(spec.width // TILES, axis=1)
    return np.repeat(rows[:, :, None], 3, axis=2)


def load(entry: ModelEntry, folder: Path, *, threads: int) -> Sleeper:
    torch.set_num_threads(threads)
    return Sleeper(entry)


# --- What a word in the prompt does to the third step ---------------------------------------


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> None:
    while True:
        time.sleep(3600)


def _fail() -> None:
    raise RenderError(POISONED, "This prompt is poison.", permanent=True)


def _fail_in_passing() -> None:
    if random.random() < 0.5:  # a model does not know which attempt it serves
        raise RenderError(POISONED, "This prompt is poison, half of the time.", permanent=False)


def _break_the_gpu() -> None:
    raise RenderError("gpu_broken", "This prompt breaks the GPU.", permanent=False)


POISON: dict[str, Callable[[], None]] = {
    "poison:kill": _kill,
    "poison:hang": _hang,
    "poison:error": _fail,
    "poison:passing": _fail_in_passing,
    "poison:cuda": _break_the_gpu,
}
