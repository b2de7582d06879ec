"""What a render is, and what a model refuses."""

import math
from dataclasses import replace
from typing import Any

import pytest

from jobs.errors import BadSpec
from jobs.spec import MAX_SEED, Limits, RenderSpec, check

LIMITS = Limits(
    sizes=((64, 64), (96, 64)),
    frames=(7, 25),
    min_steps=4,
    max_steps=1000,
    min_guidance=1.0,
    max_guidance=10.0,
    max_prompt_chars=20,
)
GOOD = RenderSpec(
    model="nano",
    prompt="a red circle",
    width=64,
    height=64,
    frames=25,
    fps=12,
    steps=32,
    guidance=4.5,
    seed=7,
)


def test_a_good_spec_passes_unchanged() -> None:
    assert check(GOOD, LIMITS) is GOOD


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": "  "}, "prompt"),
        ({"prompt": "x" * 21}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"width": 72}, "size"),
        ({"height": 96}, "size"),
        ({"frames": 24}, "frames"),
        ({"steps": 3}, "steps"),
        ({"steps": 1001}, "steps"),
        ({"guidance": 0.5}, "guidance"),
        ({"guidance": math.nan}, "guidance"),
        ({"guidance": math.inf}, "guidance"),
        ({"seed": -1}, "seed"),
        ({"seed": MAX_SEED + 1}, "seed"),
        ({"quality": "fast"}, "quality"),
        ({"quality": ""}, "quality"),
    ],
)
def test_every_bad_value_is_named_at_its_own_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadSpec) as refusal:
        check(replace(GOOD, **change), LIMITS)
    assert list(refusal.value.fields) == [field]


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(BadSpec) as refusal:
        check(replace(GOOD, prompt="", steps=0, seed=-1), LIMITS)
    assert set(refusal.value.fields) == {"prompt", "steps", "seed"}


def test_the_digest_tells_specs_apart_and_survives_the_way_through_json() -> None:
    assert RenderSpec.from_dict(GOOD.as_dict()).digest() == GOOD.digest()
    digests = {replace(GOOD, seed=seed).digest() for seed in range(50)}
    assert len(digests) == 50


def test_a_quality_passes_where_the_model_offers_it_and_a_refusal_names_those_it_does() -> None:
    offered = replace(LIMITS, qualities=("exact", "fast"))
    fast = replace(GOOD, quality="fast")
    assert check(fast, offered) is fast
    with pytest.raises(BadSpec, match="offers exact, fast, not 'slow'"):
        check(replace(GOOD, quality="slow"), offered)


def test_a_fast_recipe_is_another_one_and_an_exact_one_keeps_its_old_digest() -> None:
    # Of the file before there were qualities, where 3414e1f computed it.
    old = {key: value for key, value in GOOD.as_dict().items() if key != "quality"}
    assert RenderSpec.from_dict(old) == GOOD
    assert GOOD.digest() == "226830e3c840c7c4c6e1beef05322bdc46d8a9e47e11b8bfa74912b1c3c25750"
    assert replace(GOOD, quality="fast").digest() != GOOD.digest()
