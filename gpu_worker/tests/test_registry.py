"""A worker loads the files that the models file names, and nothing that could run."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from gpu_worker import manifest, registry
from gpu_worker.engine import RenderError
from gpu_worker.manifest import check_folder, faults, folder_files
from gpu_worker.registry import load_model
from jobs.catalog import ModelEntry

VAE = "vae/diffusion_pytorch_model.safetensors"


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "weights"))


def refusal(entry: ModelEntry, folder: Path) -> RenderError:
    with pytest.raises(RenderError) as caught:
        check_folder(entry, folder)
    assert not caught.value.permanent
    return caught.value


def locked(entry: ModelEntry, folder: Path) -> ModelEntry:
    """The entry with the folder's files as they are now."""
    return replace(entry, source=str(folder), files=folder_files(folder))


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_the_bundled_weights_are_the_ones_the_models_file_names(
    entry: ModelEntry, folder: Path
) -> None:
    check_folder(entry, folder)


def test_a_changed_byte_is_refused_and_the_file_named(entry: ModelEntry, copied: Path) -> None:
    content = bytearray((copied / VAE).read_bytes())
    content[-1] ^= 1
    (copied / VAE).write_bytes(content)
    error = refusal(entry, copied)
    assert error.code == "model_digest_mismatch"
    assert VAE in str(error)
    assert str(copied) not in str(error)


def test_a_cut_file_is_refused_without_being_read(entry: ModelEntry, copied: Path) -> None:
    (copied / VAE).write_bytes(b"")
    read: list[int] = []
    codes = [fault.code for fault in faults(entry, copied, progress=read.append)]
    assert codes == ["model_digest_mismatch"]
    assert sum(read) == entry.size - next(f.size for f in entry.files if f.path == VAE)


def test_a_missing_file_is_named(entry: ModelEntry, copied: Path) -> None:
    (copied / VAE).unlink()
    error = refusal(entry, copied)
    assert (error.code, VAE in str(error)) == ("model_incomplete", True)


def test_a_file_that_nobody_pinned_is_refused(entry: ModelEntry, copied: Path) -> None:
    shutil.copy(copied / VAE, copied / "vae" / "more.safetensors")
    error = refusal(entry, copied)
    assert (error.code, "vae/more.safetensors" in str(error)) == ("model_extra_file", True)


def test_every_fault_is_told(entry: ModelEntry, copied: Path) -> None:
    (copied / VAE).write_bytes(b"")
    (copied / "vae" / "config.json").unlink()
    (copied / "vae" / "more.json").write_text("{}")
    codes = [fault.code for fault in faults(entry, copied)]
    assert sorted(codes) == ["model_digest_mismatch", "model_extra_file", "model_incomplete"]


def test_a_model_without_hashes_is_refused_with_what_to_do(entry: ModelEntry, folder: Path) -> None:
    first, *others = entry.files
    for files in ((), (replace(first, sha256=""), *others)):
        error = refusal(replace(entry, files=files), folder)
        assert error.code == "model_not_locked"
        assert "manage.py models lock nano" in str(error)


def test_words_beside_the_weights_are_no_fault(entry: ModelEntry, copied: Path) -> None:
    (copied / "README.md").write_text("a card")
    check_folder(entry, copied)


@pytest.mark.parametrize(
    "name", ["model.bin", "model.pt", "model.pkl", "code.py", ".hidden", "x", "spiece.model"]
)
def test_a_file_that_may_carry_code_is_refused(name: str, entry: ModelEntry, copied: Path) -> None:
    (copied / "vae" / name).write_bytes(b"")
    error = refusal(entry, copied)
    assert error.code == "model_unsafe_file"
    assert name in str(error)
    assert str(copied) not in str(error)
    with pytest.raises(RenderError):
        folder_files(copied)


def test_a_vocabulary_is_data_where_the_manifest_names_it(entry: ModelEntry, copied: Path) -> None:
    (copied / manifest.VOCABULARY).write_bytes(b"pieces")
    assert refusal(entry, copied).code == "model_unsafe_file"
    check_folder(locked(entry, copied), copied)


def test_a_link_out_of_the_folder_is_refused(
    entry: ModelEntry, copied: Path, tmp_path: Path
) -> None:
    outside = (copied / VAE).rename(tmp_path / "outside.safetensors")
    (copied / VAE).symlink_to(outside)
    assert refusal(entry, copied).code == "model_unsafe_file"
    (copied / VAE).unlink()
    (copied / "vae").rename(tmp_path / "vae")
    shutil.move(outside, tmp_path / VAE)
    (copied / "vae").symlink_to(tmp_path / "vae")
    assert refusal(entry, copied).code == "model_unsafe_file"


