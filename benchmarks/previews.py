"""What a preview shows and costs: truly decoded, by the linear map, or as ComfyUI does, on nano.

    .venv/bin/python -m benchmarks.previews [CLIPS]

Prompts that the model was never trained on. Error: mean absolute difference from the same frames of
the finished clip, in levels of 256, after some of the 32 steps, averaged over the clips. Costs are
the median over all, in processor time of one thread, with the JPEG; the arms take turns.
  decode      the VAE's decode of x0, eight of its frames
  map         the fitted map of x0, eight frames between its latents
  first only  the fitted map of x0, but only the first latent's picture: what ComfyUI sends
  noise       the fitted map of x_t itself, for what the preview of a latent that is no x0 is worth
Writes benchmarks/results/previews.json.
"""

import io
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from gpu_worker import glimpse, mochi, pixels, registry
from gpu_worker.engine import Sprite
from gpu_worker.latents import MochiState
from gpu_worker.nano import grammar
from gpu_worker.preview import make_sprite, pick
from jobs import catalog

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
STEPS = (1, 4, 8, 16, 24, 28, 32)
TILES = mochi.PREVIEW_FRAMES
SEED = 100
Arm = Callable[[MochiState], Sprite]


class Bench:
    def __init__(self) -> None:
        self._entry = catalog.load(ROOT / "deploy" / "models.toml")["nano"]
        model = registry.load_model(self._entry, ROOT, threads=1)
        assert isinstance(model, mochi.Mochi)
        self._model = model
        self.arms: dict[str, Arm] = {
            "decode": self._decode,
            "map": lambda state: self._map(self._model.expected(state)),
            "first only": lambda state: self._map(self._model.expected(state)[:, :, :1]),
            "noise": lambda state: self._map(state.latents),
        }

    def clip(self, prompt: str, seed: int) -> tuple[list[MochiState], NDArray[Any], float]:
        """The states after STEPS, the finished frames that a preview shows, seconds a step."""
        state = self._model.begin(self._entry.usual(prompt, seed=seed))
        kept, seconds = [], []
        while state.step < state.steps:
            began = time.thread_time()
            state = self._model.step(state)
            seconds.append(time.thread_time() - began)
            if state.step in STEPS:
                kept.append(state)
        frames = np.stack(list(self._model.decode(state)))
        return kept, frames[pick(len(frames), TILES)], median(seconds)

    def _decode(self, state: MochiState) -> Sprite:
        video = pixels.decode(self._model.vae, self._model.expected(state))
        shown = pixels.to_levels(video[:, pick(video.shape[1], TILES)])
        return make_sprite(list(shown.numpy()))

    def _map(self, latents: torch.Tensor) -> Sprite:
        assert self._entry.preview is not None
        return make_sprite(glimpse.by_map(self._entry.preview, latents, TILES))


def error(sprite: Sprite, wanted: NDArray[Any]) -> float:
    """Of a preview with fewer tiles: each frame against the tile at its place."""
    with Image.open(io.BytesIO(sprite.image)) as image:
        pixels_ = np.asarray(image).reshape(sprite.tile_height, sprite.frames, sprite.tile_width, 3)
    tiles = pixels_.transpose(1, 0, 2, 3).astype(float)
    places = [index * sprite.frames // len(wanted) for index in range(len(wanted))]
    return float(np.abs(tiles[places] - wanted).mean())


def main(clips: int) -> None:
    bench = Bench()
    errors: dict[str, dict[int, list[float]]] = {arm: {} for arm in bench.arms}
    seconds: dict[str, list[float]] = {arm: [] for arm in bench.arms}
    sizes: dict[str, list[int]] = {arm: [] for arm in bench.arms}
    step_seconds = []
    for index, scene in enumerate(grammar.unseen(clips, SEED)):
        states, wanted, one_step = bench.clip(scene.caption(), SEED + index)
        step_seconds.append(one_step)
        for state in states:
            for name, arm in bench.arms.items():
                began = time.thread_time()
                sprite = arm(state)
                seconds[name].append(time.thread_time() - began)
                sizes[name].append(len(sprite.image))
                errors[name].setdefault(state.step, []).append(error(sprite, wanted))
    step = median(step_seconds)
    rows = {
        name: {
            "error_levels": {after: round(mean(found), 2) for after, found in by_step.items()},
            "milliseconds": round(1000 * median(seconds[name]), 2),
            "of_a_step": round(median(seconds[name]) / step, 3),
            "bytes": math.ceil(mean(sizes[name])),
        }
        for name, by_step in errors.items()
    }
    head = "".join(f"{after:>7}" for after in STEPS)
    print(f"{'error after step':<18}{head}{'ms':>9}{'of a step':>11}{'bytes':>8}")
    for name, row in rows.items():
        found: Any = row["error_levels"]
        told = "".join(f"{found[after]:>7.1f}" for after in STEPS)
        print(
            f"{name:<18}{told}{row['milliseconds']:>9.2f}{row['of_a_step']:>11.2f}{row['bytes']:>8}"
        )
    print(f"{clips} clips of 32 steps; a step takes {1000 * step:.1f} ms")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, 1 thread"
    result = {"machine": machine, "clips": clips, "step_seconds": step, "arms": rows}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "previews.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
