"""The bundled model, loaded once for all tests that render."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from gpu_worker import mochi, registry
from jobs import catalog, stream
from jobs.catalog import ModelEntry
from jobs.spec import RenderSpec

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _patient_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis may stop for a moment, and what could not be sent then is sent by nobody again."""
    monkeypatch.setattr(stream, "SEND_TIMEOUT", 20.0)  # seconds
    monkeypatch.setattr(stream, "_sender_to", cache(stream._sender_to.__wrapped__))


@pytest.fixture(scope="session")
def entry() -> ModelEntry:
    return catalog.load(ROOT / "deploy" / "models.toml")["nano"]


@pytest.fixture(scope="session")
def folder(entry: ModelEntry) -> Path:
    return ROOT / entry.source


@pytest.fixture(scope="session")
def nano(entry: ModelEntry) -> mochi.Mochi:
    model = registry.load_model(entry, ROOT, threads=1)
    assert isinstance(model, mochi.Mochi)
    return model


@pytest.fixture
def spec() -> RenderSpec:
    """Short, and long enough for every part of the schedule to count."""
    return RenderSpec(
        model="nano",
        prompt="a red circle moving right",
        width=64,
        height=64,
        frames=13,
        fps=12,
        steps=8,
        guidance=4.5,
        seed=7,
    )


@pytest.fixture
def whole(spec: RenderSpec) -> RenderSpec:
    """A clip as people get it; with 12 steps and more the model follows as well as with 64."""
    return replace(spec, frames=25, steps=16)
