"""What the bundled model knows: one shape that moves. Words, colours, and the true clips."""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Rgb = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 90, 230),
    "yellow": (240, 210, 40),
    "orange": (245, 130, 30),
    "purple": (150, 60, 200),
    "cyan": (50, 205, 215),
    "white": (245, 245, 245),
}
BACKGROUNDS: dict[str, Rgb] = {
    "black": (12, 12, 14),
    "gray": (118, 118, 122),
    "navy": (18, 26, 74),
    "brown": (92, 58, 34),
}
SHAPES = ("circle", "square", "triangle", "star")
MOTIONS = {
    "right": "moving right",
    "left": "moving left",
    "up": "moving up",
    "down": "moving down",
    "growing": "growing",
    "shrinking": "shrinking",
    "still": "standing still",
    "orbit": "moving in a circle",
}
RADII = {"small": (0.10, 0.13), "": (0.155, 0.19), "large": (0.22, 0.26)}  # of the side
MARGIN = 0.04  # of the side: true clips keep so far from the edge
JITTER = 8.0  # levels: no two clips have quite the same red


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One clip in the model's words; keys of the tables above."""

    colour: str
    shape: str
    motion: str
    background: str
    size: str = ""

    def caption(self) -> str:
        size = f"{self.size} " if self.size else ""
        article = "an" if (size or self.colour)[0] in "aeiou" else "a"
        motion = MOTIONS[self.motion]
        return (
            f"{article} {size}{self.colour} {self.shape} {motion} on a {self.background} background"
        )


def all_scenes() -> Iterator[Scene]:
    """All 3,072."""
    for colour, shape, motion, background, size in itertools.product(
        COLOURS, SHAPES, MOTIONS, BACKGROUNDS, RADII
    ):
        yield Scene(colour=colour, shape=shape, motion=motion, background=background, size=size)


def render(scene: Scene, *, seed: int, frames: int, side: int) -> NDArray[np.uint8]:
    """The true clip, (frames, side, side, 3): what the model learnt from."""
    rng = random.Random(seed)
    centre_x, centre_y, radius = (values[:, None, None] for values in _path(scene, rng, frames))
    grid = (np.arange(side, dtype=np.float32) + 0.5) / side
    x, y = np.meshgrid(grid, grid)
    distance = signed_distance(scene.shape, (x - centre_x) / radius, (y - centre_y) / radius)
    cover = np.clip(0.5 - distance * radius * side, 0, 1)[..., None]
    shape, ground = (
        np.clip([level + rng.uniform(-JITTER, JITTER) for level in rgb], 0, 255)
        for rgb in (COLOURS[scene.colour], BACKGROUNDS[scene.background])
    )
    return (shape * cover + ground * (1 - cover)).astype(np.uint8)


def signed_distance(shape: str, x: Floats, y: Floats) -> Floats:
    """Distance to the edge of the shape of radius 1 around the origin; negative inside."""
    if shape == "circle":
        return np.hypot(x, y) - 1.0
    if shape == "square":
        across, along = np.abs(x) - 0.9, np.abs(y) - 0.9
        outside = np.hypot(np.maximum(across, 0), np.maximum(along, 0))
        return outside + np.minimum(np.maximum(across, along), 0)
    return _distance_to_polygon(_corners(shape), x, y)


def _corners(shape: str) -> list[tuple[float, float]]:
    radii = [1.2] * 3 if shape == "triangle" else [1.25, 0.52] * 5
    step = 2 * math.pi / len(radii)
    angles = [math.pi / 2 + index * step for index in range(len(radii))]
    return [
        (radius * math.cos(angle), -radius * math.sin(angle))
        for radius, angle in zip(radii, angles, strict=True)
    ]


def _distance_to_polygon(corners: list[tuple[float, float]], x: Floats, y: Floats) -> Floats:
    """Source: Inigo Quilez, 2D distance functions, sdPolygon."""
    squared = np.full(x.shape, np.inf, np.float32)
    sign = np.ones(x.shape, np.float32)
    for (ax, ay), (bx, by) in zip(corners, [corners[-1], *corners[:-1]], strict=True):
        edge_x, edge_y = bx - ax, by - ay
        to_x, to_y = x - ax, y - ay
        along = (to_x * edge_x + to_y * edge_y) / (edge_x**2 + edge_y**2)
        along = np.clip(along, 0, 1)
        squared = np.minimum(squared, (to_x - edge_x * along) ** 2 + (to_y - edge_y * along) ** 2)
        above, below, left = y >= ay, y < by, edge_x * to_y > edge_y * to_x
        sign = np.where((above & below & left) | (~above & ~below & ~left), -sign, sign)
    return sign * np.sqrt(squared)


def _path(scene: Scene, rng: random.Random, frames: int) -> tuple[Floats, Floats, Floats]:
    """Centre x, centre y and radius of every frame, as shares of the side."""
    radius = rng.uniform(*RADII[scene.size])
    low, high = radius + MARGIN, 1 - radius - MARGIN
    time = np.linspace(0, 1, frames, dtype=np.float32)
    x, y = (np.full_like(time, rng.uniform(low, high)) for _ in range(2))
    radii = np.full_like(time, radius)
    if scene.motion in {"right", "left", "up", "down"}:
        way = (high - low) * rng.uniform(0.8, 1.0)
        line = rng.uniform(low, high - way) + way * time
        if scene.motion in {"left", "up"}:
            line = line[::-1]
        if scene.motion in {"right", "left"}:
            x = line
        else:
            y = line
    elif scene.motion in {"growing", "shrinking"}:
        factor = rng.uniform(2.0, 2.4)
        largest = min(radius * 1.45, 0.34)
        radii = largest / factor + (largest - largest / factor) * time
        if scene.motion == "shrinking":
            radii = radii[::-1]
        edge = max(largest + 0.02, 0.3)
        x, y = (np.full_like(time, rng.uniform(edge, 1 - edge)) for _ in range(2))
    elif scene.motion == "orbit":
        around = min(0.5 - radius - MARGIN, 0.27)
        angles = rng.uniform(0, 2 * math.pi) + time * 2 * math.pi * 0.95
        x, y = 0.5 + around * np.cos(angles), 0.5 + around * np.sin(angles)
    return x, y, radii
