"""A worker loads the weights that the models file names, and nothing that could run."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gpu_worker import registry
from gpu_worker.engine import RenderError
from gpu_worker.registry import check_folder, folder_digest, load_model
from gpu_worker.residency import Residency
from jobs.catalog import ModelEntry


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "weights"))


def refusal(entry: ModelEntry, folder: Path) -> RenderError:
    with pytest.raises(RenderError) as caught:
        check_folder(entry, folder)
    assert not caught.value.permanent
    return caught.value


def test_the_bundled_weights_are_the_ones_the_models_file_names(
    entry: ModelEntry, folder: Path
) -> None:
    check_folder(entry, folder)


def test_a_changed_byte_is_refused(entry: ModelEntry, copied: Path) -> None:
    weights = copied / "vae" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert refusal(entry, copied).code == "model_digest_mismatch"


def test_a_model_without_a_digest_is_refused(entry: ModelEntry, folder: Path) -> None:
    assert refusal(replace(entry, digest=""), folder).code == "model_digest_mismatch"


def test_a_moved_boundary_between_two_files_changes_the_digest(tmp_path: Path) -> None:
    digests = set()
    for name, (first, second) in {"one": (b"ab", b"c"), "two": (b"a", b"bc")}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.json").write_bytes(first)
        (tmp_path / name / "b.json").write_bytes(second)
        digests.add(folder_digest(tmp_path / name))
    assert len(digests) == 2


def test_words_beside_the_weights_do_not_change_the_digest(entry: ModelEntry, copied: Path) -> None:
    (copied / "README.md").write_text("a card")
    check_folder(entry, copied)


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.pkl", "code.py", ".hidden", "x"])
def test_a_file_that_may_carry_code_is_refused(name: str, entry: ModelEntry, copied: Path) -> None:
    (copied / "vae" / name).write_bytes(b"")
    error = refusal(entry, copied)
    assert error.code == "model_unsafe_file"
    assert name in str(error)
    assert str(copied) not in str(error)


def test_a_missing_model_may_be_on_another_worker(entry: ModelEntry, tmp_path: Path) -> None:
    assert refusal(entry, tmp_path / "nothing").code == "model_missing"


def test_an_unknown_family_is_refused(entry: ModelEntry, tmp_path: Path) -> None:
    with pytest.raises(RenderError) as caught:
        load_model(replace(entry, family="sora"), tmp_path)
    assert caught.value.code == "model_unknown_family"


def test_weights_that_cannot_be_read_are_an_error_with_a_code(
    entry: ModelEntry, copied: Path
) -> None:
    (copied / "vae" / "config.json").write_text("{")
    broken = replace(entry, source=str(copied), digest=folder_digest(copied))
    with pytest.raises(RenderError) as caught:
        load_model(broken, copied)
    assert caught.value.code == "model_unreadable"
    assert not caught.value.permanent


def test_a_model_stays_loaded_until_another_one_is_needed(entry: ModelEntry, folder: Path) -> None:
    residency = Residency(folder.parents[2], threads=1)
    first = residency.get(entry)
    assert residency.get(entry) is first
    other = replace(entry, name="other")
    second = residency.get(other)
    assert second is not first
    assert residency.get(other) is second
    assert residency.get(entry) is not first


def test_a_model_that_cannot_be_loaded_leaves_none_behind(entry: ModelEntry, folder: Path) -> None:
    residency = Residency(folder.parents[2], threads=1)
    first = residency.get(entry)
    with pytest.raises(RenderError):
        residency.get(replace(entry, source="nowhere"))
    assert residency.get(entry) is not first


def test_the_registry_names_a_module_for_each_family() -> None:
    assert all(
        (Path(registry.__file__).parents[1] / f"{module.replace('.', '/')}.py").is_file()
        for module in registry.FAMILIES.values()
    )