def test_a_missing_model_may_be_on_another_worker(entry: ModelEntry, tmp_path: Path) -> None:
    assert refusal(entry, tmp_path / "nothing").code == "model_missing"


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("model_index.json", lambda index: index.update(_class_name="TheirPipeline")),
        ("model_index.json", lambda index: index.update(vae=["diffusers_modules", "Their"])),
        ("model_index.json", lambda index: index.update(guard=["theirs", "Guard"])),
        ("model_index.json", lambda index: index.pop("vae")),
        ("vae/config.json", lambda config: config.update(auto_map={"AutoModel": "x.Model"})),
    ],
)
def test_a_model_that_asks_for_other_peoples_classes_is_refused(
    file: str, change: Callable[[dict[str, Any]], object], entry: ModelEntry, copied: Path
) -> None:
    rewrite(copied / file, change)
    assert refusal(locked(entry, copied), copied).code == "model_custom_code"


def test_an_unknown_pipeline_is_refused(entry: ModelEntry, folder: Path) -> None:
    assert refusal(replace(entry, pipeline="Sora"), folder).code == "model_custom_code"


def test_an_unknown_family_is_refused(entry: ModelEntry, tmp_path: Path) -> None:
    with pytest.raises(RenderError) as caught:
        load_model(replace(entry, family="sora"), tmp_path)
    assert caught.value.code == "model_unknown_family"


def test_weights_that_cannot_be_read_are_an_error_with_a_code(
    entry: ModelEntry, copied: Path
) -> None:
    (copied / "vae" / "config.json").write_text("{")
    with pytest.raises(RenderError) as caught:
        load_model(locked(entry, copied), copied)
    assert caught.value.code == "model_unreadable"
    assert not caught.value.permanent


def _shard(folder: Path) -> None:
    """The VAE in two files, named as Mochi-1's bf16 shards are once the index lost its tag."""
    tensors = load_file(folder / VAE)
    names = sorted(tensors)
    index: dict[str, str] = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"diffusion_pytorch_model.bf16-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / "vae" / file)
        index |= dict.fromkeys(part, file)
    (folder / VAE).unlink()
    whole = {"metadata": {"total_size": 0}, "weight_map": index}
    (folder / f"{VAE}.index.json").write_text(json.dumps(whole))


def test_a_model_in_shards_loads(entry: ModelEntry, copied: Path) -> None:
    _shard(copied)
    load_model(locked(entry, copied), copied)


def test_an_index_that_names_a_file_outside_the_manifest_is_refused(
    entry: ModelEntry, copied: Path
) -> None:
    _shard(copied)
    (copied / "vae/diffusion_pytorch_model.bf16-00002-of-00002.safetensors").unlink()
    error = refusal(locked(entry, copied), copied)
    assert (error.code, "00002-of-00002" in str(error)) == ("model_incomplete", True)


def test_a_large_model_is_hashed_once_and_again_when_a_file_changed(
    entry: ModelEntry, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "REMEMBERED_BYTES", 0)
    hashed: list[str] = []
    real = manifest.hash_file

    def counting(path: Path, *rest: Any) -> str:
        hashed.append(path.relative_to(copied).as_posix())
        return real(path, *rest)

    monkeypatch.setattr(manifest, "hash_file", counting)
    check_folder(entry, copied)
    assert sorted(hashed) == sorted(file.path for file in entry.files), "never skipped at first"
    hashed.clear()
    check_folder(entry, copied)
    assert hashed == []
    content = bytearray((copied / VAE).read_bytes())
    content[-1] ^= 1
    (copied / VAE).write_bytes(content)
    assert refusal(entry, copied).code == "model_digest_mismatch"
    assert hashed == [VAE]
    hashed.clear()
    assert list(faults(entry, copied, remember=False))
    assert len(hashed) == len(entry.files), "models check believes nothing"


def test_a_small_model_leaves_nothing_beside_its_folder(entry: ModelEntry, copied: Path) -> None:
    check_folder(entry, copied)
    assert list(copied.parent.iterdir()) == [copied]


def test_the_registry_names_a_module_for_each_family() -> None:
    assert all(
        (Path(registry.__file__).parents[1] / f"{module.replace('.', '/')}.py").is_file()
        for module in registry.FAMILIES.values()
    )
