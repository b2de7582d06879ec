"""The model shows what the prompt says, told from the pixels alone."""

import random
from dataclasses import replace

import numpy as np
import pytest

from gpu_worker.mochi import Mochi
from gpu_worker.nano.adherence import Seen, analyse
from gpu_worker.nano.grammar import MOTIONS, SHAPES, Scene, all_scenes, render
from jobs.catalog import ModelEntry
from jobs.spec import RenderSpec


def shown(model: Mochi, spec: RenderSpec) -> Seen:
    state = model.begin(spec)
    while state.step < state.steps:
        state = model.step(state)
    return analyse(np.stack(list(model.decode(state))))


def test_the_analysis_is_right_about_true_clips() -> None:
    scenes = random.Random(5).sample(list(all_scenes()), 24)
    assert {scene.motion for scene in scenes} == MOTIONS.keys()
    assert {scene.shape for scene in scenes} == set(SHAPES)
    wrong = []
    for seed, scene in enumerate(scenes):
        seen = analyse(render(scene, seed=seed, frames=25, side=64))
        if (seen.background, seen.colour, seen.motion, seen.shape) != (
            scene.background,
            scene.colour,
            scene.motion,
            scene.shape,
        ):
            wrong.append((scene, seen))
    assert wrong == []


def test_an_empty_clip_shows_no_shape() -> None:
    seen = analyse(np.full((13, 64, 64, 3), (92, 58, 34), np.uint8))
    assert seen == Seen(background="brown", colour=None, motion=None, shape=None)


def test_noise_shows_no_motion_that_was_asked_for() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (25, 64, 64, 3), dtype=np.uint8)
    assert analyse(noise).motion in {"still", None}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_red_circle_moving_right_is_one(seed: int, nano: Mochi, whole: RenderSpec) -> None:
    seen = shown(nano, replace(whole, prompt="a red circle moving right", seed=seed))
    assert (seen.colour, seen.shape, seen.motion) == ("red", "circle", "right")


@pytest.mark.parametrize(
    "scene",
    [
        Scene(colour="blue", shape="triangle", motion="down", background="black"),
        Scene(colour="yellow", shape="square", motion="left", background="navy"),
        Scene(colour="purple", shape="triangle", motion="up", background="black", size="large"),
        Scene(colour="green", shape="circle", motion="shrinking", background="gray"),
        Scene(colour="white", shape="square", motion="growing", background="brown"),
        Scene(colour="orange", shape="circle", motion="orbit", background="black"),
        Scene(colour="cyan", shape="square", motion="still", background="brown", size="large"),
    ],
    ids=Scene.caption,
)
def test_a_prompt_is_followed(scene: Scene, nano: Mochi, whole: RenderSpec) -> None:
    seen = shown(nano, replace(whole, prompt=scene.caption()))
    assert (seen.background, seen.colour, seen.motion) == (
        scene.background,
        scene.colour,
        scene.motion,
    )


def test_every_offered_size_and_length_follows_the_prompt(
    nano: Mochi, entry: ModelEntry, whole: RenderSpec
) -> None:
    sizes = [{"width": width, "height": height} for width, height in entry.limits.sizes]
    lengths = [{"frames": frames} for frames in entry.limits.frames if frames != whole.frames]
    prompt = "a green square moving left on a navy background"
    for change in sizes[1:] + lengths:
        seen = shown(nano, RenderSpec.from_dict(whole.as_dict() | change | {"prompt": prompt}))
        assert (seen.background, seen.colour, seen.motion) == ("navy", "green", "left")
