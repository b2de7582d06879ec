"""A models file (deploy/models.toml) as data: each model's limits, defaults and words.

The site reads it for its forms; the worker reads the same file and finds the code by the family.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jobs.spec import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    width: int  # pixels
    height: int  # pixels
    frames: int
    steps: int
    guidance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    name: str
    title: str
    family: str  # which file of gpu_worker renders it
    source: str  # folder, relative to the project's root or absolute
    digest: str  # SHA-256 over the weights' names and bytes, hexadecimal
    licence: str
    dtype: str  # of the weights while rendering: float32, bfloat16
    fps: int  # frames a second
    max_sequence_length: int  # tokens of the prompt that the model reads
    understands: str  # for people: what a prompt may say
    examples: tuple[str, ...]
    limits: Limits
    defaults: Defaults


def parse(text: str) -> dict[str, ModelEntry]:
    """Entries by name, in the file's order. Nonsense raises KeyError, TypeError or ValueError."""
    return {name: _entry(name, values) for name, values in tomllib.loads(text).items()}


def _entry(name: str, values: Mapping[str, Any]) -> ModelEntry:
    limits, defaults = values["limits"], values["defaults"]
    plain = {key: value for key, value in values.items() if key not in {"limits", "defaults"}}
    return ModelEntry(
        name=name,
        **plain | {"examples": tuple(values["examples"])},
        limits=Limits(
            **limits
            | {
                "sizes": tuple((width, height) for width, height in limits["sizes"]),
                "frames": tuple(limits["frames"]),
            }
        ),
        defaults=Defaults(**defaults),
    )


@cache
def load(path: Path) -> dict[str, ModelEntry]:
    """Entries of one file. Raises what parse raises, and OSError."""
    return parse(path.read_text(encoding="utf-8"))
