"""A preview map is fitted to a model's own VAE, and its error is that of clips it never saw."""

import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from django.conf import LazySettings
from django.core.management import call_command
from django.core.management.base import CommandError
from torch import Tensor

from gpu_worker import colour_fit, colours, models_file, pixels
from gpu_worker.colours import Score, Sums
from gpu_worker.download import ModelsError
from gpu_worker.encode import encode_video
from gpu_worker.mochi import Mochi
from gpu_worker.tests.conftest import ROOT
from jobs import catalog
from jobs.catalog import ModelEntry, PreviewMap

PLANTED = PreviewMap(
    matrix=tuple((index / 200, -0.01, round(0.03 - index / 200, 4)) for index in range(12)),
    bias=(0.1, -0.2, 0.05),
    error=None,
    origin="this test",
)


def planted(
    seed: int, *, noise: float = 0.0, shift_levels: float = 0.0
) -> Iterator[colour_fit.Pair]:
    """What a VAE would make whose decoder is a known map, a latent at a time."""
    random = torch.Generator().manual_seed(seed)
    for _ in range(2):
        latents = torch.randn(1, 12, 3, 4, 5, generator=random)
        colour = colours.apply(PLANTED, latents)
        video = colour.repeat_interleave(8, 2).repeat_interleave(8, 3)
        video = torch.cat([video[:, :1], video[:, 1:].repeat_interleave(6, 1)], dim=1)
        video += shift_levels / 127.5
        yield latents, video + noise * torch.randn(video.shape, generator=random)


def test_a_known_map_is_found_exactly() -> None:
    fitted = colour_fit.fit([partial(planted, seed) for seed in range(8)], told="planted clips")
    assert fitted.matrix == PLANTED.matrix
    assert fitted.bias == PLANTED.bias
    assert fitted.error == 0.0
    assert fitted.origin.startswith("least squares over 720 latents of planted clips; ")
    assert fitted.origin.endswith("on 240 others: 1.000, 1.000, 1.000")


def test_the_error_is_that_of_every_fourth_clip_which_the_map_has_not_seen() -> None:
    clips = [partial(planted, seed, shift_levels=4 * (seed % 4 == 3)) for seed in range(8)]
    fitted = colour_fit.fit(clips, told="planted clips")
    assert fitted.bias == PLANTED.bias
    assert fitted.error == pytest.approx(4.0, abs=0.02)


def test_the_fit_is_that_of_all_latents_at_once_however_many_clips_they_came_in() -> None:
    sums, rows, wanted = Sums(), [], []
    for seed in range(5):
        for latents, video in planted(seed, noise=0.3):
            sums.add(latents, video)
            flat = latents[0].flatten(1).T.double()
            rows.append(torch.cat([flat, torch.ones(len(flat), 1)], dim=1))
            wanted.append(colours.average(video).flatten(1).T.double())
    expected = torch.linalg.lstsq(torch.cat(rows), torch.cat(wanted)).solution
    matrix, bias = sums.solve()
    assert torch.allclose(torch.cat([matrix, bias[None]]), expected, atol=1e-10)
    kept = [value for value in vars(sums).values() if isinstance(value, Tensor)]
    assert sum(value.numel() for value in kept) == 13 * 13 + 13 * 3, "sums, and no clip"


def test_a_latents_colour_is_the_mean_of_its_own_pixels_in_its_own_frames() -> None:
    video = torch.zeros(3, 13, 16, 8)
    video[0, 0, :8] = 0.5  # of the first latent in time, the upper one
    video[1, 7:13, 8:] = 3.0  # of the last, the lower one; beyond white
    found = colours.average(video)
    assert found.shape == (3, 3, 2, 1)
    wanted = torch.zeros(3, 3, 2, 1)
    wanted[0, 0, 0], wanted[1, 2, 1] = 0.5, 1.0
    assert torch.allclose(found, wanted, atol=1e-6)
    assert colours.average(video[:, :1]).shape == (3, 1, 2, 1)


def test_the_error_is_in_levels_and_says_how_much_is_explained() -> None:
    score = Score(PLANTED)
    pairs = [pair for seed in range(4) for pair in planted(seed, shift_levels=4)]
    for latents, video in pairs:
        score.add(latents, video)
    error = score.error()
    assert error.mean_levels == pytest.approx(4.0, rel=1e-3)
    wanted = torch.cat([colours.average(video).flatten(1) for _, video in pairs], dim=1)
    for share, colour in zip(error.explained, wanted, strict=True):
        expected = 1 - (4 / 127.5) ** 2 / float(colour.double().var(correction=0))
        assert share == pytest.approx(expected, abs=1e-4)


def test_clips_that_leave_the_map_undetermined_are_no_map() -> None:
    grey = torch.zeros(1, 12, 2, 2, 2), torch.zeros(3, 7, 16, 16)
    with pytest.raises(ValueError, match="too much alike"):
        colour_fit.fit([lambda: iter([grey])] * 8, told="grey clips")
    with pytest.raises(ValueError, match="at least 8 clips, not 7"):
        colour_fit.fit([partial(planted, 1)] * 7, told="few clips")


