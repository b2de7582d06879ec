"""Mochi-1's own configuration on one GPU, within ten minutes: stock against ours.

    .venv/bin/python -m benchmarks.gpu_mochi [--tiny] [--write]

Random bf16 weights made on the device (speed does not depend on what they say), random embeddings
in place of T5. For each length A B B A over the arms: stock pipeline's loop, ours by each attention
kernel, ours compiled. Then the untiled decode, a checkpoint, a stop and a resume at full size, and
one whole 85-frame job. --tiny runs the same code on any device in about a minute, so that it is
known to work; its numbers mean nothing. --write keeps benchmarks/results/gpu_mochi.json.
"""

import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import MochiAttnProcessor2_0
from diffusers.models.autoencoders.autoencoder_kl_mochi import AutoencoderKLMochi
from diffusers.models.transformers.transformer_mochi import MochiTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gpu_worker import attention, pixels
from gpu_worker.attention import Attention
from gpu_worker.mochi import Rope
from gpu_worker.schedule import sigma_schedule

RESULTS = Path(__file__).parent / "results"
BOUND_TFLOPS = 790.0  # bf16 matrix products on one H200, measured on random numbers
BUDGET_SECONDS = 560.0  # a measurement that would start after this is left out, and said so
TEXT_TOKENS = (1, 120)  # the empty prompt and one of about ninety words
GUIDANCE = 4.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    width: int  # pixels
    height: int  # pixels
    lengths: tuple[int, ...]  # frames
    whole: int  # frames of the whole job
    steps: int  # of an arm in one visit
    job_steps: int
    text: int  # tokens, padded
    transformer: dict[str, Any]
    vae: dict[str, Any]


FULL = Scale(
    width=848,
    height=480,
    lengths=(19, 85, 163),
    whole=85,
    steps=2,  # two visits: four steps an arm
    job_steps=64,
    text=256,
    transformer={},
    vae={},
)
TINY = Scale(
    width=64,
    height=64,
    lengths=(7, 13),
    whole=13,
    steps=2,
    job_steps=8,
    text=128,
    transformer={
        "num_layers": 3,
        "num_attention_heads": 4,
        "attention_head_dim": 32,
        "pooled_projection_dim": 64,
        "text_embed_dim": 64,
        "time_embed_dim": 64,
    },
    vae={
        "encoder_block_out_channels": (32, 32, 32, 32),
        "decoder_block_out_channels": (32, 32, 32, 32),
        "layers_per_block": (1, 1, 1, 1, 1),
    },
)


