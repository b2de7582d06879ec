"""A linear map from latents to colours, by least squares on what the VAE makes of them.

All sums are in fp64 and of one size, however many clips go in. In and out are those of the VAE:
latents (1, 12, T, H/8, W/8), VAE-normalised, and video (3, frames, H, W) in [-1, 1].
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gpu_worker.latents import LATENT_FRAMES, LATENT_SIDE
from jobs.catalog import LATENT_CHANNELS, PreviewMap

COLOURS = 3
HALF_RANGE = 127.5  # levels of 256 for 1.0 of [-1, 1]
# Of the largest: below it a direction was never seen, and its share of the map would be noise.
SINGULAR = 1e-9


def average(video: Tensor) -> Tensor:
    """(3, T, H/8, W/8): each latent's colour, the mean over its 8×8 pixels and its frames.

    The first latent stands for one frame, every other one for six. What the VAE puts beyond black
    and white is cut off, as a picture would.
    """
    video = video.float().clamp(-1, 1)
    area = (LATENT_FRAMES, LATENT_SIDE, LATENT_SIDE)
    first = F.avg_pool3d(video[:, :1], (1, *area[1:]))
    return (
        torch.cat([first, F.avg_pool3d(video[:, 1:], area)], dim=1) if len(video[0]) > 1 else first
    )


def apply(colours: PreviewMap, latents: Tensor) -> Tensor:
    """(3, T, H/8, W/8), about in [-1, 1], of latents (1, 12, T, H/8, W/8)."""
    matrix = torch.tensor(colours.matrix, device=latents.device)  # (12, 3)
    bias = torch.tensor(colours.bias, device=latents.device).view(COLOURS, 1, 1, 1)
    return torch.einsum("cthw,cr->rthw", latents[0].float(), matrix) + bias


class Sums:
    """The normal equations, clip by clip."""

    def __init__(self) -> None:
        self._inner = torch.zeros(LATENT_CHANNELS + 1, LATENT_CHANNELS + 1, dtype=torch.float64)
        self._outer = torch.zeros(LATENT_CHANNELS + 1, COLOURS, dtype=torch.float64)

    @property
    def latents(self) -> int:
        """How many went in."""
        return round(float(self._inner[-1, -1]))

    def add(self, latents: Tensor, video: Tensor) -> None:
        inputs = latents[0].flatten(1).double()  # (12, N)
        inputs = torch.cat([inputs, torch.ones_like(inputs[:1])])
        wanted = average(video).flatten(1).double()  # (3, N)
        self._inner += (inputs @ inputs.T).cpu()
        self._outer += (inputs @ wanted.T).cpu()

    def solve(self) -> tuple[Tensor, Tensor]:
        """Matrix (12, 3) and bias (3,), fp64. Raises ValueError when too little went in."""
        sizes = torch.linalg.eigvalsh(self._inner)
        if not float(sizes[0]) > SINGULAR * float(sizes[-1]):
            raise ValueError("the clips are too much alike: they leave the map undetermined")
        solved = torch.linalg.solve(self._inner, self._outer)
        return solved[:-1], solved[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """How far a map is from the VAE's own colours."""

    mean_levels: float  # mean absolute, of 256 levels; both cut off at black and white
    explained: tuple[float, float, float]  # R² of red, green, blue
    latents: int  # seen


class Score:
    """The error of a map on clips that it was not fitted to, clip by clip."""

    def __init__(self, colours: PreviewMap) -> None:
        self._colours = colours
        self._count = 0
        self._absolute = torch.zeros((), dtype=torch.float64)
        # Of each colour: the residuals' squares, the colours, their squares.
        self._sums = torch.zeros(3, COLOURS, dtype=torch.float64)

    def add(self, latents: Tensor, video: Tensor) -> None:
        wanted = average(video).flatten(1).double().cpu()  # (3, N)
        found = apply(self._colours, latents).flatten(1).double().clamp(-1, 1).cpu()
        self._count += wanted.shape[1]
        self._absolute += (found - wanted).abs().mean(0).sum()
        self._sums += torch.stack([(found - wanted) ** 2, wanted, wanted**2]).sum(-1)

    def error(self) -> Error:
        """Raises ValueError when nothing was added."""
        if not self._count:
            raise ValueError("no clip was left to see how well the map does")
        residuals, colours, squares = self._sums
        explained = 1 - residuals / (squares - colours**2 / self._count)
        red, green, blue = explained.tolist()
        return Error(
            mean_levels=float(self._absolute) / self._count * HALF_RANGE,
            explained=(red, green, blue),
            latents=self._count,
        )
