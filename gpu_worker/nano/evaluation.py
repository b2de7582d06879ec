"""How well the bundled model does what prompts say, judged by pixel analysis of decoded clips.

Through the worker's own model, on (colour, shape, motion) triples that training never showed. The
VAE alone, on true clips, is the ceiling: what it loses no transformer brings back.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gpu_worker.engine import Model
from gpu_worker.nano import clips, grammar
from gpu_worker.nano.adherence import agrees, analyse
from gpu_worker.nano.grammar import Scene
from gpu_worker.nano.vae_training import to_tensor
from jobs.spec import RenderSpec

QUESTIONS = ("colour", "shape", "motion", "speed", "background")
GOALS = {"colour": 0.98, "motion": 0.97, "shape": 0.92}  # shares of the unseen prompts
SEED = 1000  # of the first clip; the following ones count up

Pixels = NDArray[np.uint8]


@dataclass(slots=True)
class Score:
    """How many clips of one kind answer each question rightly."""

    name: str
    clips: int = 0
    right: Counter[str] = field(default_factory=Counter)
    by_motion: dict[str, list[int]] = field(default_factory=dict)
    by_shape: dict[str, list[int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)  # captions, for whoever looks for the reason

    def share(self, question: str) -> float:
        return self.right[question] / max(self.clips, 1)

    def add(self, scene: Scene, clip: Pixels) -> None:
        answers = agrees(scene, analyse(clip, things=len(scene.things)))
        self.clips += 1
        self.right.update(question for question in QUESTIONS if answers[question])
        self.right["all"] += all(answers.values())
        for thing in scene.things:
            _count(self.by_motion, thing.motion, right=answers["motion"])
            _count(self.by_shape, thing.shape, right=answers["shape"])
        if not all(answers.values()):
            missed = ", ".join(question for question in QUESTIONS if not answers[question])
            self.wrong.append(f"{scene.caption()}: {missed}")

    def row(self) -> str:
        shares = "  ".join(f"{self.share(question):10.1%}" for question in (*QUESTIONS, "all"))
        return f"{self.name:34s} {self.clips:5d}  {shares}"


def _count(table: dict[str, list[int]], key: str, *, right: bool) -> None:
    entry = table.setdefault(key, [0, 0])
    entry[0] += right
    entry[1] += 1


HEAD = f"{'':34s} clips  " + "  ".join(f"{question:>10s}" for question in (*QUESTIONS, "all"))


def score(
    name: str,
    scenes: Iterable[Scene],
    make: Callable[[Scene, int], Pixels],
    *,
    tick: Callable[[], object] = lambda: None,
) -> Score:
    """make gives the clip (T, H, W, 3) of a scene and a seed; tick is called after each."""
    result = Score(name)
    for number, scene in enumerate(scenes):
        result.add(scene, make(scene, SEED + number))
        tick()
    return result


def rendered(
    model: Model[Any], spec: RenderSpec, *, words: Callable[[Scene], str] = Scene.caption
) -> Callable[[Scene, int], Pixels]:
    """Clips by the model: the spec with the scene's words and the seed."""

    def make(scene: Scene, seed: int) -> Pixels:
        return render(model, RenderSpec(**spec.as_dict() | {"prompt": words(scene), "seed": seed}))

    return make


def render(model: Model[Any], spec: RenderSpec) -> Pixels:
    """The clip (T, H, W, 3) of a spec."""
    state = model.begin(spec)
    while state.step < state.steps:
        state = model.step(state)
    return np.stack(list(model.decode(state)))