class Bench:
    """One transformer, its attention changed from arm to arm."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.started = time.monotonic()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.transformer = self._made(MochiTransformer3DModel, scale.transformer)
        self.blocks = list(self.transformer.transformer_blocks)
        generator = torch.Generator(self.device).manual_seed(1)
        width = self.transformer.config.text_embed_dim
        self.embeds = torch.randn(
            2, scale.text, width, generator=generator, device=self.device, dtype=torch.bfloat16
        )
        lengths = torch.tensor(TEXT_TOKENS, device=self.device)
        self.mask = torch.arange(scale.text, device=self.device) < lengths[:, None]
        self.noise = [1 - sigma for sigma in sigma_schedule(scale.job_steps)] + [1.0]

    def _made(self, kind: Any, config: dict[str, Any]) -> Any:
        torch.manual_seed(0)
        kept = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        try:
            with torch.device(self.device):
                model = kind(**config)
        finally:
            torch.set_default_dtype(kept)
        for name, weight in model.named_parameters():
            if name == "pos_frequencies":  # zeros until a checkpoint is loaded
                torch.nn.init.normal_(weight)
        return model.eval().requires_grad_(False)

    def arms(self) -> list[str]:
        config = self.transformer.config
        kernels = [
            name
            for name in (*attention.preference(self.device), "packed")
            if attention.computes_right(
                name,
                device=self.device,
                dtype=torch.bfloat16,
                heads=config.num_attention_heads,
                dim=config.attention_head_dim,
            )
        ]
        return ["stock", *kernels, f"{kernels[0]} compiled"]

    def use(self, arm: str) -> None:
        name, _, compiled = arm.partition(" ")
        processor = MochiAttnProcessor2_0() if name == "stock" else Attention(name)
        if isinstance(processor, Attention):
            processor.lengths = TEXT_TOKENS
        for block in self.blocks:
            block.attn1.processor = processor
            block._compiled_call_impl = None
            if compiled:
                block.compile()

    def latents(self, frames: int, dtype: torch.dtype = torch.float32) -> Tensor:
        shape = (1, 12, (frames - 1) // 6 + 1, self.scale.height // 8, self.scale.width // 8)
        return torch.randn(shape, generator=torch.Generator().manual_seed(2)).to(self.device, dtype)

    @torch.no_grad()
    def step(self, latents: Tensor, index: int) -> Tensor:
        share, after = self.noise[index], self.noise[index + 1]
        both = torch.cat([latents.to(torch.bfloat16)] * 2)
        velocity = self.transformer(
            hidden_states=both,
            encoder_hidden_states=self.embeds,
            timestep=torch.full((2,), 1000 * share, device=self.device),
            encoder_attention_mask=self.mask,
            return_dict=False,
        )[0].float()
        without, along = velocity.chunk(2)
        moved = latents.float() + (after - share) * (without + GUIDANCE * (along - without))
        after_it: Tensor = moved.to(latents.dtype)
        return after_it

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, run: Callable[[], Any]) -> float:
        self.wait()
        started = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - started

    def late(self) -> bool:
        return time.monotonic() - self.started > BUDGET_SECONDS

    @contextmanager
    def peak(self) -> Iterator[list[float]]:
        """GiB above what was there; 0 without CUDA."""
        found = [0.0]
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        yield found
        if self.device.type == "cuda":
            found[0] = (torch.cuda.max_memory_allocated() - before) / 2**30


def teraflops(bench: Bench, frames: int) -> float:
    """Of one step, both rows: counted on tensors without data, so it costs nothing."""
    clip, text = bench.latents(frames).shape[1:], bench.embeds.shape[1:]
    with torch.device("meta"):
        twin = MochiTransformer3DModel(**bench.scale.transformer)
        latents, embeds = torch.empty(2, *clip), torch.empty(2, *text)
        mask = torch.empty(2, bench.scale.text, dtype=torch.bool)
    processor = Attention("math")
    processor.lengths = (bench.scale.text,) * 2
    twin.rope = Rope()  # the stock one asks for an autocast that "meta" has not
    for block in twin.transformer_blocks:
        block.attn1.processor = processor
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        twin(latents, embeds, torch.empty(2, device="meta"), mask)
    return float(counter.get_total_flops()) / 1e12


def measure_steps(bench: Bench) -> list[dict[str, Any]]:
    """Least seconds of a step by each arm and length, visited A B B A."""
    rows = []
    arms = bench.arms()
    for frames in bench.scale.lengths:
        work = teraflops(bench, frames)
        least: dict[str, float] = {}
        for arm in (*arms, *reversed(arms)):
            if bench.late():
                print(f"{frames} frames, {arm}: left out, the time is up")
                continue
            # The stock loop rounds its latents to bf16 after each step.
            dtype = torch.bfloat16 if arm == "stock" else torch.float32
            latents = bench.latents(frames, dtype)
            bench.use(arm)
            if arm not in least:
                bench.step(latents, 0)  # warms up, compiles
            for index in range(bench.scale.steps):
                taken = bench.seconds(partial(bench.step, latents, index))
                least[arm] = min(taken, least.get(arm, taken))
        for arm, taken in least.items():
            rate = work / taken
            rows.append(
                {
                    "frames": frames,
                    "arm": arm,
                    "seconds_a_step": taken,
                    "tflops": rate,
                    "share_of_bound": rate / BOUND_TFLOPS,
                    "times_stock": least["stock"] / taken,
                }
            )
    return rows


def measure_attention(bench: Bench) -> list[dict[str, Any]]:
    """Each kernel alone, at the longest clip."""
    config = bench.transformer.config
    heads, dim = config.num_attention_heads, config.attention_head_dim
    tokens = bench.latents(bench.scale.lengths[-1])[0, 0].numel() // 4
    shape = (1, heads, tokens, dim)
    generator = torch.Generator(bench.device).manual_seed(3)
    parts = [
        torch.randn(shape, generator=generator, device=bench.device, dtype=torch.bfloat16)
        for _ in range(3)
    ]
    rows = []
    for name in (arm for arm in bench.arms() if arm in attention.KERNELS):
        kernel = attention.KERNELS[name]
        least = min(bench.seconds(partial(kernel, *parts)) for _ in range(4))
        work = 4 * heads * tokens**2 * dim / 1e12
        rows.append({"kernel": name, "tokens": tokens, "tflops": work / least})
    return rows


def measure_decode(bench: Bench) -> list[dict[str, Any]]:
    """Untiled, to levels in the host's memory."""
    vae = bench._made(AutoencoderKLMochi, bench.scale.vae)
    rows = []
    for frames in bench.scale.lengths:
        latents = bench.latents(frames, torch.bfloat16)

        def decode(of: Tensor = latents) -> None:
            with torch.no_grad():
                video = vae.decode(of, return_dict=False)[0][0]
            for chunk in pixels.send(video):
                chunk.wait()

        try:
            decode()
            with bench.peak() as gib:
                taken = bench.seconds(decode)
        except torch.OutOfMemoryError:
            print(f"untiled decode of {frames} frames: does not fit")
            continue
        megapixels = bench.scale.width * bench.scale.height * frames / 1e6
        rows.append(
            {
                "frames": frames,
                "seconds": taken,
                "gib": gib[0],
                "gib_per_megapixel": gib[0] / megapixels,
            }
        )
    return rows


