"""Clips for pages to show: true MP4s, posters, sprites and strips, drawn instead of rendered."""

import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_worker.engine import Sprite
from gpu_worker.nano import clips, grammar
from gpu_worker.nano.grammar import Scene
from gpu_worker.preview import make_sprite, pick
from gpu_worker.sheets import Preview
from gpu_worker.tail import Clip, Tail
from jobs import artifacts
from jobs.actions import Claim
from jobs.artifacts import Stored
from jobs.spec import RenderSpec

PREVIEWS = 8  # in a strip
SHOTS = 4  # frames of a preview


def scenes(count: int) -> list[Scene]:
    """No two alike, the same every time."""
    rng = random.Random(8)
    colours = ("red", "green", "blue", "yellow", "orange", "purple", "cyan", "white")
    shapes = ("circle", "square", "triangle", "star")
    motions = list(grammar.MOTIONS)
    grounds = [each for each in grammar.BACKGROUNDS if each]
    return [
        grammar.one(
            colours[number % len(colours)],
            shapes[number // 2 % len(shapes)],
            rng.choice(motions),
            rng.choice(grounds),
        )
        for number in range(count)
    ]


class Projector:
    """Makes the files of jobs; each clip once, however many jobs have it."""

    def __init__(self) -> None:
        self._tail = Tail()

    def close(self) -> None:
        self._tail.close()

    def put(self, held: Claim, scene: Scene, *, seed: int = 1) -> list[Stored]:
        """In storage, as the worker leaves them there."""
        clip = _clip(scene, _key(held.spec), seed)
        with tempfile.TemporaryDirectory() as folder:
            return [
                artifacts.put(
                    held.job,
                    held.attempt,
                    made["name"],
                    Path(folder) / made["name"],
                    sha256=made["sha256"],
                    facts=made["facts"],
                )
                for made in self._tail.make_files(clip, Path(folder))
            ]


def preview(spec: RenderSpec, scene: Scene, share: float) -> Sprite:
    """Of a render that has done so much of its steps: noise gives way to the clip."""
    return _forming(_pixels(scene, _key(spec), 1), share)


_Key = tuple[int, int, int, int, int]


def _key(spec: RenderSpec) -> _Key:
    return spec.frames, spec.width, spec.height, spec.fps, spec.steps


@cache
def _pixels(scene: Scene, key: _Key, seed: int) -> NDArray[Any]:
    frames, width, height, _, _ = key
    return clips.render(scene, seed=seed, frames=frames, width=width, height=height)


def _forming(pixels: NDArray[Any], share: float) -> Sprite:
    shots = pixels[pick(len(pixels), SHOTS)].astype(np.float32)
    noise = np.random.default_rng(1).normal(128, 60, shots.shape)
    mixed = shots * share + noise * (1 - share)
    return make_sprite(list(np.clip(mixed, 0, 255).astype(np.uint8)))


@cache
def _clip(scene: Scene, key: _Key, seed: int) -> Clip:
    _, _, _, fps, steps = key
    pixels = _pixels(scene, key, seed)
    previews = tuple(
        Preview(step=max(1, steps * part // PREVIEWS), sprite=_forming(pixels, part / PREVIEWS))
        for part in range(1, PREVIEWS)
    )
    return Clip(pixels=pixels, fps=fps, steps=steps, metadata={}, previews=previews)
