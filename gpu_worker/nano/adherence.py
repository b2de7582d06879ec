"""What a clip shows, read from its pixels alone: no network has a say in it.

Right in every answer on the true clips of clips.render; a test of the model, and of whatever brings
its clips to a viewer.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.nano.clips import MARGIN, signed_distance
from gpu_worker.nano.grammar import BACKGROUNDS, COLOURS, LINES, SHAPES, Rgb, Scene

Array = NDArray[Any]

MIN_CONTRAST = 30.0  # levels: less than the gap between any colour and any background
MIN_AREA = 6  # pixels: fewer are noise of the VAE
MIN_SEEN = 0.6  # of the frames
# Areas of the shapes of radius 1, to guess the radius from the pixels covered.
UNIT_AREAS = {"circle": 3.14, "square": 3.24, "triangle": 1.87, "star": 1.98}
GROWN = 1.9  # times the area; true clips reach 4 to 5.8
NEAR_COLOUR = 60.0  # levels: a blend at an edge is further away, or there are few of it
STILL = 0.05  # of the shorter side; the slowest true way is 0.12
SLOW, FAST = 0.5, 0.81  # of the room a thing has: between the ways of clips.WAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One thing in words of the grammar; None for what cannot be told."""

    colour: str | None
    shape: str | None
    motion: str | None
    speed: str | None  # of motions along a line, "" for the middle one


NOTHING = Seen(colour=None, shape=None, motion=None, speed=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a whole clip shows."""

    background: str
    things: tuple[Seen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Track:
    """A thing in every frame: centre (pixels), area (pixels), cover (T, H, W) from 0 to 1."""

    x: Array
    y: Array
    area: Array
    cover: Array


def analyse(clip: Array, *, things: int = 1) -> Reading:
    """What a clip of uint8 (T, H, W, 3) shows, if it shows so many things, 1 or 2."""
    pixels = clip.astype(np.float32)
    edges = [pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]]
    ground = np.median(np.concatenate([edge.reshape(-1, 3) for edge in edges]), axis=0)
    found = _alone(pixels, ground) if things == 1 else _apart(pixels, ground)
    return Reading(background=_nearest(ground, BACKGROUNDS), things=found)


def agrees(scene: Scene, reading: Reading) -> dict[str, bool]:
    """Whether colour, shape, motion, speed and background are those asked for, of all things."""
    seen = {thing.colour: thing for thing in reading.things}
    pairs = [(thing, seen.get(thing.colour, NOTHING)) for thing in scene.things]
    if len(scene.things) == 1:  # its other words are judged although the colour may be wrong
        pairs = [(scene.things[0], reading.things[0])]
    return {
        "colour": all(asked.colour == shown.colour for asked, shown in pairs),
        "shape": all(asked.shape == shown.shape for asked, shown in pairs),
        "motion": all(asked.motion == shown.motion for asked, shown in pairs),
        "speed": all(asked.speed == shown.speed for asked, shown in pairs if asked.motion in LINES),
        "background": scene.background in {"", reading.background},
    }


def _alone(pixels: Array, ground: Array) -> tuple[Seen, ...]:
    contrast = np.sqrt(((pixels - ground) ** 2).sum(-1))  # (T, H, W)
    return (_read(pixels, contrast, np.ones_like(contrast, bool)),)


def _apart(pixels: Array, ground: Array) -> tuple[Seen, ...]:
    """Two things, each where it is nearer to its own colour's middle: they never touch."""
    table = np.array(list(COLOURS.values()), np.float32)
    distances = np.sqrt(((pixels[..., None, :] - table) ** 2).sum(-1))  # (T, H, W, colours)
    contrast = np.sqrt(((pixels - ground) ** 2).sum(-1))
    sure = (contrast > MIN_CONTRAST) & (distances.min(-1) < NEAR_COLOUR)
    nearest = np.where(sure, distances.argmin(-1), -1)
    counts = [(nearest == index).sum() for index in range(len(table))]
    first, second = (_middles(nearest == index) for index in np.argsort(counts)[::-1][:2])
    if first is None or second is None:
        return NOTHING, NOTHING
    rows, columns = np.mgrid[0 : pixels.shape[1], 0 : pixels.shape[2]] + 0.5
    to_first, to_second = (
        np.hypot(columns - x[:, None, None], rows - y[:, None, None]) for x, y in (first, second)
    )
    return tuple(
        _read(pixels, contrast, mine) for mine in (to_first < to_second, to_second < to_first)
    )


def _middles(mask: Array) -> tuple[Array, Array] | None:
    """x and y of each frame, in pixels; None when too few frames show anything."""
    track = _track(mask, mask)
    return None if track is None else (track.x, track.y)


def _read(pixels: Array, contrast: Array, where: Array) -> Seen:
    """The one thing that shows in a part (T, H, W) of the clip."""
    mine = np.where(where, contrast, 0)
    # Of the pixels that a thing may cover: half a percent of the clip is always well inside it.
    strongest = float(np.percentile(mine, 99.5))
    track = _track(
        mine > max(MIN_CONTRAST, 0.45 * strongest), np.clip(mine / max(strongest, 1.0), 0, 1)
    )
    if track is None:
        return NOTHING
    core = pixels[mine > 0.85 * strongest]
    return _told(_nearest(np.median(core, axis=0), COLOURS), track)


def _told(colour: str, track: _Track) -> Seen:
    shape = _shape(track)
    motion, speed = _motion(track, shape)
    return Seen(colour=colour, shape=shape, motion=motion, speed=speed)


def _nearest(rgb: Array, table: dict[str, Rgb]) -> str:
    return min(table, key=lambda name: float(((np.array(table[name]) - rgb) ** 2).sum()))


def _track(mask: Array, cover: Array) -> _Track | None:
    """None when the thing is missing from too many frames; gaps are bridged."""
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
        cover=cover,
    )


