"""What is kept in memory, what leaves, and what is refused before the device is touched."""

from dataclasses import replace
from pathlib import Path

import pytest

from gpu_worker.engine import RenderError
from gpu_worker.residency import Residency
from jobs.catalog import Memory, ModelEntry
from jobs.spec import RenderSpec

GIVEN = Memory(
    weights_gib=10.0,
    text_encoder_gib=3.0,
    gib_per_thousand_tokens=5.0,
    gib_per_megapixel=2.0,
    measured="made up for these tests",
)


@pytest.fixture
def sized(entry: ModelEntry) -> ModelEntry:
    return replace(entry, memory=GIVEN)


def residency(folder: Path, room: float) -> Residency:
    return Residency(folder.parents[2], threads=1, room_gib=lambda: room)


def test_a_model_stays_loaded_while_there_is_room(sized: ModelEntry, folder: Path) -> None:
    kept = residency(folder, room=25.0)
    first = kept.get(sized)
    other = replace(sized, name="other")
    second = kept.get(other)
    assert kept.get(sized) is first
    assert kept.get(other) is second


def test_the_model_used_longest_ago_leaves_first(sized: ModelEntry, folder: Path) -> None:
    kept = residency(folder, room=25.0)
    entries = [replace(sized, name=name) for name in ("first", "second", "third")]
    first, second = (kept.get(entry) for entry in entries[:2])
    assert kept.get(entries[0]) is first
    kept.get(entries[2])
    assert kept.get(entries[0]) is first
    assert kept.get(entries[1]) is not second


def test_a_render_that_needs_the_room_evicts_the_others(
    sized: ModelEntry, folder: Path, spec: RenderSpec
) -> None:
    kept = residency(folder, room=25.0)
    other = replace(sized, name="other")
    model, before = kept.get(sized), kept.get(other)
    large = replace(spec, width=256, height=256, frames=25)  # 1,280 tokens: 6.4 GiB
    assert kept.get(sized, large) is model
    assert kept.get(other) is not before


def test_a_clip_that_no_measure_makes_fit_is_refused_before_anything_is_loaded(
    sized: ModelEntry, folder: Path, spec: RenderSpec
) -> None:
    kept = residency(folder, room=8.0)
    nowhere = replace(sized, source="nowhere")  # loading it would say model_missing
    with pytest.raises(RenderError) as caught:
        kept.get(nowhere, replace(spec, width=256, height=256, frames=25))
    assert (caught.value.code, caught.value.permanent) == ("clip_too_large", False)
    assert "13.4 GiB" in str(caught.value)


def test_a_model_that_says_nothing_of_memory_is_kept_alone(entry: ModelEntry, folder: Path) -> None:
    kept = residency(folder, room=1000.0)
    unknown = replace(entry, memory=None)
    first = kept.get(unknown)
    assert kept.get(unknown) is first
    other = replace(unknown, name="other")
    second = kept.get(other)
    assert kept.get(other) is second
    assert kept.get(unknown) is not first


def test_a_model_that_cannot_be_loaded_leaves_none_behind(sized: ModelEntry, folder: Path) -> None:
    kept = residency(folder, room=12.0)
    first = kept.get(sized)
    with pytest.raises(RenderError):
        kept.get(replace(sized, source="nowhere"))
    assert kept.get(sized) is not first


def test_under_pressure_the_other_models_leave(sized: ModelEntry, folder: Path) -> None:
    kept = residency(folder, room=25.0)
    other = replace(sized, name="other")
    model, gone = kept.get(sized), kept.get(other)
    assert model.on_pressure is not None
    model.on_pressure()
    assert kept.get(sized) is model
    assert kept.get(other) is not gone
