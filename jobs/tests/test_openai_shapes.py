"""The pure half of /v1/videos: names, lengths, fields of every kind of body."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs import catalog
from jobs.errors import BadFields, BadSpec, UnsupportedByModel
from jobs.openai_fields import CREATE, Asked, asked, model_name, rebuilt, refuse_unknown
from jobs.openai_shapes import (
    job_of,
    length_name,
    lengths,
    page,
    poll_after_ms,
    retry_headers,
    video_id,
)

FILE = Path(__file__).resolve().parents[2] / "deploy" / "models.toml"
MODELS = catalog.load(FILE)
NANO, MOCHI = MODELS["nano"], MODELS["mochi-1"]
# Beside other processes a moment of any example may be a long one.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_an_id_is_a_jobs_and_nothing_else_is_one() -> None:
    job = uuid4()
    assert job_of(video_id(job)) == job
    for other in ("", "video_", "video_x", str(job), video_id(job).upper(), video_id(job) + "0"):
        assert job_of(other) is None


def test_a_length_is_called_by_the_whole_seconds_that_it_fills() -> None:
    assert lengths(NANO.limits.frames, NANO.fps) == {
        "1": 19,
        "2": 25,
        "2.58": 31,
        "3": 37,
        "4": 49,
    }
    assert lengths(MOCHI.limits.frames, MOCHI.fps) == {
        "0.63": 19,
        "1": 31,
        "1.63": 49,
        "2": 85,
        "5": 163,
    }


@patient
@given(st.sets(st.integers(1, 400), min_size=1, max_size=12), st.sampled_from([8, 12, 16, 24, 30]))
def test_every_length_has_a_name_that_leads_back_to_it(frames: set[int], fps: int) -> None:
    made = lengths(sorted(frames), fps)
    assert sorted(made.values()) == sorted(frames)
    assert all(length_name(count, tuple(frames), fps) == name for name, count in made.items())


def read(fields: Mapping[str, Any], entry: catalog.ModelEntry = NANO) -> Asked:
    return asked({"prompt": "a red circle", **fields}, entry)


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [("1", 19), ("2", 25), ("4", 49), (4, 49), ("4.0", 49), ("2.58", 31), (2.58, 31), ("1.58", 19)],
)
def test_seconds_name_one_of_the_models_lengths(seconds: object, frames: int) -> None:
    assert read({"seconds": seconds}).frames == frames


@pytest.mark.parametrize(
    "seconds",
    ["8", "0", "-1", "1.5", "soon", "1e400", "nan", "inf", "9" * 5000, True, [1], {"a": 1}, "１"],
)
def test_other_seconds_are_refused_with_those_that_there_are(seconds: object) -> None:
    with pytest.raises(BadSpec) as refused:
        read({"seconds": seconds})
    assert list(refused.value.fields) == ["seconds"]
    assert "1, 2, 2.58, 3, 4 seconds" in refused.value.fields["seconds"]


def test_all_fields_of_extra_body_are_read_as_texts_and_as_numbers() -> None:
    texts = {
        "seed": "7",
        "steps": "8",
        "guidance_scale": "3.5",
        "fps": "12",
        "num_frames": "25",
        "priority": "-3",
        "size": "96x64",
        "negative_prompt": "",
    }
    numbers = {
        "seed": 7,
        "steps": 8,
        "guidance_scale": 3.5,
        "fps": 12,
        "num_frames": 25,
        "priority": -3,
        "size": "96X64",
        "negative_prompt": None,
    }
    wanted = Asked(
        prompt="a red circle",
        size=(96, 64),
        frames=25,
        steps=8,
        guidance=3.5,
        seed=7,
        priority=-3,
    )
    assert read(texts) == wanted == read(numbers)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", "big"),
        ("size", "64x"),
        ("size", "²x64"),
        ("seed", "many"),
        ("seed", True),
        ("seed", "9" * 30),
        ("seed", 10**30),
        ("steps", 1.5),
        ("steps", [8]),
        ("guidance_scale", "nan"),
        ("guidance_scale", float("inf")),
        ("guidance_scale", 10**400),
        ("guidance_scale", {}),
        ("fps", 30),
        ("num_frames", "x"),
        ("priority", 1),
        ("priority", -1000),
        ("prompt", 5),
        ("prompt", "\ud800"),
    ],
)
def test_nonsense_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    with pytest.raises(BadSpec) as refused:
        read({field: value})
    assert list(refused.value.fields) == [field]
    str(refused.value).encode()


def test_every_bad_field_is_named_at_once() -> None:
    with pytest.raises(BadSpec) as refused:
        read({"size": "big", "seconds": "8", "fps": 99, "steps": "x"})
    assert set(refused.value.fields) == {"size", "seconds", "fps", "steps"}


def test_seconds_and_frames_that_contradict_each_other_are_refused() -> None:
    assert read({"seconds": "2", "num_frames": 25}).frames == 25
    with pytest.raises(BadSpec, match="num_frames"):
        read({"seconds": "2", "num_frames": 31})


def test_a_negative_prompt_is_refused_where_the_model_reads_none() -> None:
    with pytest.raises(UnsupportedByModel) as refused:
        read({"negative_prompt": "blurry"})
    assert list(refused.value.fields) == ["negative_prompt"]


def test_unknown_fields_are_named() -> None:
    with pytest.raises(BadSpec) as refused:
        refuse_unknown({"prompt": "x", "n": 2, "quality": "hd"}, CREATE)
    assert set(refused.value.fields) == {"n", "quality"}


def test_bracketed_names_are_rebuilt_and_repeated_ones_are_one_or_refused() -> None:
    made = rebuilt(
        [
            ("prompt", ["a", "a"]),
            ("input_reference[image_url]", ["data:,"]),
            ("input_reference[file_id]", ["f"]),
            ("odd[", ["1"]),
            ("]odd", ["2"]),
            ("[odd]", ["3"]),
        ]
    )
    assert made["prompt"] == "a"
    assert made["input_reference"] == {"image_url": "data:,", "file_id": "f"}
    assert {"odd[", "]odd", "[odd]"} < set(made)
    for lists in (
        [("seed", ["1", "2"])],
        [("a", ["1"]), ("a[b]", ["2"])],
        [("a[b]", ["1"]), ("a", ["2"])],
    ):
        with pytest.raises(BadSpec):
            rebuilt(lists)


@patient
@given(st.lists(st.tuples(st.text(max_size=12), st.lists(st.text(max_size=3), max_size=3))))
def test_no_form_makes_it_stumble(lists: list[tuple[str, list[str]]]) -> None:
    try:
        fields = rebuilt(lists)
        refuse_unknown(fields, CREATE)
        model_name(fields)
        asked(fields, NANO)
    except BadFields:
        return


@patient
@given(
    st.dictionaries(
        st.sampled_from(sorted(CREATE)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(st.text(max_size=3), inner, max_size=2)
            ),
            max_leaves=4,
        ),
    )
)
def test_no_json_makes_it_stumble(fields: dict[str, Any]) -> None:
    try:
        model_name(fields)
        asked(fields, MOCHI)
    except BadFields as refused:
        str(refused).encode()


@pytest.mark.parametrize(
    ("eta", "wait"), [(None, 2000), (0.0, 1000), (41.5, 4150), (50.55, 5055), (1e6, 10_000)]
)
def test_when_to_look_again_is_a_whole_number_from_one_to_ten_seconds(
    eta: float | None, wait: int
) -> None:
    assert poll_after_ms(eta) == wait


def test_a_page_ends_with_its_last_id() -> None:
    one, two = {"id": "video_1"}, {"id": "video_2"}
    whole = page([one, two], has_more=True)
    assert (whole["first_id"], whole["last_id"], whole["has_more"]) == ("video_1", "video_2", True)
    assert page([], has_more=False)["last_id"] is None


def test_what_cannot_work_by_waiting_is_not_sent_again() -> None:
    never = {"x-should-retry": "false"}
    assert retry_headers(409, code="not_possible", retry_after=None) == never
    assert retry_headers(429, code="too_many_jobs", retry_after=30)["x-should-retry"] == "false"
    assert retry_headers(429, code="rate_limited", retry_after=2) == {
        "retry-after": "2",
        "retry-after-ms": "2000",
    }
    assert retry_headers(503, code="queue_full", retry_after=9)["retry-after"] == "9"
    assert retry_headers(400, code="bad_spec", retry_after=None) == {}
    assert retry_headers(404, code="not_found", retry_after=None) == {}


def test_a_models_inputs_are_read_and_nonsense_is_refused() -> None:
    assert NANO.inputs == MOCHI.inputs == ()
    text = FILE.read_text(encoding="utf-8").replace("[nano]\n", '[nano]\ninputs = ["smell"]\n', 1)
    with pytest.raises(ValueError, match="inputs"):
        catalog.parse(text)
    assert replace(NANO, inputs=("image",)).inputs == ("image",)


def test_an_id_in_another_shape_of_the_same_number_is_none() -> None:
    job = UUID(int=1)
    assert job_of(f"video_{job}") is None