def _motion(track: _Track, shape: str) -> tuple[str | None, str | None]:
    """Motion and speed from the smoothed path; None when it fits no word."""
    height, width = track.cover.shape[1:]
    side = min(height, width)
    ends = min(3, len(track.x) // 2)
    if not ends:
        return "still", None
    smooth = np.ones(ends) / ends
    x = np.convolve(track.x / side, smooth, "valid")
    y = np.convolve(track.y / side, smooth, "valid")
    right, down = float(x[-1] - x[0]), float(y[-1] - y[0])
    length = float(np.hypot(np.diff(x), np.diff(y)).sum())
    wide, high = float(np.ptp(x)), float(np.ptp(y))
    growth = track.area[-ends:].mean() / max(track.area[:ends].mean(), 1.0)
    if not 1 / GROWN <= growth <= GROWN:
        return ("growing" if growth > 1 else "shrinking"), None
    if max(wide, high) < STILL:
        return "still", None
    there_and_back = length > 1.6 * math.hypot(right, down)
    if there_and_back:
        if high > 0.1 and wide < 0.35 * high:
            return "bounce", None
        return ("orbit" if min(wide, high) > 0.1 else None), None
    radius = math.sqrt(float(np.median(track.area)) / UNIT_AREAS[shape]) / side
    edge = 2 * (radius * 1.1 + MARGIN)
    # The smoothed path lacks its first and last frame.
    whole = (len(track.x) - 1) / max(len(x) - 1, 1)
    across = right * whole / max(width / side - edge, 0.05)
    along = down * whole / max(height / side - edge, 0.05)
    turn = round(math.atan2(along, across) / (math.pi / 4)) % 8
    ways = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]
    names = {way: name for name, way in LINES.items()}
    way = max(abs(across), abs(along))
    return names[ways[turn]], "slow" if way < SLOW else "fast" if way > FAST else ""


def _shape(track: _Track) -> str:
    """The shape whose template overlaps best (intersection over union) in a few frames."""
    count = len(track.area)
    chosen = {count * quarter // 4 for quarter in (1, 2, 3)} | {int(np.argmax(track.area))}
    scores = dict.fromkeys(SHAPES, 0.0)
    for index in chosen:
        if track.area[index] < MIN_AREA:
            continue
        for shape in SHAPES:
            scores[shape] += _overlap(
                shape, track.cover[index], float(track.x[index]), float(track.y[index])
            )
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
