"""True clips of the grammar's scenes: what the bundled model learns from, drawn from distances."""

import math
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.nano.grammar import BACKGROUNDS, COLOURS, LINES, Scene, Thing

Floats = NDArray[np.floating[Any]]

# Of the shorter side. Two things of a scene are of one size, so that both find room.
RADII = {"small": (0.115, 0.14), "": (0.165, 0.195), "large": (0.21, 0.24)}
PAIR_RADIUS = (0.125, 0.15)
WAYS = {"slow": (0.30, 0.40), "": (0.60, 0.72), "fast": (0.90, 1.0)}  # of the room there is
MARGIN = 0.04  # of the shorter side: things keep so far from the edge and from one another
JITTER = 8.0  # levels: no two clips have quite the same red
BOUNCES = 2


def render(
    scene: Scene,
    *,
    seed: int,
    frames: int,
    width: int,
    height: int,
    part: slice = slice(None),
) -> NDArray[np.uint8]:
    """The true clip, (frames, height, width, 3), or the part of its frames that is asked for."""
    rng = random.Random(seed)
    wide, high = (side / min(width, height) for side in (width, height))
    paths = [
        tuple(each[part] for each in path)
        for path in _paths(scene, rng, np.linspace(0, 1, frames, dtype=np.float32), (wide, high))
    ]
    side = min(width, height)
    x, y = np.meshgrid(
        (np.arange(width, dtype=np.float32) + 0.5) / side,
        (np.arange(height, dtype=np.float32) + 0.5) / side,
    )
    shape = (len(paths[0][0]), height, width, 3)
    pixels = np.broadcast_to(_tint(BACKGROUNDS[scene.background], rng), shape)
    for thing, (centre_x, centre_y, radius) in zip(scene.things, paths, strict=True):
        middle_x, middle_y, size = (each[:, None, None] for each in (centre_x, centre_y, radius))
        distance = signed_distance(thing.shape, (x - middle_x) / size, (y - middle_y) / size)
        cover = np.clip(0.5 - distance * size * side, 0, 1)[..., None]
        pixels = _tint(COLOURS[thing.colour], rng) * cover + pixels * (1 - cover)
    return pixels.astype(np.uint8)


def _tint(rgb: tuple[int, int, int], rng: random.Random) -> Floats:
    levels = [level + rng.uniform(-JITTER, JITTER) for level in rgb]
    return np.clip(np.array(levels, np.float32), 0, 255)


Path = tuple[Floats, Floats, Floats]  # centre x, centre y, radius, each (frames,)


def _paths(scene: Scene, rng: random.Random, time: Floats, room: tuple[float, float]) -> list[Path]:
    """In shares of the shorter side; room is width and height in them. Two things never touch."""
    if len(scene.things) == 1:
        return [_path(scene.things[0], rng, time, room)]
    while True:  # one of about four tries has room for both
        first, second = (_path(thing, rng, time, room, radii=PAIR_RADIUS) for thing in scene.things)
        gap = np.hypot(first[0] - second[0], first[1] - second[1])
        if (gap - 1.25 * (first[2] + second[2])).min() > 0:  # 1.25: a star's reach
            return [first, second]


def _path(
    thing: Thing,
    rng: random.Random,
    time: Floats,
    room: tuple[float, float],
    *,
    radii: tuple[float, float] | None = None,
) -> Path:
    radii = radii or RADII[thing.size]
    wide, high = room
    radius = rng.uniform(*radii)
    edge = radius * 1.1 + MARGIN
    size = np.full_like(time, radius)
    x = np.full_like(time, rng.uniform(edge, wide - edge))
    y = np.full_like(time, rng.uniform(edge, high - edge))
    if thing.motion in LINES:
        way = rng.uniform(*WAYS[thing.speed])
        along_x, along_y = LINES[thing.motion]
        if along_x:
            x = edge + (wide - 2 * edge) * _line(rng, time, way, along_x)
        if along_y:
            y = edge + (high - 2 * edge) * _line(rng, time, way, along_y)
    elif thing.motion in {"growing", "shrinking"}:
        factor = rng.uniform(2.0, 2.4)
        largest = min(radius * 1.45, 0.34)
        size = largest / factor + (largest - largest / factor) * time
        if thing.motion == "shrinking":
            size = size[::-1]
        edge = max(largest * 1.1 + 0.02, 0.3)
        x = np.full_like(time, rng.uniform(edge, wide - edge))
        y = np.full_like(time, rng.uniform(edge, high - edge))
    elif thing.motion == "orbit":
        around = min(0.5 - edge, 0.27)
        angles = rng.uniform(0, 2 * math.pi) + time * 2 * math.pi * 0.95
        x, y = wide / 2 + around * np.cos(angles), high / 2 + around * np.sin(angles)
    elif thing.motion == "bounce":
        floor = high - edge
        jump = (floor - edge) * rng.uniform(0.75, 1.0)
        phase = rng.uniform(0, 0.5)
        y = floor - jump * np.abs(np.sin((time * BOUNCES + phase) * math.pi))
    return x, y, size


def _line(rng: random.Random, time: Floats, way: float, sign: int) -> Floats:
    """From 0 to 1 or back, over a part of it of length way."""
    line = rng.uniform(0, 1 - way) + way * time
    return line if sign > 0 else line[::-1]


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
