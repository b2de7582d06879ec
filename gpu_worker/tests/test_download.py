"""A model comes from the hub whole, hash-checked and without anything that could run."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from django.conf import LazySettings, settings
from django.core.management import CommandError, call_command

from gpu_worker import download as fetching
from gpu_worker import lock
from gpu_worker.download import ModelsError, choose, download
from gpu_worker.management.commands import models
from gpu_worker.manifest import check_folder
from gpu_worker.tests.hub import COMMIT, REPO, TinyHub, serve
from jobs import catalog, offer
from jobs.catalog import Hub, ModelEntry

ROOT = Path(settings.BASE_DIR)
WEIGHTS = "vae/diffusion_pytorch_model.safetensors"
HUB = Hub(repo=REPO, revision=COMMIT)
STRAYS = {  # what a repository may hold besides
    "README.md": b"a card",
    "dit.safetensors": b"the maker's own format",
    "modeling.py": b"raise SystemExit",
    "transformer/code.py": b"raise SystemExit",
    "vae/diffusion_pytorch_model.bin": b"a pickle",
    "vae/diffusion_pytorch_model.fp16.safetensors": b"another variant",
    "other/config.json": b"{}",
}


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyHub]:
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0.0)
    paths = (path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    with serve(files | STRAYS) as serving:
        yield serving


@pytest.fixture
def remote(entry: ModelEntry) -> ModelEntry:
    """The bundled model, as if it lay on the hub."""
    return replace(entry, hub=HUB, source="")


def fetch(entry: ModelEntry, folder: Path, hub: TinyHub) -> int:
    """The bytes that the bar was told of."""
    seen: list[int] = []
    download(entry, folder, progress=seen.append, endpoint=hub.url)
    return sum(seen)


def test_a_download_is_the_model_and_nothing_else(
    hub: TinyHub, remote: ModelEntry, tmp_path: Path
) -> None:
    target = tmp_path / "models" / "tiny"
    assert fetch(remote, target, hub) == remote.size
    check_folder(remote, target)
    here = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert here == {file.path for file in remote.files}
    assert not (tmp_path / "models" / "tiny.part").exists()


def test_a_connection_that_breaks_costs_only_the_rest_of_the_file(
    hub: TinyHub, remote: ModelEntry, tmp_path: Path
) -> None:
    hub.cut_after[WEIGHTS] = 5_000_000
    assert fetch(remote, tmp_path / "tiny", hub) == remote.size
    ranges = [asked for path, asked in hub.asked if path == WEIGHTS]
    assert ranges == ["", "bytes=5000000-"]
    check_folder(remote, tmp_path / "tiny")


def test_a_download_that_was_stopped_goes_on_where_it_ended(
    hub: TinyHub, remote: ModelEntry, tmp_path: Path
) -> None:
    hub.files.pop("transformer/config.json")  # the hub breaks in the middle
    with pytest.raises(ModelsError) as caught:
        fetch(remote, tmp_path / "tiny", hub)
    assert caught.value.code == "hub_not_found"
    part = tmp_path / "tiny.part" / WEIGHTS
    part.parent.mkdir(parents=True)
    part.write_bytes(hub.files[WEIGHTS][:1_000_000])  # and a kill left this much of a later file
    done = {path for path, _ in hub.asked}
    hub.files["transformer/config.json"] = (
        ROOT / "gpu_worker/nano/weights/transformer/config.json"
    ).read_bytes()
    hub.asked.clear()
    assert fetch(remote, tmp_path / "tiny", hub) == remote.size
    assert not done & {path for path, _ in hub.asked}, "what was there is not fetched again"
    assert (WEIGHTS, "bytes=1000000-") in hub.asked
    check_folder(remote, tmp_path / "tiny")


def test_a_server_without_ranges_is_read_from_the_start(
    hub: TinyHub, remote: ModelEntry, tmp_path: Path
) -> None:
    hub.ignores_ranges = True
    hub.cut_after[WEIGHTS] = 5_000_000
    assert fetch(remote, tmp_path / "tiny", hub) == remote.size
    check_folder(remote, tmp_path / "tiny")


def test_a_file_with_a_wrong_hash_gets_neither_its_name_nor_a_second_chance(
    hub: TinyHub, remote: ModelEntry, tmp_path: Path
) -> None:
    content = hub.files[WEIGHTS]
    hub.lies[WEIGHTS] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(ModelsError) as caught:
        fetch(remote, tmp_path / "tiny", hub)
    assert caught.value.code == "model_digest_mismatch"
    assert WEIGHTS in str(caught.value)
    assert not (tmp_path / "tiny" / WEIGHTS).exists()
    assert not (tmp_path / "tiny.part" / WEIGHTS).exists()
    hub.lies.clear()
    fetch(remote, tmp_path / "tiny", hub)
    check_folder(remote, tmp_path / "tiny")


def test_a_damaged_file_is_replaced_and_the_others_stay(
    hub: TinyHub, remote: ModelEntry, tmp_path: Path
) -> None:
    fetch(remote, tmp_path / "tiny", hub)
    damaged = tmp_path / "tiny" / WEIGHTS
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    hub.asked.clear()
    fetch(remote, tmp_path / "tiny", hub)
    assert hub.asked == [(WEIGHTS, "")]
    check_folder(remote, tmp_path / "tiny")


def test_nothing_is_fetched_that_the_disk_cannot_hold(
    hub: TinyHub, remote: ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SPARE_BYTES", 1 << 62)
    with pytest.raises(ModelsError) as caught:
        fetch(remote, tmp_path / "tiny", hub)
    assert caught.value.code == "disk_full"
    assert hub.asked == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"hub": None}, "model_no_hub"),
        ({"files": ()}, "model_not_locked"),
        ({"hub": replace(HUB, revision="")}, "model_not_locked"),
        ({"hub": replace(HUB, revision="f" * 40)}, "hub_not_found"),
    ],
)
def test_a_download_that_cannot_work_says_why(
    change: dict[str, object], code: str, hub: TinyHub, remote: ModelEntry, tmp_path: Path
) -> None:
    with pytest.raises(ModelsError) as caught:
        fetch(replace(remote, **change), tmp_path / "tiny", hub)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_a_hub_that_is_not_there_is_an_error_with_a_code(
    remote: ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0.0)
    with pytest.raises(ModelsError) as caught:
        download(remote, tmp_path / "tiny", progress=len_of, endpoint="http://127.0.0.1:9")
    assert caught.value.code == "hub_unreachable"


def len_of(_: int) -> None:
    """No bar."""


def test_a_lock_of_the_hubs_files_is_what_a_lock_of_the_folder_is(
    hub: TinyHub, entry: ModelEntry, remote: ModelEntry, folder: Path
) -> None:
    commit, files = lock.lock_hub(remote, HUB, COMMIT, endpoint=hub.url)
    assert commit == COMMIT
    assert files == entry.files == lock.lock_folder(entry, folder, progress=len_of)


def test_a_variant_is_taken_where_a_folder_has_it_and_loses_its_tag() -> None:
    paths = [
        "model_index.json",
        "text_encoder/model-00001-of-00002.safetensors",
        "text_encoder/model-00002-of-00002.safetensors",
        "text_encoder/model.safetensors.index.json",
        "tokenizer/spiece.model",
        "transformer/diffusion_pytorch_model-00001-of-00005.safetensors",
        "transformer/diffusion_pytorch_model.bf16-00001-of-00003.safetensors",
        "transformer/diffusion_pytorch_model.safetensors.index.bf16.json",
        "transformer/diffusion_pytorch_model.safetensors.index.json",
        "vae/diffusion_pytorch_model.bf16.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "vae/spiece.model",
    ]
    chosen = choose(paths, pipeline="MochiPipeline", variant="bf16")
    renamed = {path: source for path, source in chosen.items() if path != source}
    assert set(chosen) - set(renamed) == {*paths[:5], paths[6]}
    assert renamed == {
        "transformer/diffusion_pytorch_model.safetensors.index.json": paths[7],
        "vae/diffusion_pytorch_model.safetensors": paths[9],
    }


def test_the_lock_of_mochi_1_would_choose_the_files_that_the_models_file_names() -> None:
    entry = catalog.load(ROOT / "deploy/models.toml")["mochi-1"]
    assert entry.hub is not None
    stated = {file.path: file.hub_path for file in entry.files}
    listed = [*stated.values(), "dit.safetensors", "vae/diffusion_pytorch_model.safetensors"]
    assert choose(listed, pipeline=entry.pipeline, variant=entry.hub.variant) == stated


def test_the_hub_is_not_believed_over_a_hash_that_is_pinned(
    hub: TinyHub, remote: ModelEntry
) -> None:
    hub.files[WEIGHTS] += b"!"
    with pytest.raises(ModelsError) as caught:
        lock.lock_hub(remote, HUB, COMMIT, endpoint=hub.url)
    assert caught.value.code == "model_lock_conflict"
    assert WEIGHTS in str(caught.value)


def test_a_small_file_that_is_not_the_listed_one_is_refused(
    hub: TinyHub, remote: ModelEntry
) -> None:
    hub.lies["vae/config.json"] = hub.files["vae/config.json"].replace(b"1", b"2")
    with pytest.raises(ModelsError) as caught:
        lock.lock_hub(replace(remote, files=()), HUB, COMMIT, endpoint=hub.url)
    assert caught.value.code == "model_digest_mismatch"


def test_a_repository_without_a_part_of_the_pipeline_is_refused(
    hub: TinyHub, remote: ModelEntry
) -> None:
    hub.files = {path: content for path, content in hub.files.items() if "tokenizer/" not in path}
    with pytest.raises(ModelsError) as caught:
        lock.lock_hub(replace(remote, files=()), HUB, COMMIT, endpoint=hub.url)
    assert caught.value.code == "hub_incomplete"


def test_a_lock_changes_the_manifest_and_leaves_every_other_byte(entry: ModelEntry) -> None:
    text = (ROOT / "deploy/models.toml").read_text(encoding="utf-8")
    mochi = catalog.parse(text)["mochi-1"]
    pinned = tuple(replace(file, sha256="a" * 64) for file in mochi.files)
    new = lock.edited(text, "mochi-1", revision=COMMIT, files=pinned)
    after = catalog.parse(new)
    assert after["nano"] == entry
    assert after["mochi-1"].hub == replace(mochi.hub, revision=COMMIT)  # type: ignore[type-var]
    assert after["mochi-1"].locked
    undone = lock.edited(new, "mochi-1", revision=mochi.hub.revision, files=mochi.files)  # type: ignore[union-attr]
    assert undone == text
    assert catalog.parse(lock.edited(text, "nano", revision=None, files=pinned))["nano"].files


@pytest.fixture
def models_file(
    hub: TinyHub, settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A models file and a folder of our own for the command, which asks the tiny hub."""
    monkeypatch.setattr(models, "download", partial(download, endpoint=hub.url))
    monkeypatch.setattr(lock, "lock_hub", partial(lock.lock_hub, endpoint=hub.url))
    settings.T2V_MODELS_DIR = tmp_path / "models"
    settings.T2V_MODELS_FILE = str(tmp_path / "models.toml")
    return tmp_path / "models.toml"