def measure_job(bench: Bench) -> dict[str, Any]:
    """A whole denoise, with a checkpoint in the middle that a second run goes on from."""
    bench.use(bench.arms()[1])
    half = bench.scale.job_steps // 2
    saved = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "saved.safetensors"

        def denoise(latents: Tensor, first: int) -> Tensor:
            nonlocal saved
            for index in range(first, bench.scale.job_steps):
                if first == 0 and index == half:
                    kept = {"latents": latents, "embeds": bench.embeds, "mask": bench.mask}
                    saved = bench.seconds(partial(save_file, kept, path))
                latents = bench.step(latents, index)
            return latents

        ended: list[Tensor] = []
        with bench.peak() as gib:
            taken = bench.seconds(
                lambda: ended.append(denoise(bench.latents(bench.scale.whole), 0))
            )
        step = taken / bench.scale.job_steps
        found = {
            "frames": bench.scale.whole,
            "steps": bench.scale.job_steps,
            "seconds": taken,
            "activations_gib": gib[0],
            "checkpoint_seconds": saved,
            "checkpoint_share_of_a_step": saved / step,
        }
        if not bench.late():
            resumed = denoise(load_file(path)["latents"].to(bench.device), half)
            found["resumed_bit_for_bit"] = torch.equal(resumed, ended[0])
    return found


def main(tiny: bool, write: bool) -> None:
    if not tiny and not torch.cuda.is_available():
        sys.exit("There is no CUDA device here; --tiny runs anywhere.")
    bench = Bench(TINY if tiny else FULL)
    on_gpu = bench.device.type == "cuda"
    machine = torch.cuda.get_device_name() if on_gpu else f"CPU {platform.machine()}"
    # The job first: what the budget leaves out at the end is the last arm, not the resume.
    found: dict[str, Any] = {"machine": machine, "torch": torch.__version__, "tiny": tiny}
    found["job"] = measure_job(bench)
    found["attention"] = measure_attention(bench)
    found["decode"] = measure_decode(bench)
    found["steps"] = measure_steps(bench)
    print(f"{machine}, torch {torch.__version__}{', tiny: numbers mean nothing' if tiny else ''}")
    print(f"{'frames':>6}  {'arm':<18}{'s a step':>10}{'TFLOP/s':>9}{'of 790':>8}{'x stock':>9}")
    for row in found["steps"]:
        print(
            f"{row['frames']:>6}  {row['arm']:<18}{row['seconds_a_step']:>10.4f}"
            f"{row['tflops']:>9.1f}{row['share_of_bound']:>8.1%}{row['times_stock']:>9.2f}"
        )
    for part in ("attention", "decode", "job"):
        rows = found[part] if isinstance(found[part], list) else [found[part]]
        for row in rows:
            print(
                part,
                ", ".join(
                    f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                    for key, value in row.items()
                ),
            )
    if write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "gpu_mochi.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main("--tiny" in sys.argv, "--write" in sys.argv)
