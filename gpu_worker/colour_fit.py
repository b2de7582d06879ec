"""Fits a model's preview map to its own VAE: true clips through the encoder, and its own renders.

Of a render several states count: what the model expects early is a blur, and a preview shows that.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from gpu_worker import pixels, registry
from gpu_worker.colours import Score, Sums
from gpu_worker.mochi import Mochi
from gpu_worker.nano import clips as drawing
from gpu_worker.nano import grammar
from jobs.catalog import ModelEntry, PreviewMap
from jobs.spec import RenderSpec

PREVIEWED = (0.04, 0.25, 0.5, 0.75, 1.0)  # of a render's steps: the states that count
HELD_OUT = 4  # of so many clips one is for the error alone
FEWEST = 8  # clips
BUNDLED = "nano"  # whose true clips can be drawn, as many as anybody wants
DIGITS = 4  # of the map as it is kept: 0.01 of a level

Pair = tuple[Tensor, Tensor]  # latents (1, 12, T, h, w), the VAE's video of them (3, frames, H, W)
Clip = Callable[[], Iterator[Pair]]


def fit_model(
    entry: ModelEntry,
    root: Path,
    *,
    threads: int,
    count: int,
    seed: int,
    videos: Path | None,
    tick: Callable[[], object],
) -> PreviewMap:
    """The map of the entry's model; videos is a folder of MP4s. tick is called after each clip.

    Raises RenderError, and ValueError for too few clips, too uniform ones, and videos too short.
    """
    if entry.family != "mochi":
        raise ValueError(f"{entry.name} has no latents, so its previews need no map")
    model = registry.load_model(entry, root, threads=threads)
    assert isinstance(model, Mochi)
    drawn = entry.name == BUNDLED and videos is None
    paths = sorted(videos.glob("*.mp4")) if videos is not None else []
    clips = sources(model, entry, count=count, seed=seed, drawn=drawn, videos=paths)
    true = "drawn clips and " if drawn else "videos and " if paths else ""
    told = f"{count} {true}renders (seed {seed}, weights {entry.digest[:12]})"
    return fit(clips, told=told, tick=tick)


def fit(
    clips: Sequence[Clip], *, told: str, tick: Callable[[], object] = lambda: None
) -> PreviewMap:
    """told: what the clips are, for the map's origin. Every fourth is held out for the error.

    Nothing is kept of a clip: it is made when its turn comes. Raises ValueError as fit_model does.
    """
    if len(clips) < FEWEST:
        raise ValueError(f"a map needs at least {FEWEST} clips, not {len(clips)}")
    sums = Sums()
    for index, clip in enumerate(clips):
        if index % HELD_OUT < HELD_OUT - 1:
            for latents, video in clip():
                sums.add(latents, video)
            tick()
    matrix, bias = sums.solve()
    rows = tuple(_rounded(row) for row in matrix)
    fitted = PreviewMap(matrix=rows, bias=_rounded(bias), error=None, origin="")
    score = Score(fitted)
    for clip in clips[HELD_OUT - 1 :: HELD_OUT]:
        for latents, video in clip():
            score.add(latents, video)
        tick()
    error = score.error()
    explained = ", ".join(f"{share:.3f}" for share in error.explained)
    origin = (
        f"least squares over {sums.latents} latents of {told}; "
        f"R² of red, green, blue on {error.latents} others: {explained}"
    )
    return replace(fitted, error=round(error.mean_levels, 2), origin=origin)


def _rounded(values: Tensor) -> tuple[float, float, float]:
    red, green, blue = (round(float(value), DIGITS) for value in values)
    return red, green, blue


def sources(
    model: Mochi,
    entry: ModelEntry,
    *,
    count: int,
    seed: int,
    drawn: bool = False,
    videos: Sequence[Path] = (),
) -> list[Clip]:
    """count clips; every second one a true clip where there are any, the others renders.

    True clips are the videos, or drawn ones like those that the bundled model learnt from.
    """
    rng = random.Random(seed)
    clips: list[Clip] = []
    for index in range(count):
        scene = grammar.draw(rng, pairs=0.0)
        prompt = scene.caption() if drawn else entry.examples[index % len(entry.examples)]
        spec = entry.usual(prompt, seed=seed + index)
        # Of both kinds some are among those held out.
        is_render = (index + index // HELD_OUT) % 2 == 1
        if is_render or not (drawn or videos):
            clips.append(partial(_render, model, spec))
        elif drawn:
            clips.append(partial(_encode, model, partial(_draw, scene, spec)))
        else:
            path = videos[index // 2 % len(videos)]
            clips.append(partial(_encode, model, partial(read_video, path, spec)))
    return clips


def _render(model: Mochi, spec: RenderSpec) -> Iterator[Pair]:
    """Some of the states of a render, as its previews show them."""
    shown = {max(1, round(share * spec.steps)) for share in PREVIEWED}
    state = model.begin(spec)
    while state.step < state.steps:
        state = model.step(state)
        if state.step in shown:
            latents = model.expected(state)
            yield latents, pixels.decode(model.vae, latents)


def _encode(model: Mochi, make: Callable[[], NDArray[np.uint8]]) -> Iterator[Pair]:
    latents = pixels.encode(model.vae, torch.from_numpy(make()).to(model.device))
    yield latents, pixels.decode(model.vae, latents)


def _draw(scene: grammar.Scene, spec: RenderSpec) -> NDArray[np.uint8]:
    return drawing.render(
        scene, seed=spec.seed, frames=spec.frames, width=spec.width, height=spec.height
    )


def _image(frame: av.VideoFrame) -> Image.Image:
    return Image.fromarray(frame.to_ndarray(format="rgb24"))


def read_video(path: Path, spec: RenderSpec) -> NDArray[np.uint8]:
    """The first frames of a video in the spec's size, (frames, H, W, 3): scaled, edges cut off.

    Raises ValueError when there are not enough of them, and what PyAV raises.
    """
    size = (spec.width, spec.height)
    with av.open(str(path)) as container:
        frames = [
            np.asarray(ImageOps.fit(_image(frame), size, Image.Resampling.BOX))
            for frame in islice(container.decode(video=0), spec.frames)
        ]
    if len(frames) < spec.frames:
        raise ValueError(f"{path.name} has {len(frames)} frames; {spec.frames} are needed")
    return np.stack(frames)
