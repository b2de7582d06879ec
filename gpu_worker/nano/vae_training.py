"""The first half of the bundled model's training: the VAE, on true clips as they are drawn."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gpu_worker.nano import architecture, clips, grammar
from gpu_worker.nano.training import Optimiser, Run, cosine

MATRIX_RATE = 2e-3
OTHER_RATE = 4.5e-4
DECAY = 1e-4
WARM_UP = 150  # steps
NOISE = 0.1  # of the posterior, fixed: the latents learn to bear what a transformer leaves
FOREGROUND = 4.0  # a pixel of a thing counts so much; most of a clip is ground
THING = 0.08  # difference from the corner pixel, of [-1, 1]
LENGTH = 25  # frames of the clips that the parts are cut from
# (share of the steps, width, height, frames, clips): thirteen frames are three latents in time,
# enough to learn from at half the price of a whole clip.
SHAPES = ((0.7, 64, 64, 13, 4), (0.1, 96, 64, 13, 3), (0.1, 64, 96, 13, 3), (0.1, 64, 64, 25, 2))


def train(work: Path, *, minutes: float, device: str = "cpu") -> Any:
    """The trained AutoencoderKLMochi. Goes on where work/vae.safetensors ends."""
    vae = architecture.make_vae().to(device)
    optimiser = Optimiser(
        dict(vae.named_parameters()),
        matrix_rate=MATRIX_RATE,
        other_rate=OTHER_RATE,
        decay=DECAY,
        outside=("proj_in", "proj_out", "decoder.conv_in"),
    )
    run = Run(work / "vae.safetensors", {"vae": vae}, optimiser, minutes=minutes, average=0.999)
    for rng in run.steps():
        clean = batch(rng).to(device)
        with torch.autocast(device, dtype=torch.bfloat16):
            posterior = vae.encode(clean).latent_dist
            mean, log_variance = posterior.mean.float(), posterior.logvar.float()
            noisy = mean + NOISE * torch.randn_like(mean)
            made = vae.decode(noisy).sample.float()
        loss, square = _loss(clean, made, mean, log_variance)
        scale = cosine(run.share, step=run.step, warm_up=WARM_UP)
        run.learn(loss, rate=scale, told={"loss": loss, "square": square})
    run.finish()
    return vae.eval()


def batch(rng: random.Random) -> Tensor:
    """(B, 3, T, H, W) in [-1, 1]: parts of clips of the grammar."""
    chosen = rng.choices(SHAPES, [shape[0] for shape in SHAPES])[0]
    _, width, height, frames, count = chosen
    drawn = []
    for _ in range(count):
        start = rng.randrange(LENGTH - frames + 1)
        drawn.append(
            clips.render(
                grammar.draw(rng),
                seed=rng.randrange(1 << 30),
                frames=LENGTH,
                width=width,
                height=height,
                part=slice(start, start + frames),
            )
        )
    return to_tensor(np.stack(drawn))


def to_tensor(pixels: "np.ndarray[Any, np.dtype[np.uint8]]") -> Tensor:
    """(B, T, H, W, 3) levels to (B, 3, T, H, W) in [-1, 1]."""
    return torch.from_numpy(pixels).permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def _loss(clean: Tensor, made: Tensor, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """What to lessen, and its mean square error alone.

    Absolute and squared error, edges in space and time, and colour over 4×4 pixels: without the
    last, white came out purple and yellow orange.
    """
    error = made - clean
    thing = (clean - clean[..., :1, :1]).abs().amax(1, keepdim=True) > THING
    weight = 1 + (FOREGROUND - 1) * thing.float()
    weight = weight / weight.mean()
    absolute = (error.abs() * weight).mean()
    square = (error**2).mean()
    edges = torch.stack([error.diff(dim=axis).abs().mean() for axis in (2, 3, 4)]).sum()
    area = (1, 4, 4)
    colour = (F.avg_pool3d(error, area).abs() * F.max_pool3d(weight, area)).mean()
    size = 0.5 * (mean**2).mean() + 0.05 * ((log_variance + 4.6) ** 2).mean()
    return absolute + 2 * square + 0.5 * edges + colour + 3e-4 * size, square