def test_the_clips_of_the_bundled_model_are_true_ones_and_renders_of_both_parts(
    nano: Mochi, entry: ModelEntry
) -> None:
    """To learn from and to be judged by."""
    kinds = [
        clip.func.__name__  # type: ignore[attr-defined]
        for clip in colour_fit.sources(nano, entry, count=16, seed=0, drawn=True)
    ]
    for part in (kinds[3::4], [kind for index, kind in enumerate(kinds) if index % 4 < 3]):
        assert part.count("_encode") == part.count("_render")
    only = colour_fit.sources(nano, entry, count=8, seed=0)
    assert {clip.func.__name__ for clip in only} == {"_render"}  # type: ignore[attr-defined]


def test_a_render_is_fitted_at_what_its_previews_expect(nano: Mochi, entry: ModelEntry) -> None:
    short = replace(entry, defaults=replace(entry.defaults, frames=7, steps=8))
    clip = colour_fit.sources(nano, short, count=4, seed=3)[1]
    pairs = list(clip())
    assert len(pairs) == 5, "early, middle and late states"
    state: Any = nano.begin(short.usual(entry.examples[1], seed=4))
    while state.step < state.steps:
        state = nano.step(state)
        if state.step == 2:
            assert torch.equal(pairs[1][0], state.clean)
    assert torch.equal(pairs[-1][0], state.latents)
    assert torch.equal(pairs[-1][1], pixels.decode(nano.vae, state.latents))


def test_the_map_in_the_models_file_is_as_good_as_it_says(nano: Mochi, entry: ModelEntry) -> None:
    """On clips that it never saw: another seed."""
    assert entry.preview is not None
    assert entry.preview.error is not None
    assert entry.digest[:12] in entry.preview.origin, "fitted to these very weights"
    score = Score(entry.preview)
    for clip in colour_fit.sources(nano, entry, count=4, seed=5000, drawn=True):
        for latents, video in clip():
            score.add(latents, video)
    error = score.error()
    assert error.mean_levels < 1.5 * entry.preview.error
    assert min(error.explained) > 0.85


def test_a_video_is_read_in_the_models_size_and_length(entry: ModelEntry, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (9, 48, 96, 3), dtype=np.uint8)
    path = tmp_path / "clip.mp4"
    encode_video(iter(frames), path, fps=12, frame_count=9, metadata={})
    spec = replace(entry.usual("x", seed=0), width=64, height=32, frames=7)
    assert colour_fit.read_video(path, spec).shape == (7, 32, 64, 3)
    with pytest.raises(ValueError, match=r"clip\.mp4 has 9 frames; 13 are needed"):
        colour_fit.read_video(path, replace(spec, frames=13))


TEXT = (ROOT / "deploy" / "models.toml").read_text(encoding="utf-8")


@pytest.fixture
def models(tmp_path: Path, settings: LazySettings) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(TEXT, encoding="utf-8")
    settings.T2V_MODELS_FILE = path
    return path


@pytest.mark.parametrize("name", ["nano", "mochi-1"])
def test_only_the_models_own_map_changes_in_the_file(name: str, models: Path) -> None:
    models_file.write_preview(models, name, PLANTED)
    new = models.read_text(encoding="utf-8")
    assert catalog.parse(new) == catalog.parse(TEXT) | {
        name: replace(catalog.parse(TEXT)[name], preview=PLANTED)
    }
    table = models_file.format_preview(name, PLANTED)
    before, after = new.split(table)
    assert TEXT.startswith(before)
    assert TEXT.endswith(after)


@pytest.mark.parametrize("name", ["nano", "mochi-1"])
def test_a_model_without_a_map_gets_a_table_behind_its_others(name: str, models: Path) -> None:
    head = f"[{name}.preview]"
    start = TEXT.index(head)
    bare = TEXT[:start] + TEXT[TEXT.index("]\n", TEXT.index("bias", start)) + 2 :]
    models.write_text(bare, encoding="utf-8")
    assert catalog.parse(bare)[name].preview is None
    models_file.write_preview(models, name, PLANTED)
    new = models.read_text(encoding="utf-8")
    assert new.replace("\n" + models_file.format_preview(name, PLANTED), "", 1) == bare


def test_a_file_that_cannot_be_edited_so_stays_as_it_is(models: Path) -> None:
    odd = TEXT.replace("[nano.preview]", "[nano . preview]")
    models.write_text(odd, encoding="utf-8")
    with pytest.raises(ModelsError, match="could not be edited"):
        models_file.write_preview(models, "nano", PLANTED)
    assert models.read_text(encoding="utf-8") == odd


def test_the_command_prints_the_map_and_writes_it_when_it_is_told_to(models: Path) -> None:
    short = TEXT.replace("frames = 25\nsteps = 32", "frames = 19\nsteps = 4", 1)
    models.write_text(short, encoding="utf-8")
    catalog.load.cache_clear()
    said = io.StringIO()
    with pytest.raises(CommandError, match="at least 8 clips, not 7"):
        call_command("models", "fit-preview", "nano", "--clips", "7")
    command = ("models", "fit-preview", "nano", "--clips", "8", "--seed", "1")
    call_command(*command, stdout=said)
    assert models.read_text(encoding="utf-8") == short, "not told to"
    call_command(*command, "--write", stdout=said)
    new = models.read_text(encoding="utf-8")
    written = catalog.parse(new)["nano"].preview
    assert written is not None
    assert models_file.format_preview("nano", written) in said.getvalue()
    assert "8 drawn clips and renders (seed 1, " in written.origin
