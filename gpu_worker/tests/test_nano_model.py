"""The bundled model shows what the prompt says, told from the pixels alone."""

from dataclasses import replace

import pytest

from gpu_worker.mochi import Mochi
from gpu_worker.nano import evaluation, grammar
from gpu_worker.nano.adherence import agrees, analyse
from jobs.catalog import ModelEntry
from jobs.spec import RenderSpec

GUARDED = 26  # prompts: two for each motion


def test_prompts_never_seen_in_training_are_followed(nano: Mochi, whole: RenderSpec) -> None:
    """A small part of `manage.py nano evaluate`, so that a change cannot spoil the clips unseen."""
    result = evaluation.score(
        "unseen", grammar.unseen(GUARDED, seed=99), evaluation.rendered(nano, whole)
    )
    shares = {question: result.share(question) for question in evaluation.GOALS}
    for question, goal in evaluation.GOALS.items():
        assert shares[question] >= goal - 2 / GUARDED, (shares, result.wrong)


@pytest.mark.parametrize(
    "prompt",
    [
        "a red circle moving right",
        "A RED CIRCLE moving right.",
        "red ball going right",
        "please draw a nice red disc that is moving to the right",
    ],
)
def test_free_wording_means_the_same(prompt: str, nano: Mochi, whole: RenderSpec) -> None:
    seen = analyse(evaluation.render(nano, replace(whole, prompt=prompt))).things[0]
    assert (seen.colour, seen.shape, seen.motion) == ("red", "circle", "right")


def test_every_offered_size_and_length_follows_the_prompt(
    nano: Mochi, entry: ModelEntry, whole: RenderSpec
) -> None:
    sizes = [{"width": width, "height": height} for width, height in entry.limits.sizes]
    lengths = [{"frames": frames} for frames in entry.limits.frames if frames != whole.frames]
    scene = grammar.one("green", "square", "left", "navy")
    for change in sizes[1:] + lengths:
        spec = RenderSpec(**whole.as_dict() | change | {"prompt": scene.caption()})
        answers = agrees(scene, analyse(evaluation.render(nano, spec)))
        assert answers["background"], change
        assert answers["colour"], change
        assert answers["motion"], change


def test_every_example_of_the_page_is_shown(
    nano: Mochi, entry: ModelEntry, whole: RenderSpec
) -> None:
    said = {scene.caption(): scene for scene in evaluation.EXAMPLES}
    assert set(entry.examples) == said.keys()
    result = evaluation.score("examples", said.values(), evaluation.rendered(nano, whole))
    assert result.right["colour"] == result.right["motion"] == len(said), result.wrong
