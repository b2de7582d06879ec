"""What a clip shows, read from its pixels alone: no network has a say in it.

Right in all four answers on the true clips of grammar.render; a test of the model, and of whatever
brings its clips to a viewer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.nano.grammar import BACKGROUNDS, COLOURS, SHAPES, Rgb, signed_distance

Array = NDArray[Any]

MIN_CONTRAST = 30.0  # levels: less than the gap between any colour and any background
MIN_AREA = 6  # pixels: fewer are noise of the VAE
MIN_SEEN = 0.6  # of the frames
# Areas of the shapes of radius 1, to guess the radius from the pixels covered.
UNIT_AREAS = {"circle": 3.14, "square": 3.24, "triangle": 1.87, "star": 1.98}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Words of the grammar; None for what cannot be told."""

    background: str
    colour: str | None
    motion: str | None
    shape: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Track:
    """The shape in every frame: centre (pixels) and area (pixels)."""

    x: Array
    y: Array
    area: Array


def analyse(clip: Array) -> Seen:
    """What a clip of uint8 (T, H, W, 3) shows."""
    pixels = clip.astype(np.float32)
    edges = [pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]]
    ground = np.median(np.concatenate([edge.reshape(-1, 3) for edge in edges]), axis=0)
    background = _nearest(ground, BACKGROUNDS)
    contrast = np.sqrt(((pixels - ground) ** 2).sum(-1))  # (T, H, W)
    strongest = float(np.percentile(contrast, 99.5))
    mask = contrast > max(MIN_CONTRAST, 0.45 * strongest)
    track = _track(mask)
    if track is None:
        return Seen(background=background, colour=None, motion=None, shape=None)
    core = pixels[contrast > 0.85 * strongest]
    return Seen(
        background=background,
        colour=_nearest(np.median(core, axis=0), COLOURS),
        motion=_motion(track, mask.shape[2], mask.shape[1]),
        shape=_shape(track, contrast / max(strongest, 1.0)),
    )


def _nearest(rgb: Array, table: dict[str, Rgb]) -> str:
    return min(table, key=lambda name: float(((np.array(table[name]) - rgb) ** 2).sum()))


def _track(mask: Array) -> _Track | None:
    """None when the shape is missing from too many frames; gaps are bridged."""
    times = np.arange(len(mask))
    area = mask.sum((1, 2)).astype(np.float64)
    seen = area > MIN_AREA
    if seen.mean() < MIN_SEEN:
        return None
    rows, columns = np.mgrid[0 : mask.shape[1], 0 : mask.shape[2]] + 0.5
    x = (mask * columns).sum((1, 2))[seen] / area[seen]
    y = (mask * rows).sum((1, 2))[seen] / area[seen]
    return _Track(
        x=np.interp(times, times[seen], x),
        y=np.interp(times, times[seen], y),
        area=np.interp(times, times[seen], area[seen]),
    )


def _motion(track: _Track, width: int, height: int) -> str | None:
    """From the smoothed path in shares of the picture; None when it fits no word."""
    ends = min(3, len(track.x) // 2)
    if not ends:
        return "still"
    smooth = np.ones(ends) / ends
    x = np.convolve(track.x / width, smooth, "valid")
    y = np.convolve(track.y / height, smooth, "valid")
    right, down = x[-1] - x[0], y[-1] - y[0]
    way = float(np.hypot(right, down))
    length = float(np.hypot(np.diff(x), np.diff(y)).sum())
    spans = sorted((np.ptp(x), np.ptp(y)))
    growth = track.area[-ends:].mean() / max(track.area[:ends].mean(), 1.0)
    motion: str | None = None
    if way < 0.15 and not 1 / 1.9 <= growth <= 1.9:
        motion = "growing" if growth > 1 else "shrinking"
    elif spans[0] > 0.12 and length > 2.0 * way:
        motion = "orbit"
    elif way > 0.12 and abs(right) > abs(down):
        motion = "right" if right > 0 else "left"
    elif way > 0.12:
        motion = "down" if down > 0 else "up"
    elif spans[1] < 0.08:
        motion = "still"
    return motion


def _shape(track: _Track, cover: Array) -> str:
    """The shape whose template overlaps best (intersection over union) in a few frames."""
    count = len(track.area)
    chosen = {count * quarter // 4 for quarter in (1, 2, 3)} | {int(np.argmax(track.area))}
    scores = dict.fromkeys(SHAPES, 0.0)
    for index in chosen:
        if track.area[index] < MIN_AREA:
            continue
        soft = np.clip(cover[index], 0, 1)
        for shape in SHAPES:
            scores[shape] += _overlap(shape, soft, float(track.x[index]), float(track.y[index]))
    return max(scores, key=lambda shape: scores[shape])


def _overlap(shape: str, soft: Array, x: float, y: float) -> float:
    """The best intersection over union, 0 to 1, over three sizes and heights of the template.

    The centre of a triangle's or star's pixels is not quite its middle, hence the heights.
    """
    rows, columns = np.mgrid[0 : soft.shape[0], 0 : soft.shape[1]].astype(np.float32) + 0.5
    guess = float(np.sqrt(soft.sum() / UNIT_AREAS[shape]))
    best = 0.0
    for radius in (guess * 0.94, guess, guess * 1.06):
        for offset in (-0.5, 0.0, 0.5):
            distance = signed_distance(shape, (columns - x) / radius, (rows - y - offset) / radius)
            template = np.clip(0.5 - distance * radius, 0, 1)
            union = np.maximum(template, soft).sum()
            best = max(best, float(np.minimum(template, soft).sum() / max(union, 1e-6)))
    return best
