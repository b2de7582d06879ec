"""What the bundled model is taught: true clips, true captions, and nothing that is held out."""

import random
from collections import Counter

import numpy as np
import pytest

from gpu_worker.nano import architecture, clips, grammar
from gpu_worker.nano.adherence import NOTHING, Reading, agrees, analyse
from gpu_worker.nano.grammar import MOTIONS, SHAPES, Scene

SHAPES_OF_CLIPS = [(64, 64, 25), (96, 64, 25), (64, 96, 25), (64, 64, 49)]


def wrong(scenes: list[Scene], width: int, height: int, frames: int) -> list[tuple[str, Reading]]:
    found = []
    for seed, scene in enumerate(scenes):
        clip = clips.render(scene, seed=seed, frames=frames, width=width, height=height)
        reading = analyse(clip, things=len(scene.things))
        if not all(agrees(scene, reading).values()):
            found.append((scene.caption(), reading))
    return found


@pytest.mark.parametrize(("width", "height", "frames"), SHAPES_OF_CLIPS)
def test_the_analysis_is_right_about_true_clips(width: int, height: int, frames: int) -> None:
    scenes = grammar.unseen(39, seed=5)
    assert {scene.things[0].motion for scene in scenes} == MOTIONS.keys()
    assert {scene.things[0].shape for scene in scenes} == set(SHAPES)
    assert wrong(scenes, width, height, frames) == []


@pytest.mark.parametrize(("width", "height", "frames"), SHAPES_OF_CLIPS)
def test_the_analysis_tells_two_things_apart(width: int, height: int, frames: int) -> None:
    assert wrong(grammar.unseen_pairs(20, seed=6), width, height, frames) == []


def test_the_analysis_sees_each_word_that_is_not_so() -> None:
    true = grammar.one("red", "star", "right", "navy", speed="slow")
    reading = analyse(clips.render(true, seed=1, frames=25, width=64, height=64))
    for question, other in {
        "colour": grammar.one("blue", "star", "right", "navy", speed="slow"),
        "shape": grammar.one("red", "circle", "right", "navy", speed="slow"),
        "motion": grammar.one("red", "star", "up-right", "navy", speed="slow"),
        "speed": grammar.one("red", "star", "right", "navy", speed="fast"),
        "background": grammar.one("red", "star", "right", "brown", speed="slow"),
    }.items():
        answers = agrees(other, reading)
        assert [name for name, right in answers.items() if not right] == [question]


def test_two_things_with_their_words_exchanged_are_wrong() -> None:
    first, second = (
        grammar.one(*words).things[0]
        for words in (("red", "star", "right"), ("white", "circle", "still"))
    )
    scene = Scene(things=(first, second), background="black")
    reading = analyse(clips.render(scene, seed=1, frames=25, width=64, height=64), things=2)
    assert all(agrees(scene, reading).values())
    exchanged = Scene(
        things=tuple(
            grammar.one(*words).things[0]
            for words in (("red", "circle", "right"), ("white", "star", "still"))
        ),
        background="black",
    )
    assert not agrees(exchanged, reading)["shape"]


def test_an_empty_clip_shows_nothing() -> None:
    reading = analyse(np.full((13, 64, 64, 3), (92, 58, 34), np.uint8))
    assert reading == Reading(background="brown", things=(NOTHING,))
    assert analyse(np.full((13, 64, 64, 3), 12, np.uint8), things=2).things == (NOTHING, NOTHING)


def test_noise_shows_no_motion_that_was_asked_for() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (25, 64, 64, 3), dtype=np.uint8)
    assert analyse(noise).things[0].motion in {"still", None}


def test_nothing_that_is_held_out_is_ever_drawn() -> None:
    held = grammar.held_out()
    assert len(held) == 42
    rng = random.Random(3)
    drawn = [thing.triple for _ in range(3000) for thing in grammar.draw(rng).things]
    assert not held & set(drawn)
    assert {scene.things[0].triple for scene in grammar.unseen(200, seed=1)} <= held


def test_what_is_drawn_covers_the_grammar() -> None:
    rng = random.Random(4)
    scenes = [grammar.draw(rng) for _ in range(2000)]
    motions = Counter(thing.motion for scene in scenes for thing in scene.things)
    assert motions.keys() == MOTIONS.keys()
    two = sum(len(scene.things) == 2 for scene in scenes)
    assert 400 < two < 650  # a pair is drawn again twice as often: neither may be held out
    assert all(
        len({thing.colour for thing in scene.things}) == len(scene.things) for scene in scenes
    )


def test_every_word_of_every_caption_is_one_token() -> None:
    tokenizer = architecture.make_tokenizer()
    rng = random.Random(5)
    for _ in range(400):
        scene = grammar.draw(rng)
        for caption in (scene.caption(), grammar.paraphrase(scene, rng)):
            words = caption.replace(",", " ,").replace(".", " .").split()
            tokens = tokenizer(caption).input_ids
            assert tokenizer.unk_token_id not in tokens
            assert len(tokens) == len(words) + 1 <= architecture.MAX_TOKENS


def test_case_and_unknown_words_do_not_lose_the_known_ones() -> None:
    tokenizer = architecture.make_tokenizer()
    plain = tokenizer("a red circle moving right").input_ids
    assert tokenizer("A RED Circle  moving right".replace("  ", " ")).input_ids == plain
    strange = tokenizer("a red xylophone circle moving right 🎈").input_ids
    assert set(plain) <= set(strange)


def test_a_part_of_a_clip_is_cut_from_it() -> None:
    scene = grammar.one("green", "square", "bounce", "gray")
    whole, part = (
        clips.render(scene, seed=9, frames=25, width=64, height=64, part=part)
        for part in (slice(None), slice(5, 18))
    )
    assert np.array_equal(part, whole[5:18])
