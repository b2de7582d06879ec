"""What our loop costs beside the bare stock pipeline, on the bundled model and one CPU thread.

    .venv/bin/python -m benchmarks.rendering [ROUNDS]

Arms are interleaved (A B B A …) and the minimum of all rounds counts, because machines are noisy:
  denoise     MochiPipeline(output_type="latent") against our loop with its hooks and checkpoints
  whole job   MochiPipeline and export_to_video against our loop with the tail in its own process
  attention   diffusers' processor against ours, one step
Also prints what the loop itself takes for a step. Writes benchmarks/results/rendering.json.
"""

import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.mochi.pipeline_mochi import MochiPipeline
from diffusers.utils.export_utils import export_to_video

from gpu_worker import loop, mochi
from gpu_worker.checkpoint import FileKeeper
from gpu_worker.engine import Sprite
from gpu_worker.tail import Clip, Tail
from jobs import catalog
from jobs.spec import RenderSpec

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
Arm = Callable[[], float]  # seconds


class Watch:
    """A reporter that notes when denoising ended."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.began = clock()
        self.denoised = 0.0

    def progress(
        self, phase: str, *, step: int, steps: int, seconds_left: float | None = None
    ) -> None:
        if phase == "decoding":
            self.denoised = self._clock() - self.began

    def preview(self, sprite: Sprite, *, step: int, steps: int) -> None:
        raise AssertionError("none was asked for")


class Counting:
    """A model whose steps cost nothing: what is left is the loop."""

    def begin(self, spec: RenderSpec) -> "Counted":
        return Counted(0, spec.steps)

    def step(self, state: "Counted") -> "Counted":
        return Counted(state.step + 1, state.steps)

    def decode(self, state: "Counted") -> Any:
        return iter(())


@dataclass(frozen=True, slots=True)
class Counted:
    step: int
    steps: int
    resumable: bool = False


class Bench:
    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self._folder = folder
        entry = catalog.load(ROOT / "deploy" / "models.toml")["nano"]
        weights = ROOT / entry.source
        self._stock = MochiPipeline.from_pretrained(
            weights, dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
        )
        self._stock.set_progress_bar_config(disable=True)
        self._ours = mochi.load(entry, weights, threads=1)
        self._ours_stock = mochi.load(replace(entry, attention="stock"), weights, threads=1)
        self._tokens = entry.max_sequence_length
        self._tail = Tail()
        self._tailing: threading.Thread | None = None
        self.spec = entry.usual("a red circle moving right on a black background", seed=7)

    def close(self) -> None:
        if self._tailing is not None:
            self._tailing.join()
        self._tail.close()

    def stock_denoise(self) -> float:
        began = time.thread_time()
        self._call_stock("latent")
        return time.thread_time() - began

    def our_denoise(self) -> float:
        watch = Watch(time.thread_time)
        keeper = FileKeeper(self._folder / "checkpoint", self._ours, self.spec)
        next(self._fold(self._ours, watch, keeper))
        keeper.flush()
        return watch.denoised

    def stock_job(self) -> float:
        began = time.perf_counter()
        frames = self._call_stock("pil")[0]
        export_to_video(frames, str(self._folder / "stock.mp4"), fps=self.spec.fps)
        return time.perf_counter() - began

    def our_job(self) -> float:
        """Until the next render may begin: this clip is handed over, the one before it is done."""
        began = time.perf_counter()
        frames = self._fold(self._ours, Watch(time.perf_counter), None)
        clip = Clip(
            pixels=np.stack(list(frames)),
            fps=self.spec.fps,
            steps=self.spec.steps,
            metadata={"comment": self.spec.digest()},
            previews=(),
        )
        if self._tailing is not None:
            self._tailing.join()
        self._tailing = threading.Thread(target=self._finish, args=(clip,))
        self._tailing.start()
        return time.perf_counter() - began

    def stock_attention(self) -> float:
        return self._step(self._ours_stock)

    def our_attention(self) -> float:
        return self._step(self._ours)

    def loop_alone(self) -> float:
        """Seconds a step of everything that is not the model."""
        spec = replace(self.spec, steps=1000)
        watch = Watch(time.thread_time)
        model: Any = Counting()
        list(self._fold(model, watch, None, spec))
        return watch.denoised / spec.steps

    def _step(self, model: Any) -> float:
        state = model.begin(self.spec)
        began = time.thread_time()
        model.step(state)
        return time.thread_time() - began

    def _fold(
        self, model: Any, watch: Watch, keeper: FileKeeper | None, spec: RenderSpec | None = None
    ) -> Any:
        return loop.render(
            model,
            spec or self.spec,
            lease=loop.NoLease(),
            draining=threading.Event(),
            reporter=watch,
            tail_seconds=0.0,
            keeper=keeper,
            previews=False,
        )

    def _finish(self, clip: Clip) -> None:
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            self._tail.make_files(clip, Path(folder))

    def _call_stock(self, output: str) -> Any:
        return self._stock(
            self.spec.prompt,
            width=self.spec.width,
            height=self.spec.height,
            num_frames=self.spec.frames,
            num_inference_steps=self.spec.steps,
            guidance_scale=self.spec.guidance,
            generator=torch.Generator("cpu").manual_seed(self.spec.seed),
            max_sequence_length=self._tokens,
            output_type=output,
        ).frames


def interleave(stock: Arm, ours: Arm, rounds: int) -> tuple[float, float]:
    """The minimum of each arm; the first, cold call of each does not count."""
    stock()
    ours()
    taken: dict[Arm, list[float]] = {stock: [], ours: []}
    for number in range(rounds):
        for arm in (stock, ours) if number % 2 else (ours, stock):
            taken[arm].append(arm())
    return min(taken[stock]), min(taken[ours])


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            pairs = {
                "denoise": interleave(bench.stock_denoise, bench.our_denoise, rounds),
                "whole job": interleave(bench.stock_job, bench.our_job, rounds),
                "attention, one step": interleave(
                    bench.stock_attention, bench.our_attention, rounds * 3
                ),
            }
            hooks = min(bench.loop_alone() for _ in range(5))
        finally:
            bench.close()
    rows = {
        name: {"stock_seconds": stock, "our_seconds": ours, "ratio": ours / stock}
        for name, (stock, ours) in pairs.items()
    }
    print(f"{'minimum of ' + str(rounds) + ', seconds':<28}{'stock':>9}{'ours':>9}{'ratio':>8}")
    for name, row in rows.items():
        print(
            f"{name:<28}{row['stock_seconds']:>9.4f}{row['our_seconds']:>9.4f}{row['ratio']:>8.3f}"
        )
    print(f"the loop itself: {hooks * 1e6:.0f} µs a step")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, 1 thread"
    RESULTS.mkdir(exist_ok=True)
    result = {"machine": machine, "rounds": rounds, "arms": rows, "loop_seconds_a_step": hooks}
    (RESULTS / "rendering.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