def run(*words: str) -> tuple[int, str]:
    """manage.py models: exit code, and what it said."""
    catalog.load.cache_clear()
    offer._placed.cache_clear()
    said = io.StringIO()
    try:
        call_command("models", *words, stdout=said)
    except CommandError as error:
        return error.returncode, f"{said.getvalue()}{error}"
    except SystemExit as ended:
        return int(str(ended.code)), said.getvalue()
    return 0, said.getvalue()


def remote_models(*, revision: str) -> str:
    """The project's models file with the bundled model alone, as if it lay on the tiny hub."""
    text = (ROOT / "deploy/models.toml").read_text(encoding="utf-8").partition("\n# The rev")[0]
    local, repository = (
        'source = "gpu_worker/nano/weights"',
        f'hub = {{ repo = "{REPO}", revision = "{revision}" }}',
    )
    assert local in text
    return text.replace(local, repository)


def test_the_command_locks_downloads_lists_and_checks(
    models_file: Path, tmp_path: Path, entry: ModelEntry
) -> None:
    text = lock.edited(remote_models(revision=""), "nano", revision=None, files=())
    models_file.write_text(text, encoding="utf-8")
    assert "not locked" in run("list")[1]
    code, said = run("download", "nano")
    assert (code, "[model_not_locked]" in said) == (1, True)
    assert "[model_not_locked]" in run("lock", "nano")[1], "no commit is named"
    assert run("lock", "nano", "--revision", COMMIT)[0] == 0
    assert catalog.parse(models_file.read_text())["nano"].files == entry.files
    assert "not downloaded" in run("list")[1]
    assert run("download", "nano")[0] == 0
    assert "ready" in run("list")[1]
    assert run("check", "nano")[0] == 0
    (tmp_path / "models/nano/vae/extra.bin").write_bytes(b"")
    (tmp_path / "models/nano/vae/config.json").unlink()
    code, said = run("check")
    assert code == 1
    assert "vae/extra.bin" in said
    assert "[model_unsafe_file]" in said
    assert "vae/config.json" in said
    assert "[model_incomplete]" in said
    assert "damaged" in run("list")[1]


def test_ctrl_c_in_a_download_loses_nothing(
    hub: TinyHub, models_file: Path, tmp_path: Path
) -> None:
    models_file.write_text(remote_models(revision=COMMIT), encoding="utf-8")
    hub.stall_after[WEIGHTS] = 3_000_000
    online = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "models", "download", "nano"],
        cwd=ROOT,
        env=online
        | {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "home"),
            "T2V_MODELS_FILE": str(models_file),
            "T2V_MODELS_DIR": str(tmp_path / "models"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert hub.stalled.wait(60)
        part = tmp_path / "models/nano.part" / WEIGHTS
        deadline = time.monotonic() + 30
        while not part.exists() or part.stat().st_size < 3_000_000:
            assert time.monotonic() < deadline
            process.poll()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert "goes on where this one ended" in said
    assert "Traceback" not in said
    assert "half downloaded" in run("list")[1]
    assert run("download", "nano")[0] == 0
    assert (WEIGHTS, "bytes=3000000-") in hub.asked
    assert run("check", "nano")[0] == 0
