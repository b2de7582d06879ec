"""The words that the page offers are those that the bundled model learnt."""

from gpu_worker.nano import grammar
from gpu_worker.nano.grammar import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, SIZES, SPEEDS
from jobs.catalog import ModelEntry


def test_the_page_offers_every_word_that_the_bundled_model_learnt_and_no_other(
    entry: ModelEntry,
) -> None:
    assert dict(entry.words) == {
        "size": tuple(size for size in SIZES if size),
        "colour": tuple(COLOURS),
        "shape": SHAPES,
        "motion": tuple(wordings[0] for wordings in MOTIONS.values()),
        "speed": tuple(wordings[0] for name, wordings in SPEEDS.items() if name),
        "background": tuple(f"on a {background} background" for background in BACKGROUNDS),
    }


def test_one_word_of_each_part_in_the_pages_order_is_a_caption_of_the_training(
    entry: ModelEntry,
) -> None:
    chosen = {part: words[-1] for part, words in entry.words} | {"motion": "moving right"}
    scene = grammar.one("white", "star", "right", "brown", size="large", speed="fast")
    assert f"a {' '.join(chosen.values())}" == scene.caption()