def reconstructed(vae: Any, spec: RenderSpec) -> Callable[[Scene, int], Pixels]:
    """True clips through the VAE and back: the ceiling."""

    @torch.no_grad()
    def make(scene: Scene, seed: int) -> Pixels:
        clean = to_tensor(true_clips(spec)(scene, seed)[None])
        made = vae.decode(vae.encode(clean).latent_dist.mode(), return_dict=False)[0][0]
        levels = (made * 0.5 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
        pixels: Pixels = levels.permute(1, 2, 3, 0).numpy()
        return pixels

    return make


def true_clips(spec: RenderSpec) -> Callable[[Scene, int], Pixels]:
    """What the analysis must be right about in every answer."""

    def make(scene: Scene, seed: int) -> Pixels:
        return clips.render(
            scene, seed=seed, frames=spec.frames, width=spec.width, height=spec.height
        )

    return make


def table(scores: Sequence[Score]) -> str:
    """For people: a row for each score, then the first one by motion and shape."""
    lines = [HEAD, *(each.row() for each in scores), ""]
    first = scores[0]
    for title, parts in (("motion", first.by_motion), ("shape", first.by_shape)):
        told = ", ".join(f"{name} {right}/{all_}" for name, (right, all_) in sorted(parts.items()))
        lines.append(f"{first.name}, {title}: {told}")
    for question, goal in GOALS.items():
        reached = first.share(question)
        verdict = "reached" if reached >= goal else "MISSED"
        lines.append(f"goal {question} ≥ {goal:.0%}: {reached:.1%}, {verdict}")
    return "\n".join(lines)


def as_json(scores: Sequence[Score]) -> str:
    return json.dumps(
        [
            {
                "name": each.name,
                "clips": each.clips,
                "shares": {name: round(each.share(name), 4) for name in (*QUESTIONS, "all")},
                "by_motion": each.by_motion,
                "by_shape": each.by_shape,
                "wrong": each.wrong,
            }
            for each in scores
        ],
        indent=1,
    )


# What the page offers to try (deploy/models.toml); tests hold the two together.
EXAMPLES = (
    grammar.one("red", "circle", "right", "black"),
    grammar.one("yellow", "star", "up-left", "navy", size="large"),
    grammar.one("green", "triangle", "bounce", "gray"),
    grammar.one("cyan", "circle", "down", "navy", size="small", speed="fast"),
)
SHEET_PROMPTS = (
    "a red circle moving right on a black background",
    "a large yellow star moving up and left on a navy background",
    "a green triangle bouncing on a gray background",
    "a white square growing on a brown background",
    "an orange star moving in a circle on a black background",
    "a small cyan circle moving down quickly on a navy background",
    "a purple square moving left slowly on a gray background",
    "a blue triangle shrinking on a brown background",
    "a red star moving down and right slowly on a gray background",
    "a large blue circle standing still on a black background",
)
SHEET_FRAMES = 7
TILE = 96  # pixels a side on the sheet


def contact_sheet(model: Model[Any], spec: RenderSpec, path: Path) -> None:
    """A PNG: two columns of prompts, each with SHEET_FRAMES frames of its first seed's clip."""
    row_height, column = TILE + 26, SHEET_FRAMES * (TILE + 2) + 16
    rows = (len(SHEET_PROMPTS) + 1) // 2
    sheet = Image.new("RGB", (2 * column - 16, rows * row_height), (250, 250, 250))
    draw = ImageDraw.Draw(sheet)
    for number, prompt in enumerate(SHEET_PROMPTS):
        clip = render(model, RenderSpec(**spec.as_dict() | {"prompt": prompt, "seed": SEED}))
        left, top = number % 2 * column, number // 2 * row_height
        draw.text((left + 2, top + 4), prompt, fill=(30, 30, 30), font_size=13)
        for place in range(SHEET_FRAMES):
            frame = clip[round(place * (len(clip) - 1) / (SHEET_FRAMES - 1))]
            tile = Image.fromarray(frame).resize((TILE, TILE), Image.Resampling.BICUBIC)
            sheet.paste(tile, (left + place * (TILE + 2), top + 24))
    sheet.save(path, optimize=True)


def default_scores(
    model: Model[Any],
    vae: Any,
    spec: RenderSpec,
    *,
    prompts: int,
    tick: Callable[[], object] = lambda: None,
) -> list[Score]:
    """Unseen prompts as taught, the same ones freely worded, two things, the ceiling, the truth."""
    rng = random.Random(5)

    def freely(scene: Scene) -> str:
        return grammar.paraphrase(scene, rng)

    unseen = grammar.unseen(prompts, seed=99)
    pairs = grammar.unseen_pairs(prompts // 4, seed=98)
    half = unseen[: prompts // 2]
    return [
        score("unseen", unseen, rendered(model, spec), tick=tick),
        score("unseen, freely worded", half, rendered(model, spec, words=freely), tick=tick),
        score("two things", pairs, rendered(model, spec), tick=tick),
        score("VAE alone (ceiling), unseen", unseen, reconstructed(vae, spec), tick=tick),
        score("VAE alone (ceiling), two things", pairs, reconstructed(vae, spec), tick=tick),
        score("true clips, unseen", unseen, true_clips(spec), tick=tick),
        score("true clips, two things", pairs, true_clips(spec), tick=tick),
    ]
