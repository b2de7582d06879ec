"""The models file says everything about a model, and nonsense in it is told where it stands."""

from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import LazySettings, settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from jobs import catalog, offer
from jobs.catalog import Memory, ModelFile, format_files, parse_files

TEXT = (Path(settings.BASE_DIR) / "deploy" / "models.toml").read_text(encoding="utf-8")
HASH = "0" * 64


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ('title = "Nano Mochi"', 'titel = "Nano Mochi"', "unknown key titel"),
        ('title = "Nano Mochi"', "", "'title'"),
        ("min_steps = 4\n", "min_steps = 4\nmost = 5\n", "limits: unknown key most"),
        ("steps = 32\n", "", "defaults: missing 1 required keyword-only argument: 'steps'"),
        ("14be5fcea23095ed330cb214647916a451e38b6e", "14be5fc", "a branch may move"),
        ("14be5fcea23095ed330cb214647916a451e38b6e", "main", "a branch may move"),
        ("genmo/mochi-1-preview", "mochi-1-preview", "is not owner/name"),
        ('source = "gpu_worker/nano/weights"', "", "neither a source nor a hub"),
        ("bias = [-0.0940, ", "bias = [", "12 rows of 3"),
        ("  [-0.0069, -0.0045, 0.0018],\n", "", "12 rows of 3"),
        ("408 model_index.json", "x model_index.json", "is 'x', not a number of bytes"),
    ],
)
def test_nonsense_in_the_models_file_is_told_where_it_stands(
    good: str, bad: str, said: str
) -> None:
    assert good in TEXT
    with pytest.raises(ValueError, match=r"^\[(nano|mochi-1)\] ") as caught:
        catalog.parse(TEXT.replace(good, bad))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "abc 1 a.json",
        f"{HASH.upper().replace('0', 'A')} 1 a.json",
        f"{HASH} -1 a.json",
        f"{HASH} a.json",
        f"{HASH} 1 a.json b.json",
        f"{HASH} 1 ../a.json",
        f"{HASH} 1 vae/../../a.json",
        f"{HASH} 1 /etc/a.json",
        f"{HASH} 1 vae//a.json",
        f"{HASH} 1 ./a.json",
        f"{HASH} 1 C:a.json",
        f"{HASH} 1 vae\\a.json",
        f"{HASH} 1 a.json < ../b.json",
        f"{HASH} 1 a.json\n{HASH} 1 a.json",
        f"{HASH} 1 a.json\n{HASH} 1 A.json",
    ],
)
def test_a_manifest_with_a_bad_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"json|bytes|stands twice"):
        parse_files(line)


def test_a_manifest_reads_back_as_it_was_written() -> None:
    files = (
        ModelFile(path="a.json", size=1, sha256=HASH, hub_path="a.json"),
        ModelFile(path="b.safetensors", size=2, sha256="", hub_path="b.bf16.safetensors"),
    )
    assert parse_files(format_files(files)) == files


def test_the_digest_changes_with_every_file_and_is_empty_until_all_are_known() -> None:
    nano = catalog.parse(TEXT)["nano"]
    first, second, *others = nano.files
    assert nano.locked
    assert nano.digest == replace(nano, files=(second, first, *others)).digest
    changed = [
        replace(first, sha256=HASH),
        replace(first, size=first.size + 1),
        replace(first, path="x.json"),
    ]
    digests = {replace(nano, files=(file, second, *others)).digest for file in changed}
    assert len({nano.digest, *digests}) == 4
    assert replace(nano, files=(replace(first, sha256=""), second, *others)).digest == ""
    assert replace(nano, files=()).digest == ""


def test_memory_is_the_weights_and_the_larger_half_of_the_render() -> None:
    memory = Memory(
        weights_gib=28.0,
        text_encoder_gib=9.0,
        gib_per_thousand_tokens=0.2,
        gib_per_megapixel=1.0,
        measured="for this test",
    )
    assert memory.denoise_gib(848, 480, 163) == pytest.approx(0.2 * 44.52)  # 28·30·53 tokens
    assert memory.decode_gib(848, 480, 163) == pytest.approx(66.34752)
    assert memory.peak_gib(848, 480, 163) == pytest.approx(28.0 + 66.34752)
    small = replace(memory, gib_per_megapixel=0.0)
    assert small.peak_gib(848, 480, 163) == pytest.approx(28.0 + 0.2 * 44.52)


def test_mochi_1_is_known_and_not_on_offer_until_an_operator_says_so(
    settings: LazySettings, tmp_path: Path
) -> None:
    settings.T2V_MODELS_DIR = tmp_path
    assert list(offer.models()) == ["nano"]
    assert list(offer.known()) == ["nano", "mochi-1"]
    assert offer.known()["mochi-1"].source == str(tmp_path / "mochi-1")
    settings.T2V_MODELS = ["mochi-1", "nano"]
    assert list(offer.models()) == ["mochi-1", "nano"]
    usual = offer.models()["mochi-1"]
    spec = offer.make_spec(
        model=None, prompt="a kite", size=None, frames=None, steps=None, guidance=None, seed=1
    )
    assert (spec.model, spec.fps, spec.frames) == ("mochi-1", 30, usual.defaults.frames)


def test_an_offer_of_a_model_that_nobody_described_stops_the_start(settings: LazySettings) -> None:
    settings.T2V_MODELS = ["nano", "sora"]
    with pytest.raises(ImproperlyConfigured, match="T2V_MODELS names sora"):
        offer.models()
    with pytest.raises(SystemCheckError, match="T2V_MODELS names sora"):
        call_command("check")


def test_every_size_and_length_of_mochi_fits_its_tokens() -> None:
    for entry in catalog.parse(TEXT).values():
        assert all(side % 16 == 0 for size in entry.limits.sizes for side in size)
        assert all(frames % 6 == 1 for frames in entry.limits.frames)
        usual = entry.defaults
        assert (usual.width, usual.height) in entry.limits.sizes
        assert usual.frames in entry.limits.frames
